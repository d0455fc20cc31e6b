//! Counts the changes of the corpus, so that what was computed before one is never served after it.
//!
//! Flow: whoever commits or removes a document calls [`Changes::note`] after the write and before it is acknowledged; whoever wants to reuse a result asks [`Changes::count`] first and
//! makes the count part of the key.
//! Guarantee: a result that is found under a count which was asked for after a write was acknowledged has seen that write. A result is computed after its count was read, so it can only be fresher than its key says.
//! Between replicas the count is the version of one record. Questions that come together share one read of it, and only a read that began after they came.
//! A count alone comes again: in the next process where nobody else can write, and where records were lost or brought back as they were before. What is kept outside of the process is therefore named by a [`State`], which does not.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Kind, Put, Record, Records, StoreError, Swap};

/// Id of the record whose version is the count.
const RECORD: &str = "changes";

/// The count of changes.
#[derive(Clone)]
pub struct Changes(Way);

#[derive(Clone)]
enum Way {
    /// No other process can write to the corpus. The count begins anew with each process, so the process is part of the state.
    Alone {
        process: Uuid,
        count: Arc<AtomicU64>,
    },
    Shared {
        records: Arc<dyn Records>,
        notes: Arc<Together<()>>,
        states: Arc<Together<State>>,
    },
}

/// A state of a corpus, which no other one ever has: how often it changed, and who that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// How often it changed.
    pub count: u64,
    /// Names the last change, or the process that counts alone; nil before the first change, when nothing is stored.
    mark: Uuid,
}

impl State {
    /// As a part of a key.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(self.mark.as_bytes());
        bytes
    }

    /// The state that a record stands for.
    fn of(record: &Record) -> Self {
        // A server of 0.1.0 leaves no mark; its version is told from others of the same records by itself.
        let mark = serde_json::from_value(record.body.clone()).map_or(Uuid::nil(), |Body { mark }| mark);
        Self { count: record.version, mark }
    }

    /// Before anything changed.
    const FIRST: Self = Self { count: 0, mark: Uuid::nil() };
}

/// What the record holds.
#[derive(Serialize, Deserialize)]
struct Body {
    /// Names the change, so that one of the same number in another history is another one.
    #[serde(default)]
    mark: Uuid,
}

impl Changes {
    /// The count of the corpus that these records belong to.
    pub fn of(records: Arc<dyn Records>) -> Self {
        if records.exclusive() { Self::alone() } else { Self::shared(records) }
    }

    /// The count of a corpus that only this process can write to.
    pub fn alone() -> Self {
        Self(Way::Alone { process: Uuid::new_v4(), count: Arc::default() })
    }

    /// The count of a corpus that other processes write to as well.
    pub fn shared(records: Arc<dyn Records>) -> Self {
        Self(Way::Shared { records, notes: Arc::default(), states: Arc::default() })
    }

    /// Says that the corpus changed. The change must not be acknowledged before this returned.
    pub async fn note(&self) -> Result<(), StoreError> {
        match &self.0 {
            Way::Alone { count, .. } => {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Way::Shared { records, notes, .. } => notes.join(|| note(Arc::clone(records)).boxed()).await,
        }
    }

    /// How many changes there were, as of some moment after the call.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.state().await.map(|state| state.count)
    }

    /// The state of the corpus, as of some moment after the call.
    pub async fn state(&self) -> Result<State, StoreError> {
        match &self.0 {
            Way::Alone { process, count } => Ok(State { count: count.load(Ordering::SeqCst), mark: *process }),
            Way::Shared { records, states, .. } => states.join(|| state(Arc::clone(records)).boxed()).await,
        }
    }
}

async fn note(records: Arc<dyn Records>) -> Result<(), StoreError> {
    let body = || json!(Body { mark: Uuid::new_v4() });
    let standing = match records.get(Kind::Corpus, RECORD).await? {
        Some(record) => record,
        None => match records.put_if_absent(Kind::Corpus, RECORD, body()).await? {
            Put::Created(_) => return Ok(()),
            Put::Existing(record) => record,
        },
    };
    match records.compare_and_set(Kind::Corpus, RECORD, standing.version, body()).await? {
        // Somebody else counted after our look, and so after our change: it counts for both.
        Swap::Done(_) | Swap::Conflict(_) => Ok(()),
    }
}

async fn state(records: Arc<dyn Records>) -> Result<State, StoreError> {
    Ok(records.get(Kind::Corpus, RECORD).await?.as_ref().map_or(State::FIRST, State::of))
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
    async fn no_two_histories_of_a_corpus_share_a_state() {
        let fresh = || Changes::shared(Arc::<RecordsDouble>::default());
        // Two processes in a row that count alone, and records that were lost and begun anew.
        for (before, after) in [(Changes::alone(), Changes::alone()), (fresh(), fresh())] {
            for _ in 0..3 {
                before.note().await.unwrap();
                after.note().await.unwrap();
                assert_eq!(before.count().await, after.count().await);
                assert_ne!(before.state().await, after.state().await);
            }
        }
    }

    #[tokio::test]
    async fn replicas_see_one_state_also_beside_a_server_that_leaves_no_mark() {
        let [_, here, there] = counts();
        assert_eq!(here.state().await, there.state().await);
        here.note().await.unwrap();
        let marked = there.state().await.unwrap();
        assert_eq!(here.state().await, Ok(marked));
        assert_ne!(marked.mark, Uuid::nil());
        let Way::Shared { records, .. } = &here.0 else { panic!("it is shared") };
        records.compare_and_set(Kind::Corpus, RECORD, marked.count, json!({})).await.unwrap();
        let unmarked = there.state().await.unwrap();
        assert!(unmarked.count > marked.count && unmarked.mark.is_nil(), "{unmarked:?}");
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
