//! What a person reads: the previous status, the facts and the outcome of a pass become the new status.
//!
//! Pure. It is made on failure too, and says so then. Times stand in it, never ages, and a time changes only with what it is
//! the time of: a pass that finds nothing new makes an equal status.

mod autoscaling;
mod configuration;
mod corpus;
mod meaning;
pub(crate) mod pods;
mod progress;
mod read_only;
mod servers;
mod snapshots;
mod store;
mod trend;
mod unseen;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::build::config::{BUDGET_SCHEMA, CHEAPER_SCHEMA};
use super::build::metadata::{self, Part};
use super::build::service;
use super::decide::Plan;
use super::decide::volume::Growth;
use super::observed::Observed;
use super::validate::{Problem, ValidatedCluster};
use crate::api::cluster::{CorrectionStatus, NextStep};
use crate::api::text::cut;
use crate::api::{ConditionReason, ConditionType, Credential, RagCluster, RagClusterStatus};
use crate::conditions::{self, Finding, State};
use crate::error::{Class, Error, Phase};
use crate::steps;

pub use meaning::is_news;
pub use unseen::unobserved;

/// While something is on its way: watches report most changes, and this catches what no watch reports.
const LOOK_WHILE_MOVING: Duration = Duration::from_secs(15);

/// While a person has to act: Secrets are not watched, so whoever creates a missing one sees it found within 30 seconds, the pass
/// itself included.
const LOOK_WHILE_STALLED: Duration = Duration::from_secs(25);

/// A settled cluster is looked at again all the same, in case a watch went deaf.
const LOOK_WHEN_SETTLED: Duration = Duration::from_secs(600);

/// As many as the field holds.
const NEXT_MAX: usize = 16;

/// How a pass went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plan was carried out.
    Applied {
        /// The plan.
        planned: Box<Planned>,
        /// Fields of ours that others had changed, and that were put back.
        corrections: Vec<Correction>,
        /// What the API server refused and nothing else depends on.
        refused: Option<Refusal>,
    },
    /// The spec asks to keep the hands off; the plan was made and not carried out.
    Paused {
        /// The plan.
        planned: Box<Planned>,
    },
    /// The spec cannot be carried out.
    Invalid {
        /// Everything that is in the way.
        problems: Vec<Problem>,
    },
    /// A write failed.
    Failed {
        /// The plan that was being carried out.
        planned: Box<Planned>,
        /// What failed.
        failure: Failure,
    },
}

/// A valid cluster and what was planned for it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The cluster.
    pub cluster: ValidatedCluster,
    /// The plan.
    pub plan: Plan,
    /// Why what the schedules ask for could not be written, if it could not.
    pub unscheduled: Option<Failure>,
}

impl Planned {
    /// A plan that nothing has kept from being carried out yet.
    pub fn of(cluster: ValidatedCluster, plan: Plan) -> Self {
        Self { cluster, plan, unscheduled: None }
    }
}

/// A field of ours that somebody else had changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The object, as KIND/NAME.
    pub object: String,
    /// The fields, as a person would write them.
    pub fields: Vec<String>,
    /// The field manager that had changed them.
    pub by: String,
}

/// A volume that may not grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub growth: Growth,
    /// What the API server said.
    pub said: String,
}

/// An effect that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which phase.
    pub phase: Phase,
    /// Which decides when it makes sense to try again.
    pub class: Class,
    /// What was called, and what the API server said.
    pub message: String,
    /// What a person can do about it.
    pub remedy: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { phase: error.phase(), class: error.class(), message: error.to_string(), remedy: error.remedy() }
    }
}

impl Outcome {
    /// Whether something that was in surplus has been removed.
    pub fn has_removed(&self) -> bool {
        matches!(self, Self::Applied { planned, .. } if !planned.plan.prune.is_empty())
    }

    /// When the plan is another one although nothing happens; never while nobody carries it out.
    pub fn changes_at(&self) -> Option<Timestamp> {
        let plan = &self.planned().filter(|planned| !planned.plan.paused)?.plan;
        let of_snapshots = plan.snapshots.as_ref().and_then(|snapshots| snapshots.changes_at);
        [plan.size.changes_at, of_snapshots].into_iter().flatten().min()
    }

