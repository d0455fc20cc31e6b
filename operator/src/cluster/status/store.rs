//! Whether the vector store is reached: what the servers last saw of it, for as long as they saw it so.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::{Planned, pods};
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::decide::replace::is_seen;
use crate::cluster::decide::volume;
use crate::cluster::observed::{Observed, SeenStore};
use crate::cluster::validate::client_warning;
use crate::conditions::{self, Finding, State};

/// How a server calls the store among the things that it waits for.
pub(super) const STORE_IN_WAITING: &str = "vector store";

/// For so long after it could have been reached, a store that a server waits for is a part of the start; and so is what else a
/// server waits for, for so long after its own start.
pub(super) const START: SignedDuration = SignedDuration::from_mins(1);

/// Whether it is reached, what it may be too far from, and a volume that is not what the spec asks for.
pub(super) fn finding(cluster: &RagCluster, planned: Option<&Planned>, observed: &Observed) -> Finding {
    let mut finding = reached(cluster, observed);
    let client = client_warning(observed).filter(|_| is_managed(cluster));
    let volume = planned.and_then(|planned| volume::warning(&planned.cluster, observed));
    for warning in client.into_iter().chain(volume) {
        finding.message = format!("{} ({warning})", finding.message);
    }
    finding
}

/// The servers know best: one that is ready has reached its store, and says when it no longer does. Before any is, a managed store
/// speaks for itself.
fn reached(cluster: &RagCluster, observed: &Observed) -> Finding {
    let found = |state, reason, message: String| Finding::new(ConditionType::VectorStoreReady, state, reason, message);
    if cluster.spec.embedded().is_some() {
        return embedded(observed);
    }
    if is_down(cluster, observed) {
        let trouble = pods::trouble(&observed.qdrant_pods, &pods::STORE, observed.now);
        let (reason, message) = trouble.unwrap_or((ConditionReason::Starting, "it is starting".to_owned()));
        return found(State::False, reason, format!("vector store 0 of 1: {message}"));
    }
    if let Some(lost) = lost(observed) {
        return lost.finding(cluster);
    }
    let said = || observed.reports.values().filter_map(|report| report.answer.said());
    if said().any(|said| said.ready) {
        return found(State::True, ConditionReason::Reachable, "vector store reached by the servers".into());
    }
    match waits(observed) {
        Some((part, since)) if observed.now.duration_since(since) > START => {
            let reason = reason(cause_in(part).as_deref());
            found(State::False, reason, format!("the servers wait for {part}; {}", remedy(reason, cluster)))
        }
        Some(_) => {
            found(State::False, ConditionReason::Starting, "the servers are connecting to the vector store".into())
        }
        None if is_managed(cluster) => found(State::True, ConditionReason::Reachable, "vector store 1 of 1".into()),
        None => found(
            State::Unknown,
            ConditionReason::NotReported,
            "no server has said yet whether it reaches the vector store".into(),
        ),
    }
}

/// What servers that take traffic saw of a store that some of them do not reach.
struct Lost<'a> {
    /// The servers that do not.
    by: Vec<&'a SeenStore>,
    /// Of so many that say how they see it.
    of: usize,
}

fn lost(observed: &Observed) -> Option<Lost<'_>> {
    let ready = observed.reports.values().filter_map(|report| report.answer.said()).filter(|said| said.ready);
    let seen: Vec<&SeenStore> = ready.filter_map(|said| said.store.as_ref()).collect();
    let of = seen.len();
    let by: Vec<&SeenStore> = seen.into_iter().filter(|store| !store.reachable).collect();
    (!by.is_empty()).then_some(Lost { by, of })
}

