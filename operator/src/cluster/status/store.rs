//! Whether the vector store is reached.

use jiff::{SignedDuration, Timestamp};

use super::conditions::{Finding, State};
use super::pods;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::observed::Observed;

/// How a server calls the store among the things that it waits for.
const STORE_IN_WAITING: &str = "vector store";

/// For so long after it could have been reached, a store that a server waits for is a part of the start.
const START: SignedDuration = SignedDuration::from_mins(1);

/// The servers know best: one that is ready has reached its store. Before any is, a managed store speaks for itself.
pub(super) fn finding(cluster: &RagCluster, observed: &Observed) -> Finding {
    let found = |state, reason, message: String| Finding::new(ConditionType::VectorStoreReady, state, reason, message);
    if cluster.spec.vector_store.as_ref().is_some_and(|store| store.embedded.is_some()) {
        return embedded(observed);
    }
    if is_down(cluster, observed) {
        let trouble = pods::trouble(&observed.qdrant_pods);
        let (reason, message) = trouble.unwrap_or((ConditionReason::Starting, "it is starting".to_owned()));
        return found(State::False, reason, format!("vector store 0 of 1: {message}"));
    }
    let said = || observed.reports.values().filter_map(|report| report.answer.said());
    if said().any(|said| said.ready) {
        return found(State::True, ConditionReason::Reachable, "vector store reached by the servers".into());
    }
    match waits(observed) {
        Some((part, since)) if observed.now.duration_since(since) > START => found(
            State::False,
            ConditionReason::Unreachable,
            format!(
                "the servers wait for {part}; see that its address and key are right, and that the network lets them through"
            ),
        ),
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

/// A few words for a store that is not ready.
pub(super) fn summary(cluster: &RagCluster, observed: &Observed) -> &'static str {
    if is_down(cluster, observed) { "vector store 0/1" } else { "vector store" }
}

fn is_managed(cluster: &RagCluster) -> bool {
    cluster.spec.vector_store.as_ref().is_none_or(|store| store.qdrant.is_some())
}

/// A managed store without a ready pod.
fn is_down(cluster: &RagCluster, observed: &Observed) -> bool {
    let set = observed.children.qdrant_stateful_set.as_ref();
    is_managed(cluster) && set.and_then(|set| set.status.as_ref()?.ready_replicas).unwrap_or(0) == 0
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
