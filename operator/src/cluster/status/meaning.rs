//! What of a status has to be told at once, and what may wait for a second: figures that move, and the sentences that show them.

use crate::api::RagClusterStatus;

/// Whether `after` means something else than `before`. What is no news has no event either.
pub fn is_news(before: Option<&RagClusterStatus>, after: &RagClusterStatus) -> bool {
    before.is_none_or(|before| without_figures(before) != without_figures(after))
}

/// A field that is not named here is news, so that a new one is never held back by mistake.
fn without_figures(status: &RagClusterStatus) -> RagClusterStatus {
    let mut rest = status.clone();
    rest.phase.clear();
    rest.servers.clear();
    rest.next.clear();
    (rest.replicas, rest.ready_replicas) = (0, 0);
    for condition in &mut rest.conditions {
        condition.message.clear();
    }
    if let Some(autoscaling) = &mut rest.autoscaling {
        autoscaling.desired = None;
    }
    rest
}
