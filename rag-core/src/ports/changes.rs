//! Counts the changes of the corpus, so that what was computed before one is never served after it.
//!
//! Flow: whoever commits or removes a document calls [`Changes::note`] after the write and before it is acknowledged; whoever wants to reuse a result asks [`Changes::count`] first and
//! makes the count part of the key.
//! Guarantee: a result that is found under a count which was asked for after a write was acknowledged has seen that write. A result is computed after its count was read, so it can only be fresher than its key says.
//! Between replicas the count is the version of one record. Questions that come together share one read of it, and only a read that began after they came.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde_json::json;

use super::{Kind, Put, Records, StoreError, Swap};

/// Id of the record whose version is the count.
const RECORD: &str = "changes";

/// The count of changes.
#[derive(Clone)]
pub struct Changes(Way);

#[derive(Clone)]
enum Way {
    /// No other process can write to the corpus, and what is cached ends with this one.
    Alone(Arc<AtomicU64>),
    Shared {
        records: Arc<dyn Records>,
        notes: Arc<Together<()>>,
        counts: Arc<Together<u64>>,
    },
}

impl Changes {
    /// The count of the corpus that these records belong to.
    pub fn of(records: Arc<dyn Records>) -> Self {
        if records.exclusive() { Self::alone() } else { Self::shared(records) }
    }

    /// The count of a corpus that only this process can write to.
    pub fn alone() -> Self {
        Self(Way::Alone(Arc::default()))
    }

    /// The count of a corpus that other processes write to as well.
    pub fn shared(records: Arc<dyn Records>) -> Self {
        Self(Way::Shared { records, notes: Arc::default(), counts: Arc::default() })
    }

    /// Says that the corpus changed. The change must not be acknowledged before this returned.
    pub async fn note(&self) -> Result<(), StoreError> {
        match &self.0 {
            Way::Alone(count) => {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Way::Shared { records, notes, .. } => notes.join(|| note(Arc::clone(records)).boxed()).await,
        }
    }

    /// How many changes there were, as of some moment after the call.
    pub async fn count(&self) -> Result<u64, StoreError> {
        match &self.0 {
            Way::Alone(count) => Ok(count.load(Ordering::SeqCst)),
            Way::Shared { records, counts, .. } => counts.join(|| count(Arc::clone(records)).boxed()).await,
        }
    }
}

async fn note(records: Arc<dyn Records>) -> Result<(), StoreError> {
    let standing = match records.get(Kind::Corpus, RECORD).await? {
        Some(record) => record,
        None => match records.put_if_absent(Kind::Corpus, RECORD, json!({})).await? {
            Put::Created(_) => return Ok(()),
            Put::Existing(record) => record,
        },
    };
    match records.compare_and_set(Kind::Corpus, RECORD, standing.version, json!({})).await? {
        // Somebody else counted after our look, and so after our change: it counts for both.
        Swap::Done(_) | Swap::Conflict(_) => Ok(()),
    }
}

async fn count(records: Arc<dyn Records>) -> Result<u64, StoreError> {
    Ok(records.get(Kind::Corpus, RECORD).await?.map_or(0, |record| record.version))
}

type Work<T> = BoxFuture<'static, Result<T, StoreError>>;

/// Lets those who come together share one piece of work, and only one that had not begun when they came.
struct Together<T> {
    /// Held by the work that is under way.
    lane: Arc<tokio::sync::Mutex<()>>,
    /// The work that waits for the lane.
    next: Arc<Mutex<Option<Shared<Work<T>>>>>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self { lane: Arc::default(), next: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    async fn join(&self, work: impl FnOnce() -> Work<T>) -> Result<T, StoreError> {
        let joined = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            next.get_or_insert_with(|| self.lined_up(work())).clone()
        };
        joined.await
    }

    fn lined_up(&self, work: Work<T>) -> Shared<Work<T>> {
        let (lane, next) = (Arc::clone(&self.lane), Arc::clone(&self.next));
        let work = async move {
            let _alone = lane.lock().await;
            *next.lock().unwrap_or_else(PoisonError::into_inner) = None;
            work.await
        };
        work.boxed().shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::RecordsDouble;

    fn counts() -> [Changes; 3] {
        let records = Arc::<RecordsDouble>::default();
        [Changes::alone(), Changes::shared(Arc::clone(&records) as _), Changes::shared(records)]
    }

    #[tokio::test]
    async fn every_change_is_counted_and_seen_by_every_replica() {
        let [alone, here, there] = counts();
        for (writer, reader) in [(&alone, &alone), (&here, &there), (&there, &here)] {
            for _ in 0..3 {
                let before = reader.count().await.unwrap();
                writer.note().await.unwrap();
                assert!(reader.count().await.unwrap() > before);
            }
            assert_eq!(reader.count().await, writer.count().await);
        }
    }

    #[tokio::test]
    async fn of_changes_at_the_same_time_none_is_overlooked() {
        let [_, here, there] = counts();
        for _ in 0..50 {
            let before = here.count().await.unwrap();
            let (a, b) = tokio::join!(here.note(), there.note());
            a.unwrap();
            b.unwrap();
            assert!(there.count().await.unwrap() > before);
        }
    }

    #[tokio::test]
    async fn questions_that_come_together_share_a_read_and_a_later_one_begins_its_own() {
        let [_, here, there] = counts();
        let (first, joined) = (Box::pin(here.count()), Box::pin(here.count()));
        let (a, b) = tokio::join!(first, joined);
        assert_eq!(a, b);
        there.note().await.unwrap();
        assert_eq!(here.count().await, Ok(1));
        // One that is given up while it reads leaves the way free.
        drop(here.count());
        assert_eq!(here.count().await, Ok(1));
    }

    #[tokio::test]
    async fn a_count_that_cannot_be_read_is_an_error() {
        let records = Arc::<RecordsDouble>::default();
        let changes = Changes::shared(Arc::clone(&records) as _);
        records.fail();
        assert!(changes.count().await.is_err());
        assert!(changes.note().await.is_err());
    }
}
