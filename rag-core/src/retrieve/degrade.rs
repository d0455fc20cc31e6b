//! What is left out when the time is short: the time that each step needs, in the order of [`Degradation`](crate::model::Degradation).

use std::time::Duration;

use crate::resilience::Deadline;

/// Time that must be left for a reranker to be asked at all; a call over a network takes a part of it.
pub(super) const RERANK_NEEDS: Duration = Duration::from_millis(500);
/// Time that is kept for the answer after a reranker: it is cut off then.
pub(super) const AFTER_RERANK: Duration = Duration::from_millis(250);
/// Time that must be left for both legs; one alone takes half of the store's time.
pub(super) const LEXICAL_NEEDS: Duration = Duration::from_millis(100);
/// Time that must be left for all the passages that were asked for; half of them are half the work of whoever reads them.
pub(super) const CONTEXT_NEEDS: Duration = Duration::from_millis(50);

/// Whether less than `needed` is left.
pub(super) fn is_short(deadline: Option<Deadline>, needed: Duration) -> bool {
    deadline.is_some_and(|deadline| deadline.left() < needed)
}
