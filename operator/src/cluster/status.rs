//! What a person reads: the previous status, the facts and the outcome of a pass become the new status.
//!
//! Pure. It is made on failure too, and says so then. Times stand in it, never ages, and a time changes only with what it is
//! the time of: a pass that finds nothing new makes an equal status.

mod autoscaling;
mod conditions;
mod configuration;
mod corpus;
mod meaning;
mod pods;
mod progress;
mod read_only;
mod servers;
mod store;
mod unseen;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build::config::BUDGET_SCHEMA;
use super::build::metadata::{self, Part};
use super::build::service;
use super::decide::Plan;
use super::observed::Observed;
use super::validate::{Problem, ValidatedCluster};
use crate::api::cluster::{CorrectionStatus, NextStep};
use crate::api::text::cut;
use crate::api::{ConditionReason, ConditionType, Credential, RagCluster, RagClusterStatus};
use crate::error::{Class, Error, Phase};
use conditions::{Finding, State};

pub use meaning::is_news;
pub use unseen::unobserved;

/// While something is on its way: watches report most changes, and this catches what no watch reports.
const LOOK_WHILE_MOVING: Duration = Duration::from_secs(15);

/// While a person has to act: Secrets are not watched, so whoever creates a missing one sees it found within 30 seconds, the pass
/// itself included.
const LOOK_WHILE_STALLED: Duration = Duration::from_secs(25);

/// A settled cluster is looked at again all the same, in case a watch went deaf.
const LOOK_WHEN_SETTLED: Duration = Duration::from_secs(600);

/// A pod can say much about its trouble; a status is read by people.
const MESSAGE_MAX_CHARS: usize = 1000;

