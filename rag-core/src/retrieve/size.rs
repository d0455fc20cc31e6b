//! How many chunks are searched: a figure for people, counted beside the questions and never in their way.
//!
//! An exact count takes a store as long as it takes, and may fail. So a question starts one when the known figure is old, lets it go on while it is searched, and is answered without it
//! when it is not there by then. Whoever looks after the collection counts in his own time ([`CorpusSize::count`]).

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::{Either, select};

use crate::ports::{Epoch, StoreError, VectorStore};

/// How old the count may be before it is asked for again. It is a figure for people; a second late is on time.
const FRESH: Duration = Duration::from_secs(1);

/// The epoch that is searched: the one that was asked for, or the active one, if there is one.
pub(super) async fn searched(store: &dyn VectorStore, asked: Option<Epoch>) -> Result<Option<Epoch>, StoreError> {
    match asked {
        Some(epoch) => Ok(Some(epoch)),
        None => store.active().await,
    }
}

/// The number of chunks of the epoch that is searched, as it was counted last.
#[derive(Debug, Default)]
pub(super) struct CorpusSize {
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    chunks: Option<u64>,
    /// When it was asked for, so that one question counts and the others of that second do not.
    asked: Option<Instant>,
}

impl CorpusSize {
    /// The last count, whatever its age.
    pub(super) fn last(&self) -> Option<u64> {
        self.known(|known| known.chunks)
    }

    /// Counts now.
    pub(super) async fn count(&self, store: &dyn VectorStore, epoch: Option<Epoch>) -> Result<u64, StoreError> {
        let chunks = match searched(store, epoch).await? {
            Some(epoch) => store.count(epoch).await?,
            None => 0,
        };
        self.known(|known| known.chunks = Some(chunks));
        Ok(chunks)
    }

    /// Does `work`, and beside it counts when the last count is old. The work is neither kept waiting nor failed by it.
    pub(super) async fn beside<T>(
        &self,
        counting: impl Future<Output = Result<u64, StoreError>>,
        work: impl Future<Output = T>,
    ) -> T {
        if !self.is_due(Instant::now()) {
            return work.await;
        }
        match select(pin!(counting), pin!(work)).await {
            Either::Left((counted, work)) => {
                if let Err(error) = counted {
                    tracing::debug!(%error, "the chunks were not counted; the last known number is told");
                }
                work.await
            }
            Either::Right((done, _)) => done,
        }
    }

    /// Whether somebody has to count; whoever asks is the one.
    fn is_due(&self, now: Instant) -> bool {
        self.known(|known| {
            let is_fresh = known.asked.is_some_and(|asked| now.duration_since(asked) < FRESH);
            // An empty corpus is about to change, and cheap to count.
            let is_due = !is_fresh || known.chunks == Some(0);
            if is_due {
                known.asked = Some(now);
            }
            is_due
        })
    }

    fn known<T>(&self, with: impl FnOnce(&mut Known) -> T) -> T {
        with(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn, ready},
        task::Poll,
    };

    use super::*;

    fn failed() -> Result<u64, StoreError> {
        Err(StoreError::Failed { store: "the store", cause: "it takes too long".to_owned() })
    }

    #[tokio::test]
    async fn a_question_is_answered_though_the_count_fails_or_never_ends() {
        assert_eq!(CorpusSize::default().beside(pending(), ready("found")).await, "found");
        assert_eq!(CorpusSize::default().beside(ready(failed()), ready("found")).await, "found");
    }

    #[tokio::test]
    async fn a_question_goes_on_when_the_count_ends_before_it() {
        let mut polled = 0;
        let search = poll_fn(|context| {
            polled += 1;
            context.waker().wake_by_ref();
            if polled < 3 { Poll::Pending } else { Poll::Ready("found") }
        });
        assert_eq!(CorpusSize::default().beside(ready(Ok(7)), search).await, "found");
    }

    #[test]
    fn one_question_of_a_second_counts_and_an_empty_corpus_is_counted_each_time() {
        let (size, now) = (CorpusSize::default(), Instant::now());
        assert!(size.is_due(now), "nothing is known");
        assert!(!size.is_due(now + FRESH / 2), "somebody counts, or failed to");
        assert!(size.is_due(now + FRESH) && !size.is_due(now + FRESH));
        size.known(|known| known.chunks = Some(0));
        assert!(size.is_due(now + FRESH));
    }
}
