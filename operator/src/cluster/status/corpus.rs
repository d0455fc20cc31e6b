//! Whether what the store holds is the cluster's own. The servers know: they find the id of its owner beside it.

use crate::api::{ConditionReason, ConditionType};
use crate::cluster::observed::{CORPUS_OF_ANOTHER, Observed};
use crate::conditions::{Finding, State};

/// What is wrong and what to do, where servers find the corpus of another cluster. It never comes right by waiting.
pub(super) fn foreign(observed: &Observed) -> Option<String> {
    let said = observed.reports.values().filter_map(|report| report.answer.said());
    let (refused, all) = said.fold((0, 0), |(refused, all), said| {
        let waits = said.waiting_for.iter().any(|part| part.contains(CORPUS_OF_ANOTHER));
        (refused + usize::from(waits), all + 1)
    });
    (refused > 0).then(|| {
        format!(
            "what the vector store holds {CORPUS_OF_ANOTHER}, as {refused} of {all} servers say, and is left alone; use another \
             collection, remove that one if it is not needed, or take it over by the id that the servers' log names (see \
             ConfigMap NAME-corpus in docs/cluster.md)"
        )
    })
}

/// VectorStoreReady, while no server serves. One that does has a corpus.
pub(super) fn finding(foreign: Option<&str>, ready_servers: i32) -> Option<Finding> {
    let message = foreign.filter(|_| ready_servers == 0)?;
    let (type_, reason) = (ConditionType::VectorStoreReady, ConditionReason::CorpusOwned);
    Some(Finding::new(type_, State::False, reason, message))
}