impl Lost<'_> {
    fn finding(&self, cluster: &RagCluster) -> Finding {
        let reason = self.reason(cluster);
        let verb = if self.by.len() == 1 { "does" } else { "do" };
        let since = self.by.iter().filter_map(|store| store.since).min();
        let since = since.map(|since| format!(", since {since:.0}")).unwrap_or_default();
        let mut causes = self.by.iter().filter_map(|store| store.cause.as_deref());
        let cause = causes.find(|cause| self::reason(Some(*cause)) == reason);
        let cause = cause.map_or_else(|| "no answer".to_owned(), in_words);
        let (store, remedy) = if self.is_database(cluster) {
            ("the database of the records", database_remedy(reason))
        } else {
            ("the vector store", remedy(reason, cluster))
        };
        let message =
            format!("{} of {} servers {verb} not reach {store} ({cause}{since}); {remedy}", self.by.len(), self.of);
        Finding::new(ConditionType::VectorStoreReady, State::False, reason, message)
    }

    /// Whether it is the records alone, which are somewhere else than the vectors.
    fn is_database(&self, cluster: &RagCluster) -> bool {
        let is_elsewhere = cluster.spec.records.as_ref().is_some_and(|records| records.postgres.is_some());
        is_elsewhere && self.by.iter().all(|store| store.is_records)
    }

    /// Servers may see different causes, and a server one after the other: as long as one of them sees the cause that was told
    /// last, it is the reason.
    fn reason(&self, cluster: &RagCluster) -> ConditionReason {
        let told = cluster.status.as_ref().and_then(|status| {
            conditions::find(&status.conditions, ConditionType::VectorStoreReady).map(|told| told.reason.as_str())
        });
        let reasons: Vec<ConditionReason> = self.by.iter().map(|store| reason(store.cause.as_deref())).collect();
        let same = reasons.iter().find(|reason| Some(reason.as_str()) == told);
        same.or(reasons.first()).copied().unwrap_or(ConditionReason::Unreachable)
    }
}

/// The class of a cause, as the servers name it.
fn reason(cause: Option<&str>) -> ConditionReason {
    match cause {
        None | Some("unreachable") => ConditionReason::Unreachable,
        Some("auth_failed") => ConditionReason::AuthFailed,
        Some("timeout") => ConditionReason::Timeout,
        Some("rate_limited") => ConditionReason::RateLimited,
        Some(_) => ConditionReason::Failing,
    }
}

fn in_words(cause: &str) -> String {
    cause.replace('_', " ")
}

/// The cause that stands in brackets behind a part that is waited for.
fn cause_in(part: &str) -> Option<String> {
    let (_, cause) = part.split_once(" (")?;
    Some(cause.strip_suffix(')')?.replace(' ', "_"))
}

/// What a person can do about a store that is not reached.
fn remedy(reason: ConditionReason, cluster: &RagCluster) -> &'static str {
    match reason {
        ConditionReason::AuthFailed if is_managed(cluster) => {
            "delete the pod of the vector store, which starts anew with the key that the servers have"
        }
        ConditionReason::AuthFailed => {
            "correct the key in the Secret that spec.vectorStore.externalQdrant.apiKeySecretRef names"
        }
        ConditionReason::Timeout => "see the load of the vector store, and the network between",
        ConditionReason::RateLimited => "let the vector store take more requests",
        ConditionReason::Failing => "see the log of the vector store",
        _ => "see that it runs, that its address and key are right, and that the network lets the servers through",
    }
}

/// What a person can do about a database that is not reached.
fn database_remedy(reason: ConditionReason) -> &'static str {
    match reason {
        ConditionReason::AuthFailed => {
            "correct the username and the password in the Secret that spec.records.postgres.secretRef names"
        }
        ConditionReason::Timeout => "see the load of the database, and the network between",
        ConditionReason::RateLimited => "let the database take more connections",
        ConditionReason::Failing => "see the log of the database",
        _ => {
            "see that it runs, that the host in its Secret and spec.records.postgres.port are right, and that the network lets the servers through"
        }
    }
}

/// Whether the volume has been asked for as the spec does, and the managed store's pod is of the revision that is planned, with a
/// StatefulSet that is there to stay. Whether it is ready is another matter, and so is how long a volume takes to grow.
pub(super) fn has_settled(planned: Option<&Planned>, observed: &Observed) -> bool {
    let Some(plan) = planned.map(|planned| &planned.plan) else { return true };
    if plan.growth.is_some() {
        return false;
    }
    let Some(revision) = &plan.qdrant_revision else { return true };
    let Some(set) = &observed.children.qdrant_stateful_set else { return false };
    observed.children.qdrant_revision().as_ref() == Some(&revision.name)
        && is_seen(set)
        && plan.outdated.is_empty()
        && plan.remade.is_none()
}

/// A few words for a store that is not ready.
pub(super) fn summary(cluster: &RagCluster, observed: &Observed) -> &'static str {
    if is_down(cluster, observed) { "vector store 0/1" } else { "vector store" }
}

fn is_managed(cluster: &RagCluster) -> bool {
    cluster.spec.vector_store.as_ref().is_none_or(|store| store.qdrant.is_some())
}