    fn planned(&self) -> Option<&Planned> {
        match self {
            Self::Applied { planned, .. } | Self::Paused { planned } | Self::Failed { planned, .. } => Some(planned),
            Self::Invalid { .. } => None,
        }
    }
}

/// The status after a pass.
pub fn status(cluster: &RagCluster, observed: &Observed, outcome: &Outcome) -> RagClusterStatus {
    let previous = cluster.status.clone().unwrap_or_default();
    let planned = outcome.planned();
    let servers = servers::servers(cluster, planned, observed);
    let applied = configuration::applied(outcome, observed);
    let expected = configuration::expected(&previous, applied.as_ref(), observed);
    let read_only = read_only::finding(applied.as_ref().is_some_and(configuration::Applied::asks_read_only), observed);
    let revision = applied.map(|applied| applied.revision).or_else(|| previous.revision.clone());
    let foreign = corpus::foreign(observed);
    let rollup = Rollup {
        servers: servers.finding(),
        store: corpus::finding(foreign.as_deref(), servers.ready)
            .unwrap_or_else(|| store::finding(cluster, planned, observed)),
        configuration: configuration::finding(expected.as_ref(), revision.as_deref(), observed),
    };
    let ready = rollup.ready(&previous, servers.ready);
    let is_ready = ready.state == State::True;
    let is_reached = is_ready && store::has_settled(planned, observed);
    let progress = progress::progress(outcome, &servers, is_reached, foreign.as_deref());
    let mut findings = vec![ready, rollup.servers, rollup.store, rollup.configuration];
    findings.extend(progress.findings());
    findings.extend(autoscaling::findings(planned, observed));
    findings.extend(snapshots::findings(planned, observed));
    let phase = progress.phase(&findings, &servers, (store::summary(cluster, observed), read_only.is_some()));
    findings.extend(read_only);
    let mut next = progress.next(expected.as_ref(), &findings);
    next.extend(planned.and_then(|planned| autoscaling::next(planned, observed)));
    next.extend(planned.into_iter().flat_map(|planned| snapshots::next(planned, observed)));
    next.extend(planned.and_then(budget_waits));
    next.extend(planned.and_then(|planned| removed_clients(planned, observed)));
    next.extend(steps::next(&observed.procedures, observed.now));
    next.truncate(NEXT_MAX);
    let described = planned.map(|planned| &planned.cluster);
    let mut conditions = conditions::merge(&previous.conditions, findings, cluster.metadata.generation, observed.now);
    if planned.is_none() {
        let stays = |before: &&Condition| autoscaling::is_ours(&before.type_) || snapshots::is_ours(&before.type_);
        conditions.extend(previous.conditions.iter().filter(stays).cloned());
    }
    RagClusterStatus {
        observed_generation: cluster.metadata.generation,
        phase,
        servers: servers.summary(),
        replicas: servers.existing,
        ready_replicas: servers.ready,
        selector: described.map_or(previous.selector, |cluster| metadata::selector_text(cluster, Part::Server)),
        revision,
        endpoint: described.map(service::endpoint).or(previous.endpoint),
        conditions,
        autoscaling: planned.map_or(previous.autoscaling, |planned| autoscaling::status(planned, observed)),
        configuration: expected,
        snapshots: planned.map_or(previous.snapshots, |planned| snapshots::status(planned, observed)),
        last_correction: correction(outcome, observed).or(previous.last_correction),
        next,
    }
}

/// When to look again if nothing happens before.
pub fn next_look(status: &RagClusterStatus) -> Duration {
    let is_moving = status.conditions.iter().any(|condition| {
        let is = |type_: ConditionType| condition.type_ == type_.as_str();
        condition.status == State::Unknown.as_str()
            || is(ConditionType::Ready) && condition.status != State::True.as_str()
            || is(ConditionType::Reconciling) && condition.status == State::True.as_str()
    });
    let stalled = conditions::find(&status.conditions, ConditionType::Stalled);
    if is_moving {
        LOOK_WHILE_MOVING
    } else if stalled.is_some_and(|stalled| stalled.status == State::True.as_str())
        || snapshots::wait_for_a_person(status)
    {
        LOOK_WHILE_STALLED
    } else {
        LOOK_WHEN_SETTLED
    }
}

