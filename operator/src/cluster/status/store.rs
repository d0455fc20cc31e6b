//! Whether the vector store is reached.

use super::conditions::{Finding, State};
use super::pods;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::observed::{Observed, Reported};

/// How a server calls the store among the things that it waits for.
const STORE_IN_WAITING: &str = "vector store";

/// The servers know best: one that is ready has reached its store. Before any is, a managed store speaks for itself.
pub(super) fn finding(cluster: &RagCluster, observed: &Observed) -> Finding {
    let found = |state, reason, message: String| Finding::new(ConditionType::VectorStoreReady, state, reason, message);
    let store = cluster.spec.vector_store.as_ref();
    let is_embedded = store.is_some_and(|store| store.embedded.is_some());
    let is_managed = store.is_none_or(|store| store.qdrant.is_some());
    let said: Vec<&Reported> = observed.reports.values().filter_map(|report| report.answer.said()).collect();
    let waits = said.iter().find_map(|said| said.waiting_for.iter().find(|part| part.contains(STORE_IN_WAITING)));
    let is_reached = said.iter().any(|said| said.ready);
    if is_managed {
        let ready = observed.children.qdrant_stateful_set.as_ref().and_then(|set| set.status.as_ref()?.ready_replicas);
        if ready.unwrap_or(0) == 0 {
            let trouble = pods::trouble(&observed.qdrant_pods);
            let (reason, message) = trouble.unwrap_or((ConditionReason::Starting, "it is starting".to_owned()));
            return found(State::False, reason, format!("vector store 0 of 1: {message}"));
        }
    }
    match (is_reached, waits) {
        (true, _) if is_embedded => {
            found(State::True, ConditionReason::Embedded, "vector store inside the server".into())
        }
        (true, _) => found(State::True, ConditionReason::Reachable, "vector store reached by the servers".into()),
        (false, Some(part)) => found(
            State::False,
            ConditionReason::Unreachable,
            format!(
                "the servers wait for {part}; see that its address and key are right, and that the network lets them through"
            ),
        ),
        (false, None) if is_managed => found(State::True, ConditionReason::Reachable, "vector store 1 of 1".into()),
        (false, None) => found(
            State::Unknown,
            ConditionReason::NotReported,
            "no server has said yet whether it reaches the vector store".into(),
        ),
    }
}