/// How a pass went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plan was carried out.
    Applied {
        /// The plan.
        planned: Box<Planned>,
        /// Fields of ours that others had changed, and that were put back.
        corrections: Vec<Correction>,
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
        store: corpus::finding(foreign.as_deref(), servers.ready).unwrap_or_else(|| store::finding(cluster, observed)),
        configuration: configuration::finding(expected.as_ref(), revision.as_deref(), observed),
    };
    let ready = rollup.ready(&previous, servers.ready);
    let is_ready = ready.state == State::True;
    let is_reached = is_ready && store::has_settled(planned, observed);
    let progress = progress::progress(outcome, &servers, is_reached, foreign.as_deref());
    let mut findings = vec![ready, rollup.servers, rollup.store, rollup.configuration];
    findings.extend(progress.findings());
    findings.extend(autoscaling::findings(planned, observed));
    let phase = progress.phase(&findings, &servers, (store::summary(cluster, observed), read_only.is_some()));
    findings.extend(read_only);
    let mut next = progress.next(expected.as_ref(), &findings);
    next.extend(planned.and_then(budget_waits));
    next.extend(planned.and_then(|planned| removed_clients(planned, observed)));
    let described = planned.map(|planned| &planned.cluster);
    let mut conditions = conditions::merge(&previous.conditions, findings, cluster.metadata.generation, observed.now);
    if planned.is_none() {
        conditions.extend(previous.conditions.iter().filter(|before| autoscaling::is_ours(&before.type_)).cloned());
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
    } else if stalled.is_some_and(|stalled| stalled.status == State::True.as_str()) {
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
    let waits = planned.cluster.budget.is_some() && planned.plan.live_schema < BUDGET_SCHEMA;
    waits.then(|| step("hold the providers to spec.budget, once no server is of a revision that knows no budget", None))
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
mod tests {
    use super::*;
    use crate::cluster::events::{Severity, events};
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass, server_pod};
    use crate::cluster::observed::{Answer, Presence, Reported};
    use crate::cluster::validate::validate;
    use k8s_openapi::api::apps::v1::DeploymentCondition;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus};

    fn carried_out(cluster: &RagCluster, observed: &Observed) -> Outcome {
        let (valid, plan, _) = pass(cluster, observed);
        Outcome::Applied { planned: Box::new(Planned { cluster: valid, plan }), corrections: Vec::new() }
    }

    fn after(cluster: &RagCluster, observed: &Observed) -> RagClusterStatus {
        status(cluster, observed, &carried_out(cluster, observed))
    }

    /// A cluster that serves, with the status that says so, and its world.
    fn serving(spec: &str) -> (RagCluster, Observed) {
        let mut cluster = cluster(spec);
        let world = applied(&cluster, &nothing());
        cluster.status = Some(after(&cluster, &world));
        (cluster, world)
    }

    fn condition(status: &RagClusterStatus, type_: ConditionType) -> (String, String) {
        let found = conditions::find(&status.conditions, type_);
        found.map(|found| (found.status.clone(), found.reason.clone())).unwrap_or_default()
    }

    fn is(status: &RagClusterStatus, type_: ConditionType, state: &str, reason: ConditionReason) {
        assert_eq!(condition(status, type_), (state.to_owned(), reason.to_string()), "{type_}");
    }

    fn told(cluster: &RagCluster, new: &RagClusterStatus) -> Vec<String> {
        let severity = |severity| if severity == Severity::Warning { "Warning" } else { "Normal" };
        let events = events(cluster.status.as_ref(), new);
        events.iter().map(|event| format!("{} {}", severity(event.severity), event.reason)).collect()
    }

    #[test]
    fn a_new_cluster_starts_with_its_vector_store() {
        let cluster = cluster("{}");
        let new = after(&cluster, &nothing());
        assert_eq!((new.phase.as_str(), new.servers.as_str()), ("Starting: vector store 0/1", "0/3"));
        is(&new, ConditionType::Ready, "False", ConditionReason::Starting);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
        is(&new, ConditionType::Stalled, "False", ConditionReason::Unhindered);
        assert_eq!(told(&cluster, &new), ["Normal RolloutStarted"]);
        assert_eq!(next_look(&new), LOOK_WHILE_MOVING);
    }

    #[test]
    fn a_serving_cluster_says_so_in_every_place() {
        let (cluster, _) = serving("{}");
        let status = cluster.status.clone().unwrap();
        assert_eq!((status.phase.as_str(), status.servers.as_str(), status.ready_replicas), ("Serving", "3/3", 3));
        assert_eq!(status.endpoint.as_deref(), Some("http://handbook.team-a.svc:8080"));
        assert!(status.selector.contains("app.kubernetes.io/component=server"), "{}", status.selector);
        for type_ in [ConditionType::Ready, ConditionType::ServersReady, ConditionType::VectorStoreReady] {
            assert_eq!(condition(&status, type_).0, "True", "{type_}");
        }
        is(&status, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
        is(&status, ConditionType::Reconciling, "False", ConditionReason::Settled);
        for unused in [ConditionType::ReplicasCapped, ConditionType::ReadOnly] {
            assert_eq!(condition(&status, unused), Default::default(), "{unused}");
        }
        assert!(status.next.is_empty());
    }

    #[test]
    fn a_pass_that_finds_nothing_new_makes_an_equal_status_and_tells_nothing() {
        let (cluster, world) = serving("{}");
        let again = after(&cluster, &world.later(3600));
        assert_eq!(cluster.status.as_ref(), Some(&again));
        assert!(told(&cluster, &again).is_empty());
    }

    #[test]
    fn a_lost_server_degrades_and_its_return_is_told() {
        let (mut cluster, mut world) = serving("{}");
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
        let degraded = after(&cluster, &world);
        assert_eq!(degraded.phase, "Degraded: servers 2/3");
        is(&degraded, ConditionType::ServersReady, "False", ConditionReason::SomeReady);
        assert_eq!(told(&cluster, &degraded), ["Warning Degraded"]);
        cluster.status = Some(degraded);
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(3);
        assert_eq!(told(&cluster, &after(&cluster, &world)), ["Normal Serving"]);
    }

    #[test]
    fn servers_above_the_floor_may_still_be_starting() {
        let (cluster, mut world) = serving("{}");
        let deployment = world.children.deployment.as_mut().unwrap();
        deployment.spec.replicas = Some(6);
        let live = deployment.status.as_mut().unwrap();
        (live.replicas, live.updated_replicas) = (Some(6), Some(6));
        let scaling = after(&cluster, &world);
        is(&scaling, ConditionType::Ready, "True", ConditionReason::Serving);
        is(&scaling, ConditionType::Reconciling, "False", ConditionReason::Settled);
        assert_eq!(scaling.servers, "3/6");
    }

    #[test]
    fn a_roll_out_counts_the_servers_of_its_own_revision() {
        let (cluster, mut world) = serving("{}");
        let deployment = world.children.deployment.as_mut().unwrap();
        deployment.metadata.generation = Some(2);
        assert_eq!(after(&cluster, &world).phase, "Rolling out: servers 0/3");
        let live = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
        (live.observed_generation, live.replicas, live.ready_replicas, live.updated_replicas) =
            (Some(2), Some(4), Some(4), Some(1));
        let moving = after(&cluster, &world);
        assert_eq!((moving.phase.as_str(), moving.servers.as_str()), ("Rolling out: servers 1/4", "3/3"));
        assert!(message(&moving, ConditionType::ServersReady).starts_with("3 of 3 servers"));
    }

    #[test]
    fn a_raised_floor_is_scaling_until_a_server_is_lost() {
        let (mut cluster, mut world) = serving("{}");
        cluster.spec.replicas = 10;
        world.children.deployment.as_mut().unwrap().spec.replicas = Some(10);
        let scaling = after(&cluster, &world);
        is(&scaling, ConditionType::Ready, "False", ConditionReason::Scaling);
        assert_eq!(scaling.phase, "Scaling: servers 3/10");
        assert!(told(&cluster, &scaling).is_empty(), "{:?}", told(&cluster, &scaling));
        cluster.status = Some(scaling);
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
        assert_eq!(told(&cluster, &after(&cluster, &world)), ["Warning Degraded"]);
    }

    #[test]
    fn a_pod_that_cannot_start_is_named_with_what_to_do() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing());
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
        let waiting =
            ContainerStateWaiting { reason: Some("ImagePullBackOff".into()), message: Some("not found".into()) };
        world.server_pods[0].status.as_mut().unwrap().container_statuses = Some(vec![ContainerStatus {
            name: "server".into(),
            image: "example.com/rag-server:0.1.0".into(),
            state: Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() }),
            ..ContainerStatus::default()
        }]);
        let new = after(&cluster, &world);
        is(&new, ConditionType::ServersReady, "False", ConditionReason::ImageUnavailable);
        let message = &conditions::find(&new.conditions, ConditionType::ServersReady).unwrap().message;
        assert!(message.contains("example.com/rag-server:0.1.0") && message.contains("correct the image"), "{message}");
    }

    #[test]
    fn a_roll_out_without_progress_stalls_while_the_old_servers_serve() {
        let (cluster, mut world) = serving("{}");
        let live = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
        live.conditions = Some(vec![DeploymentCondition {
            type_: Some("Progressing".into()),
            status: Some("False".into()),
            reason: Some("ProgressDeadlineExceeded".into()),
            ..DeploymentCondition::default()
        }]);
        let stuck = after(&cluster, &world);
        is(&stuck, ConditionType::Stalled, "True", ConditionReason::RolloutStuck);
        is(&stuck, ConditionType::Reconciling, "False", ConditionReason::Settled);
        is(&stuck, ConditionType::Ready, "True", ConditionReason::Serving);
    }

    #[test]
    fn a_changed_setting_has_three_minutes_to_reach_the_servers() {
        let (mut cluster, world) = serving("{}");
        cluster.spec.read_only = true;
        let first = after(&cluster, &world.clone().later(60));
        is(&first, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Propagating);
        is(&first, ConditionType::Ready, "True", ConditionReason::Serving);
        is(&first, ConditionType::ReadOnly, "True", ConditionReason::Requested);
        assert_eq!(first.next[0].at.as_ref().unwrap().0.to_string(), "2026-11-21T08:04:00Z");
        assert_eq!(next_look(&first), LOOK_WHILE_MOVING);
        cluster.status = Some(first);
        let in_time = after(&cluster, &world.clone().later(60 + 180));
        is(&in_time, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Propagating);
        let late = after(&cluster, &world.clone().later(60 + 181));
        is(&late, ConditionType::ConfigurationInSync, "False", ConditionReason::Mismatch);
        is(&late, ConditionType::Ready, "False", ConditionReason::Degraded);
        assert_eq!(told(&cluster, &late), ["Warning Degraded", "Warning Mismatch"]);
        cluster.status = Some(late);
        let reached = after(&cluster, &applied(&cluster, &world));
        is(&reached, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
        assert_eq!(reached.phase, "Serving, read-only");
        assert_eq!(told(&cluster, &reached), ["Normal Serving", "Normal InSync"]);
    }

    fn message(status: &RagClusterStatus, type_: ConditionType) -> String {
        conditions::find(&status.conditions, type_).map(|found| found.message.clone()).unwrap_or_default()
    }

    #[test]
    fn servers_that_do_not_answer_the_operator_are_no_failure() {
        let (cluster, mut world) = serving("{}");
        for report in world.reports.values_mut() {
            report.answer = Answer::Silent("no answer within the deadline".into());
        }
        let silent = after(&cluster, &world);
        is(&silent, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Unreachable);
        let said = message(&silent, ConditionType::ConfigurationInSync);
        assert!(said.contains("each of 3 ready servers does not answer the operator: no answer within"), "{said}");
        is(&silent, ConditionType::Ready, "True", ConditionReason::Serving);
        assert!(told(&cluster, &silent).is_empty());
    }

    #[test]
    fn one_server_that_is_silent_leaves_the_rest_in_sync() {
        let (cluster, mut world) = serving("{}");
        world.reports.get_mut("pod-1").unwrap().answer = Answer::Silent("no answer within the deadline".into());
        let new = after(&cluster, &world);
        is(&new, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
        let said = message(&new, ConditionType::ConfigurationInSync);
        assert!(said.contains("(1 of them: no answer within the deadline)"), "{said}");
        assert!(told(&cluster, &new).is_empty());
    }

    /// Pods that run, are not ready and have never answered, as on a first start.
    fn starting(spec: &str) -> (RagCluster, Observed) {
        let cluster = cluster(spec);
        let mut world = applied(&cluster, &nothing());
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
        for pod in &mut world.server_pods {
            pod.status.as_mut().unwrap().conditions = None;
        }
        for report in world.reports.values_mut() {
            report.answer = Answer::Silent("the management port cannot be reached".into());
        }
        (cluster, world)
    }

    #[test]
    fn nothing_is_unreachable_while_the_servers_start() {
        for spec in ["{}", EMBEDDED, EXTERNAL] {
            let (cluster, mut world) = starting(spec);
            world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
            let silent = after(&cluster, &world);
            let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
            for report in world.reports.values_mut() {
                report.answer = Answer::Said(waiting.clone());
            }
            let answering = after(&cluster, &world.later(30));
            for status in [silent, answering] {
                let text = serde_json::to_string(&status).unwrap().to_lowercase();
                assert!(!text.contains("unreachable") && !text.contains("cannot be reached"), "{spec}: {text}");
                let told = told(&cluster, &status);
                assert!(told.iter().all(|event| event.starts_with("Normal")), "{spec}: {told:?}");
            }
        }
    }

    #[test]
    fn a_corpus_of_another_cluster_stalls_at_once_with_a_remedy() {
        let waiting =
            Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
        for spec in ["{}", EMBEDDED, EXTERNAL] {
            let (cluster, mut world) = starting(spec);
            world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
            for report in world.reports.values_mut() {
                report.answer = Answer::Said(waiting.clone());
            }
            let refused = after(&cluster, &world);
            is(&refused, ConditionType::VectorStoreReady, "False", ConditionReason::CorpusOwned);
            is(&refused, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
            is(&refused, ConditionType::Ready, "False", ConditionReason::Starting);
            let said = message(&refused, ConditionType::Stalled);
            assert!(said.contains("another collection") && said.contains("NAME-corpus"), "{said}");
            assert_eq!(refused.phase, "CorpusOwned: see condition Stalled");
        }
    }

    #[test]
    fn servers_that_serve_go_on_beside_one_that_finds_the_corpus_of_another_cluster() {
        let (cluster, mut world) = serving(EXTERNAL);
        let waiting =
            Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
        world.reports.get_mut("pod-1").unwrap().answer = Answer::Said(waiting);
        let mixed = after(&cluster, &world);
        is(&mixed, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
        is(&mixed, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
    }

    #[test]
    fn a_store_that_the_servers_wait_for_is_unreachable_after_a_minute() {
        let (cluster, mut world) = starting("{}");
        let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
        for report in world.reports.values_mut() {
            report.answer = Answer::Said(waiting.clone());
        }
        let at = |seconds| after(&cluster, &world.clone().later(seconds));
        is(&at(60), ConditionType::VectorStoreReady, "False", ConditionReason::Starting);
        is(&at(61), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
        // A store that came later than its servers has its own minute.
        let ready = world.later(120);
        let store = server_pod(&pass(&cluster, &ready).0, 9, "r", ready.now);
        let later = Observed { qdrant_pods: vec![store], ..ready };
        is(
            &after(&cluster, &later.clone().later(60)),
            ConditionType::VectorStoreReady,
            "False",
            ConditionReason::Starting,
        );
        is(&after(&cluster, &later.later(61)), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
    }

    #[test]
    fn a_change_of_the_store_is_under_way_until_its_pod_is_replaced() {
        let (mut cluster, world) = serving("{}");
        let changed = "{qdrant: {podTemplate: {labels: {team: a}}}}";
        cluster.spec.vector_store = serde_yaml_ng::from_str(changed).unwrap();
        let moves = |world: &Observed| {
            let new = after(&cluster, world);
            is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
            assert!(
                message(&new, ConditionType::Reconciling).contains("of an earlier revision"),
                "{:?}",
                new.conditions
            );
        };
        moves(&world);
        let mut replaced = applied(&cluster, &world);
        is(&after(&cluster, &replaced), ConditionType::Reconciling, "False", ConditionReason::Settled);
        let unseen = |world: &mut Observed, generation| {
            world.children.qdrant_stateful_set.as_mut().unwrap().metadata.generation = Some(generation);
        };
        unseen(&mut replaced, 2);
        moves(&replaced);
        unseen(&mut replaced, 1);
        moves(&Observed { qdrant_pods: world.qdrant_pods.clone(), ..replaced });
    }

    #[test]
    fn a_store_that_is_far_from_the_servers_client_is_said_where_the_store_is() {
        let (cluster, _) = serving("vectorStore: {qdrant: {image: 'example.com/qdrant:1.18.2'}}");
        let status = cluster.status.unwrap();
        is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
        let said = message(&status, ConditionType::VectorStoreReady);
        assert!(said.starts_with("vector store reached by the servers (Qdrant 1.18 is more than one minor"), "{said}");
        assert!(!message(&serving("{}").0.status.unwrap(), ConditionType::VectorStoreReady).contains("Qdrant"));
    }

    #[test]
    fn the_embedded_store_is_never_asked_for_a_connection() {
        let (cluster, world) = starting(EMBEDDED);
        let new = after(&cluster, &world);
        is(&new, ConditionType::VectorStoreReady, "Unknown", ConditionReason::Starting);
        assert_eq!(message(&new, ConditionType::VectorStoreReady), "the vector store opens with its server");
        assert_eq!(new.phase, "Starting: servers 0/1");
    }

    #[test]
    fn what_was_asked_before_a_server_was_ready_says_nothing_about_it() {
        let (cluster, mut world) = starting("{}");
        let asked = world.now;
        world = world.later(5);
        let ready = server_pod(&pass(&cluster, &world).0, 0, "r", world.now);
        for pod in &mut world.server_pods {
            pod.status.clone_from(&ready.status);
        }
        assert!(world.reports.values().all(|report| report.asked_at == asked));
        let new = after(&cluster, &world);
        is(&new, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::NotReported);
    }

    #[test]
    fn only_what_means_something_else_is_news_and_the_rest_has_no_event() {
        let (cluster, world) = serving("{}");
        let old = cluster.status.as_ref().unwrap();
        assert!(!is_news(Some(old), old) && is_news(None, old));
        let mut more = world.clone();
        let deployment = more.children.deployment.as_mut().unwrap();
        deployment.spec.replicas = Some(6);
        deployment.status.as_mut().unwrap().replicas = Some(5);
        deployment.status.as_mut().unwrap().updated_replicas = Some(5);
        let scaled = after(&cluster, &more);
        assert_ne!(&scaled, old);
        assert!(!is_news(Some(old), &scaled) && told(&cluster, &scaled).is_empty());
        let mut fewer = world;
        fewer.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
        let degraded = after(&cluster, &fewer);
        assert!(is_news(Some(old), &degraded) && !told(&cluster, &degraded).is_empty());
    }

    #[test]
    fn an_invalid_spec_stalls_and_leaves_what_runs_as_it_is() {
        let (mut cluster, world) = serving("{}");
        cluster.metadata.generation = Some(2);
        cluster.spec = super::super::fixtures::cluster("resources: {requests: {cpu: '0'}}").spec;
        let problems = validate(&cluster, &world).unwrap_err();
        let new = status(&cluster, &world, &Outcome::Invalid { problems });
        is(&new, ConditionType::Stalled, "True", ConditionReason::InvalidSpec);
        is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
        let old = cluster.status.as_ref().unwrap();
        assert_eq!((&new.revision, &new.selector, &new.endpoint), (&old.revision, &old.selector, &old.endpoint));
        assert_eq!(new.observed_generation, Some(2));
        assert!(new.phase.starts_with("InvalidSpec: spec.resources"), "{}", new.phase);
        assert_eq!(told(&cluster, &new), ["Warning InvalidSpec"]);
    }

    #[test]
    fn a_missing_secret_stalls_the_next_revision_and_is_looked_for_within_thirty_seconds() {
        let (mut cluster, mut world) = serving("autoscaling: {enabled: false}");
        cluster.metadata.generation = Some(2);
        cluster.spec.replicas = 4;
        cluster.spec.pod_template =
            serde_json::from_value(serde_json::json!({"imagePullSecrets": [{"name": "pull"}]})).unwrap();
        world.referenced_secrets.insert("pull".into(), Presence::Missing);
        let held = after(&cluster, &world);
        is(&held, ConditionType::Stalled, "True", ConditionReason::SecretMissing);
        is(&held, ConditionType::Reconciling, "False", ConditionReason::Settled);
        let said = message(&held, ConditionType::Stalled);
        assert!(
            said.contains("no Secret \"pull\"") && said.contains("what needs no new revision is applied"),
            "{said}"
        );
        assert_eq!(held.revision, cluster.status.as_ref().unwrap().revision);
        // The world that follows has the fourth server: what serves is told as it is.
        let scaled = applied(&cluster, &world);
        let held = after(&cluster, &scaled);
        is(&held, ConditionType::Ready, "True", ConditionReason::Serving);
        is(&held, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
        assert_eq!(held.servers, "4/4");
        assert_eq!(told(&cluster, &held), ["Warning SecretMissing"]);
        assert!(next_look(&held) <= Duration::from_secs(30) && next_look(&held) > LOOK_WHILE_MOVING);
        world.referenced_secrets.insert("pull".into(), Presence::Exists);
        let released = after(&cluster, &world);
        is(&released, ConditionType::Stalled, "False", ConditionReason::Unhindered);
        assert_ne!(released.revision, held.revision);
    }

    #[test]
    fn a_failure_is_said_by_its_class() {
        let (cluster, world) = serving("{}");
        let failed = |class| {
            let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
            let failure =
                Failure { phase: Phase::Apply, class, message: "patch deployments".into(), remedy: "do this".into() };
            status(&cluster, &world, &Outcome::Failed { planned, failure })
        };
        let forbidden = failed(Class::Forbidden);
        is(&forbidden, ConditionType::Stalled, "True", ConditionReason::Forbidden);
        assert_eq!(told(&cluster, &forbidden), ["Warning Forbidden"]);
        is(&failed(Class::Invalid), ConditionType::Stalled, "True", ConditionReason::Rejected);
        let transient = failed(Class::Transient);
        is(&transient, ConditionType::Stalled, "False", ConditionReason::Unhindered);
        is(&transient, ConditionType::Reconciling, "True", ConditionReason::Retrying);
        is(&transient, ConditionType::Ready, "True", ConditionReason::Serving);
        assert!(told(&cluster, &transient).is_empty());
    }

    #[test]
    fn a_budget_waits_for_servers_that_know_it() {
        let (mut cluster, mut world) =
            serving("{generation: {providers: [{name: a, baseUrl: 'https://a/v1', model: m}]}}");
        cluster.spec.budget = serde_json::from_value(serde_json::json!({"monthlyUsd": 20})).unwrap();
        assert!(after(&cluster, &world).next.iter().all(|step| !step.what.contains("spec.budget")));
        for revision in &mut world.children.revisions {
            revision.data.0["configSchema"] = serde_json::json!(1);
        }
        let waiting = after(&cluster, &world);
        assert!(waiting.next.iter().any(|step| step.what.contains("spec.budget")), "{:?}", waiting.next);
        let live = pass(&cluster, &world).2.live.data.unwrap()["live.toml"].clone();
        assert_eq!(live, "read_only = false\n");
    }

    #[test]
    fn the_key_of_a_removed_client_is_told_while_a_server_accepts_it() {
        let (mut cluster, mut world) = serving("auth: {apiKeys: [{name: nightly}, {name: web}]}");
        let names = ["api-key.nightly", "api-key.web", "operator", "vector-store"];
        for report in world.reports.values_mut() {
            let Answer::Said(said) = &mut report.answer else { unreachable!() };
            said.credentials = names.map(str::to_owned).into();
        }
        let lingers = |cluster: &RagCluster, world: &Observed| {
            let steps = after(cluster, world).next.into_iter().map(|step| step.what);
            steps.filter(|what| what.contains("spec.auth.apiKeys")).collect::<Vec<String>>()
        };
        assert!(lingers(&cluster, &world).is_empty());
        cluster.spec.auth.api_keys.remove(0);
        let told = lingers(&cluster, &world);
        assert!(told.len() == 1 && told[0].ends_with("the key of nightly"), "{told:?}");
        for report in world.reports.values_mut() {
            let Answer::Said(said) = &mut report.answer else { unreachable!() };
            said.credentials.remove("api-key.nightly");
        }
        assert!(lingers(&cluster, &world).is_empty());
    }

    #[test]
    fn a_paused_cluster_says_so_and_still_reports() {
        let (cluster, world) = serving("{}");
        let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
        let paused = status(&cluster, &world, &Outcome::Paused { planned });
        assert_eq!((paused.phase.as_str(), paused.servers.as_str()), ("Paused, serving", "3/3"));
        is(&paused, ConditionType::Reconciling, "False", ConditionReason::Paused);
        assert_eq!(told(&cluster, &paused), ["Normal Paused"]);
    }

    #[test]
    fn what_is_planned_and_not_carried_out_is_not_expected_of_the_servers() {
        let (mut cluster, world) = serving("{}");
        cluster.spec.retrieval.top_k = 9;
        cluster.spec.read_only = true;
        let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
        let paused = status(&cluster, &world.later(3600), &Outcome::Paused { planned });
        let old = cluster.status.as_ref().unwrap();
        assert_eq!((&paused.revision, &paused.configuration), (&old.revision, &old.configuration));
        is(&paused, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
        is(&paused, ConditionType::Ready, "True", ConditionReason::Serving);
    }

    #[test]
    fn a_field_that_was_put_back_is_told_once() {
        let (mut cluster, world) = serving("{}");
        let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
        let correction = Correction {
            object: "Deployment/handbook-server".into(),
            fields: vec!["spec.template.spec.containers[name=server].image".into()],
            by: "kubectl-edit".into(),
        };
        let put_back = status(&cluster, &world, &Outcome::Applied { planned, corrections: vec![correction] });
        assert_eq!(told(&cluster, &put_back), ["Warning ChangePutBack"]);
        cluster.status = Some(put_back);
        assert!(told(&cluster, &after(&cluster, &world.later(60))).is_empty());
    }

    #[test]
    fn a_capped_number_is_said_until_it_no_longer_is() {
        let (mut cluster, world) = serving("autoscaling: {maxReplicas: 25}");
        let capped = cluster.status.clone().unwrap();
        is(&capped, ConditionType::ReplicasCapped, "True", ConditionReason::AboveCeiling);
        let message = &conditions::find(&capped.conditions, ConditionType::ReplicasCapped).unwrap().message;
        assert!(message.contains("asked for 25 servers, capped at 20"), "{message}");
        cluster.spec.autoscaling.max_replicas = 20;
        assert_eq!(told(&cluster, &after(&cluster, &world)), ["Normal ReplicasCappedOver"]);
    }

    #[test]
    fn the_embedded_store_is_ready_with_its_server() {
        let (cluster, _) = serving(EMBEDDED);
        let status = cluster.status.unwrap();
        is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Embedded);
        assert_eq!(condition(&status, ConditionType::AutoscalingExact), Default::default());
        assert_eq!(status.autoscaling, None);
    }

    #[test]
    fn a_dropped_tolerance_is_said_with_a_remedy() {
        let (cluster, mut world) = serving("{}");
        is(cluster.status.as_ref().unwrap(), ConditionType::AutoscalingExact, "True", ConditionReason::DeadBand);
        let autoscaler = world.children.autoscaler.as_mut().unwrap();
        autoscaler.spec.behavior.as_mut().unwrap().scale_down.as_mut().unwrap().tolerance = None;
        let removed = after(&cluster, &world);
        is(&removed, ConditionType::AutoscalingExact, "True", ConditionReason::DeadBand);
        let metadata = &mut world.children.autoscaler.as_mut().unwrap().metadata;
        metadata.annotations.get_or_insert_default().insert("ragops.dev/tolerance-dropped".into(), "v1.34.2".into());
        let inexact = after(&cluster, &world);
        is(&inexact, ConditionType::AutoscalingExact, "False", ConditionReason::ToleranceDropped);
        is(&inexact, ConditionType::Ready, "True", ConditionReason::Serving);
        assert_eq!(told(&cluster, &inexact), ["Warning ToleranceDropped"]);
    }
}