/// What Ready is made of.
struct Rollup {
    servers: Finding,
    store: Finding,
    configuration: Finding,
}

impl Rollup {
    /// Servers that are ready have reached their store, so what is merely unknown takes nothing away.
    fn ready(&self, previous: &RagClusterStatus, ready_servers: i32) -> Finding {
        let parts = [&self.servers, &self.store, &self.configuration];
        let missing: Vec<&str> = parts
            .into_iter()
            .filter(|part| {
                part.state == State::False || part.type_ == ConditionType::ServersReady && part.state != State::True
            })
            .map(|part| part.message.as_str())
            .collect();
        if missing.is_empty() {
            let messages: Vec<&str> = parts.into_iter().map(|part| part.message.as_str()).collect();
            return Finding::new(ConditionType::Ready, State::True, ConditionReason::Serving, messages.join("; "));
        }
        // No server was lost and there is no trouble: the number that was asked for went up.
        let is_scaling = self.servers.reason == ConditionReason::SomeReady
            && ready_servers >= previous.ready_replicas
            && [&self.store, &self.configuration].into_iter().all(|part| part.state != State::False);
        let before = conditions::find(&previous.conditions, ConditionType::Ready).map(|ready| ready.reason.as_str());
        let served = [ConditionReason::Serving, ConditionReason::Scaling].map(ConditionReason::as_str);
        let reason = match before {
            Some(before) if is_scaling && served.contains(&before) => ConditionReason::Scaling,
            Some(before) if before != ConditionReason::Starting.as_str() => ConditionReason::Degraded,
            Some(_) | None => ConditionReason::Starting,
        };
        Finding::new(ConditionType::Ready, State::False, reason, missing.join("; "))
    }
}

/// Servers that an earlier operator gave their configuration refuse a file with keys that they do not know.
fn budget_waits(planned: &Planned) -> Option<NextStep> {
    let (budget, schema) = (planned.cluster.budget.as_ref()?, planned.plan.live_schema);
    if schema < BUDGET_SCHEMA {
        let what = "hold the providers to spec.budget, once no server is of a revision that knows no budget";
        return Some(step(what, None));
    }
    let waits = budget.prefer_cheaper_percent.is_some() && schema < CHEAPER_SCHEMA;
    let what = "ask the cheapest provider first from spec.budget.preferCheaperPercent on, once no server is of a revision that does not know it";
    waits.then(|| step(what, None))
}

/// Servers accept what they mounted until they have read what took its place.
fn removed_clients(planned: &Planned, observed: &Observed) -> Option<NextStep> {
    let known: BTreeSet<String> =
        planned.cluster.clients.keys().map(|client| Credential::ApiKey(client.clone()).file_stem()).collect();
    let said = observed.reports.values().filter_map(|report| report.answer.said());
    let accepted: BTreeSet<&String> = said.flat_map(|said| &said.credentials).collect();
    let removed = accepted.into_iter().filter(|name| !known.contains(*name));
    let removed: Vec<&str> = removed.filter_map(|name| name.strip_prefix("api-key.")).collect();
    (!removed.is_empty()).then(|| {
        let clients = removed.join(", ");
        step(
            format!("have refused what is no longer in spec.auth.apiKeys: servers still accept the key of {clients}"),
            None,
        )
    })
}

fn correction(outcome: &Outcome, observed: &Observed) -> Option<CorrectionStatus> {
    let Outcome::Applied { corrections, .. } = outcome else { return None };
    let first = corrections.first()?;
    let more = corrections.len() - 1;
    let elsewhere = if more == 0 { String::new() } else { format!(", and fields of {more} other objects") };
    Some(CorrectionStatus {
        object: cut(&first.object, 320),
        fields: cut(&format!("{}{elsewhere}", first.fields.join(", ")), 512),
        by: cut(&first.by, 128),
        at: Time(observed.now),
    })
}

fn step(what: impl Into<String>, at: Option<Time>) -> NextStep {
    NextStep { at, what: cut(&what.into(), 512) }
}

#[cfg(test)]
mod tests;