/// A managed store without a ready pod. A StatefulSet that is being made again has not counted the pod that goes on.
fn is_down(cluster: &RagCluster, observed: &Observed) -> bool {
    let set = observed.children.qdrant_stateful_set.as_ref();
    let counted = set.and_then(|set| set.status.as_ref()?.ready_replicas).unwrap_or(0);
    let is_ready = |pod: &Pod| pods::ready_since(pod).is_some();
    is_managed(cluster) && counted == 0 && !observed.qdrant_pods.iter().any(is_ready)
}

/// The engine opens with its server, and a server that takes traffic has opened it.
fn embedded(observed: &Observed) -> Finding {
    let found = |state, reason, message| Finding::new(ConditionType::VectorStoreReady, state, reason, message);
    if observed.server_pods.iter().any(|pod| pods::ready_since(pod).is_some()) {
        return found(State::True, ConditionReason::Embedded, "vector store inside the server");
    }
    found(State::Unknown, ConditionReason::Starting, "the vector store opens with its server")
}

/// What a server says it waits for of the store, and since when it could have had it: its own start, or the store's.
fn waits(observed: &Observed) -> Option<(&str, Timestamp)> {
    let store = observed.qdrant_pods.iter().filter_map(pods::ready_since).max();
    let mut waiting: Vec<(&str, Timestamp)> = Vec::new();
    for pod in &observed.server_pods {
        let report = pod.metadata.uid.as_ref().and_then(|uid| observed.reports.get(uid));
        let said = report.and_then(|report| report.answer.said());
        let parts = said.map(|said| said.waiting_for.as_slice()).unwrap_or_default();
        let Some(part) = parts.iter().find(|part| part.contains(STORE_IN_WAITING)) else { continue };
        let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        let since = started.max(store).unwrap_or(observed.now);
        waiting.push((part, since));
    }
    waiting.into_iter().min_by_key(|(_, since)| *since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RagClusterStatus;
    use crate::cluster::events::events;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass};
    use crate::cluster::observed::{Answer, Presence};
    use crate::cluster::status::{Outcome, Planned, status};

    /// A cluster and a world in which everything is ready.
    fn serving(spec: &str) -> (RagCluster, Observed) {
        let cluster = cluster(spec);
        let mut world = nothing();
        world.referenced_secrets.insert("qdrant-cloud".to_owned(), Presence::Exists);
        let world = applied(&cluster, &world);
        (cluster, world)
    }

    /// What a server says of the store: the class of what is wrong with it, if anything is.
    fn sees(world: &mut Observed, pod: &str, cause: Option<&str>) {
        let Answer::Said(said) = &mut world.reports.get_mut(pod).unwrap().answer else { panic!("{pod} is silent") };
        let (since, cause) = (Some(world.now), cause.map(str::to_owned));
        said.store = Some(SeenStore { is_records: false, reachable: cause.is_none(), since, cause });
    }

    fn after(cluster: &RagCluster, world: &Observed) -> RagClusterStatus {
        let (valid, plan, _) = pass(cluster, world);
        let planned = Box::new(Planned::of(valid, plan));
        status(cluster, world, &Outcome::Applied { planned, corrections: Vec::new(), refused: None })
    }

    fn is(status: &RagClusterStatus, type_: ConditionType, state: &str, reason: ConditionReason) -> String {
        let found = conditions::find(&status.conditions, type_).unwrap();
        assert_eq!((found.status.as_str(), found.reason.as_str()), (state, reason.as_str()), "{type_}");
        found.message.clone()
    }

    fn told(cluster: &RagCluster, new: &RagClusterStatus) -> Vec<String> {
        events(cluster.status.as_ref(), new).into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn a_database_of_the_records_that_is_lost_is_not_called_the_vector_store() {
        let (mut cluster, mut world) = serving("records: {postgres: {secretRef: {name: db}}}");
        let lost = |world: &mut Observed, is_records| {
            for pod in ["pod-0", "pod-1", "pod-2"] {
                sees(world, pod, Some("auth_failed"));
                let Answer::Said(said) = &mut world.reports.get_mut(pod).unwrap().answer else { panic!() };
                said.store.as_mut().unwrap().is_records = is_records;
            }
        };
        lost(&mut world, true);
        let message = |cluster: &RagCluster, world: &Observed| {
            is(&after(cluster, world), ConditionType::VectorStoreReady, "False", ConditionReason::AuthFailed)
        };
        let said = message(&cluster, &world);
        assert!(said.contains("3 of 3 servers do not reach the database of the records (auth failed"), "{said}");
        assert!(said.contains("in the Secret that spec.records.postgres.secretRef names"), "{said}");
        // Beside the vectors it is the same Qdrant.
        cluster.spec.records = None;
        assert!(message(&cluster, &world).contains("do not reach the vector store"));
    }

    #[test]
    fn a_store_that_is_lost_after_the_start_degrades_and_its_return_is_told() {
        for spec in ["{}", EXTERNAL] {
            let (mut cluster, mut world) = serving(spec);
            for pod in ["pod-0", "pod-1", "pod-2"] {
                sees(&mut world, pod, None);
            }
            let serves = after(&cluster, &world);
            is(&serves, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
            cluster.status = Some(serves);
            for pod in ["pod-0", "pod-1", "pod-2"] {
                sees(&mut world, pod, Some("unreachable"));
            }
            let lost = after(&cluster, &world);
            let said = is(&lost, ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
            let expected =
                "3 of 3 servers do not reach the vector store (unreachable, since 2026-11-21T08:00:00Z); see ";
            assert!(said.starts_with(expected), "{said}");
            is(&lost, ConditionType::Ready, "False", ConditionReason::Degraded);
            assert_eq!(lost.phase, "Degraded: vector store");
            assert_eq!(told(&cluster, &lost), ["Degraded", "Unreachable"]);
            cluster.status = Some(lost);
            for pod in ["pod-0", "pod-1", "pod-2"] {
                sees(&mut world, pod, None);
            }
            let back = after(&cluster, &world);
            is(&back, ConditionType::Ready, "True", ConditionReason::Serving);
            assert_eq!(told(&cluster, &back), ["Serving", "Reachable"]);
        }
    }

    #[test]
    fn one_server_that_does_not_reach_the_store_is_counted() {
        let (cluster, mut world) = serving("{}");
        sees(&mut world, "pod-0", None);
        sees(&mut world, "pod-1", Some("timeout"));
        let said = is(&after(&cluster, &world), ConditionType::VectorStoreReady, "False", ConditionReason::Timeout);
        assert!(said.starts_with("1 of 2 servers does not reach the vector store (timeout, since "), "{said}");
    }

    #[test]
    fn each_class_of_cause_has_its_reason_and_its_remedy() {
        for (spec, cause, expected, remedy) in [
            ("{}", "auth_failed", ConditionReason::AuthFailed, "delete the pod of the vector store"),
            (EXTERNAL, "auth_failed", ConditionReason::AuthFailed, "apiKeySecretRef"),
            ("{}", "timeout", ConditionReason::Timeout, "load"),
            ("{}", "rate_limited", ConditionReason::RateLimited, "more requests"),
            ("{}", "failed", ConditionReason::Failing, "log"),
            ("{}", "what a later server may say", ConditionReason::Failing, "log"),
        ] {
            let (cluster, mut world) = serving(spec);
            sees(&mut world, "pod-1", Some(cause));
            let said = is(&after(&cluster, &world), ConditionType::VectorStoreReady, "False", expected);
            assert!(said.contains(&cause.replace('_', " ")) && said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn the_reason_stays_while_one_server_sees_it() {
        let (mut cluster, mut world) = serving("{}");
        sees(&mut world, "pod-1", Some("timeout"));
        cluster.status = Some(after(&cluster, &world));
        sees(&mut world, "pod-0", Some("unreachable"));
        let both = after(&cluster, &world);
        is(&both, ConditionType::VectorStoreReady, "False", ConditionReason::Timeout);
        assert!(told(&cluster, &both).is_empty());
        sees(&mut world, "pod-1", Some("unreachable"));
        let other = after(&cluster, &world);
        is(&other, ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
    }

    #[test]
    fn what_servers_wait_for_too_long_is_of_the_class_that_they_name() {
        let (cluster, mut world) = serving(EXTERNAL);
        for report in world.reports.values_mut() {
            let Answer::Said(said) = &mut report.answer else { panic!("silent") };
            (said.ready, said.waiting_for) = (false, vec!["the vector store (auth failed)".to_owned()]);
        }
        let late = after(&cluster, &world.later(61));
        let said = is(&late, ConditionType::VectorStoreReady, "False", ConditionReason::AuthFailed);
        assert!(said.contains("the vector store (auth failed); correct the key"), "{said}");
    }

    #[test]
    fn a_store_inside_the_server_is_not_asked_over_the_network() {
        let (cluster, mut world) = serving(EMBEDDED);
        sees(&mut world, "pod-0", Some("failed"));
        is(&after(&cluster, &world), ConditionType::VectorStoreReady, "True", ConditionReason::Embedded);
    }
}
