//! What the operator is doing: Reconciling and Stalled, the sentence of the STATUS column, and what comes next.

use super::configuration::GRACE;
use super::servers::{Rollout, Servers};
use super::{Failure, Outcome, Planned, Refusal, cut, step};
use crate::api::cluster::{ConfigurationStatus, NextStep};
use crate::api::{ConditionReason, ConditionType};
use crate::cluster::decide::Plan;
use crate::cluster::decide::volume::Growth;
use crate::cluster::validate::Problem;
use crate::conditions::{Finding, State};
use crate::error::{Class, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Longer phases would push the other columns out of sight.
const PHASE_MAX_CHARS: usize = 60;

/// What the operator is doing. kstatus reads the two conditions in the order in which it meets them, so never both are true.
pub(super) enum Progress {
    /// The spec is reached.
    Settled,
    /// On the way to it.
    Moving(String),
    /// The spec says so.
    Paused,
    /// A failure that passes.
    Retrying(Failure),
    /// Nothing happens until a person acts.
    Stalled { reason: ConditionReason, message: String, phase: String },
}

/// What the outcome means. `foreign`: what is wrong with the corpus, if it is another cluster's.
pub(super) fn progress(outcome: &Outcome, servers: &Servers, is_ready: bool, foreign: Option<&str>) -> Progress {
    if let (Outcome::Applied { .. }, Some(foreign)) = (outcome, foreign) {
        let reason = ConditionReason::CorpusOwned;
        return Progress::Stalled {
            reason,
            message: foreign.to_owned(),
            phase: format!("{reason}: see condition Stalled"),
        };
    }
    match outcome {
        Outcome::Invalid { problems } => invalid(problems),
        Outcome::Paused { .. } => Progress::Paused,
        Outcome::Failed { failure, .. } => failed(failure),
        Outcome::Applied { planned, .. } if !planned.plan.held.is_empty() => held(&planned.plan),
        Outcome::Applied { planned, refused, .. } => {
            let revision = &planned.plan.revision.name;
            match servers.rollout {
                Rollout::Stuck => Progress::Stalled {
                    reason: ConditionReason::RolloutStuck,
                    message: format!("revision {revision} makes no progress: {}", servers.trouble()),
                    phase: format!("Stuck: servers {}", servers.summary()),
                },
                Rollout::Paused => paused(planned, servers),
                Rollout::Moving if servers.existing > 0 => Progress::Moving(format!(
                    "rolling out revision {revision}: {} of {} servers updated",
                    servers.updated, servers.existing
                )),
                Rollout::Moving => Progress::Moving(format!("creating the servers of revision {revision}")),
                Rollout::Done => match refused {
                    Some(refused) => too_small(refused),
                    None if is_ready => Progress::Settled,
                    None => Progress::Moving("waiting for what is not ready, or of an earlier revision".to_owned()),
                },
            }
        }
    }
}

/// `kubectl rollout pause` sets a field that is not ours, so it is said and not put back.
fn paused(planned: &Planned, servers: &Servers) -> Progress {
    let (cluster, revision) = (&planned.cluster, &planned.plan.revision.name);
    let (updated, existing) = (servers.updated, servers.existing);
    let deployment = cluster.name.server();
    let remedy = format!("kubectl rollout resume deployment/{deployment} -n {}", cluster.namespace);
    Progress::Stalled {
        reason: ConditionReason::RolloutPaused,
        message: format!(
            "somebody has paused Deployment {deployment}, and revision {revision} waits: {updated} of {existing} servers \
             updated; go on with: {remedy}"
        ),
        phase: format!("Roll-out paused: servers {updated}/{existing}"),
    }
}

fn invalid(problems: &[Problem]) -> Progress {
    let first = problems.first();
    let reason = first.map_or(ConditionReason::InvalidSpec, |problem| problem.reason);
    let all: Vec<String> = problems.iter().map(Problem::to_string).collect();
    Progress::Stalled {
        reason,
        message: all.join("; "),
        phase: format!("{reason}: {}", first.map(|problem| problem.field.as_str()).unwrap_or_default()),
    }
}

/// What keeps a new revision from being made keeps nothing else.
fn held(plan: &Plan) -> Progress {
    let mut progress = invalid(&plan.held);
    if let Progress::Stalled { message, .. } = &mut progress {
        message.push_str("; until then the servers stay as they are, and what needs no new revision is applied");
    }
    progress
}

/// A volume that may not grow keeps nothing else from being carried out.
fn too_small(Refusal { growth, said }: &Refusal) -> Progress {
    let Growth { claim, from, to, class, field, .. } = growth;
    let remedy = if said.contains("exceeded quota") {
        "raise the ResourceQuota of the namespace".to_owned()
    } else {
        format!(
            "set allowVolumeExpansion: true on StorageClass {class} if its driver can grow volumes, or create the RagCluster \
             anew with {field}.size: {from}, which finds a retained volume again"
        )
    };
    let name = &claim.name;
    Progress::Stalled {
        reason: ConditionReason::VolumeTooSmall,
        message: format!(
            "volume {name} may not grow from {from} to {to}: {said}; {remedy}; it is asked for again, and everything else is \
             carried out"
        ),
        phase: format!("{}: {from} of {to}", ConditionReason::VolumeTooSmall),
    }
}

/// What a failure means, by its class.
pub(super) fn failed(failure: &Failure) -> Progress {
    let reason = match failure.class {
        Class::Forbidden => ConditionReason::Forbidden,
        Class::Invalid => ConditionReason::Rejected,
        Class::Conflict | Class::Transient => return Progress::Retrying(failure.clone()),
    };
    let message = format!("{}; {}", failure.message, failure.remedy);
    Progress::Stalled { reason, message, phase: format!("{reason}: see condition Stalled") }
}

impl Progress {
    /// Reconciling and Stalled.
    pub(super) fn findings(&self) -> [Finding; 2] {
        let (state, reason, message) = match self {
            Self::Settled => (State::False, ConditionReason::Settled, "the spec is reached".to_owned()),
            Self::Moving(what) => (State::True, ConditionReason::Progressing, what.clone()),
            Self::Paused => {
                (State::False, ConditionReason::Paused, "nothing is written while spec.paused is true".to_owned())
            }
            Self::Retrying(failure) => {
                let reason = match failure.phase {
                    Phase::Observe => ConditionReason::NotObserved,
                    Phase::Apply | Phase::Report => ConditionReason::Retrying,
                };
                (State::True, reason, format!("{}; {}", failure.message, failure.remedy))
            }
            Self::Stalled { .. } => {
                (State::False, ConditionReason::Settled, "stalled; see condition Stalled".to_owned())
            }
        };
        let reconciling = Finding::new(ConditionType::Reconciling, state, reason, message);
        let stalled = match self {
            Self::Stalled { reason, message, .. } => {
                Finding::new(ConditionType::Stalled, State::True, *reason, message.clone())
            }
            _ => {
                Finding::new(ConditionType::Stalled, State::False, ConditionReason::Unhindered, "nothing is in the way")
            }
        };
        [reconciling, stalled]
    }

    /// The sentence of the STATUS column, with a few words for a store that is not ready.
    pub(super) fn phase(&self, findings: &[Finding], servers: &Servers, (store, is_read_only): (&str, bool)) -> String {
        let is_false = |type_| findings.iter().find(|finding| finding.type_ == type_ && finding.state == State::False);
        let serving = if is_read_only { "Serving, read-only" } else { "Serving" };
        let phase = match (self, is_false(ConditionType::Ready)) {
            (Self::Stalled { phase, .. }, _) => phase.clone(),
            (Self::Paused, None) => format!("Paused, {}", serving.to_lowercase()),
            (Self::Paused, Some(_)) => "Paused".to_owned(),
            (Self::Moving(_), None) if servers.rollout == Rollout::Moving => {
                format!("Rolling out: servers {}/{}", servers.updated, servers.existing)
            }
            (Self::Settled | Self::Moving(_) | Self::Retrying(_), None) => serving.to_owned(),
            (Self::Settled | Self::Moving(_) | Self::Retrying(_), Some(ready)) => {
                let what = match () {
                    () if is_false(ConditionType::VectorStoreReady).is_some() => store.to_owned(),
                    () if is_false(ConditionType::ServersReady).is_some() => format!("servers {}", servers.summary()),
                    () => "configuration".to_owned(),
                };
                format!("{}: {what}", ready.reason)
            }
        };
        cut(&phase, PHASE_MAX_CHARS)
    }

    /// What the operator will do next, and when or on what condition.
    pub(super) fn next(&self, expected: Option<&ConfigurationStatus>, findings: &[Finding]) -> Vec<NextStep> {
        let mut next = Vec::new();
        match self {
            Self::Settled => {}
            Self::Moving(what) => next.push(step(format!("settle, when done with: {what}"), None)),
            Self::Paused => next.push(step("go on, when spec.paused is removed", None)),
            Self::Retrying(_) => next.push(step("try again what failed, with growing pauses", None)),
            Self::Stalled { .. } => next.push(step("go on, when what condition Stalled names is resolved", None)),
        }
        let is_propagating = findings.iter().any(|finding| finding.reason == ConditionReason::Propagating);
        if let Some(expected) = expected.filter(|_| is_propagating) {
            let deadline = expected.since.0.checked_add(GRACE).ok().map(Time);
            next.push(step(
                "report ConfigurationInSync as False, unless every server runs the rendered settings by then",
                deadline,
            ));
        }
        next
    }
}
