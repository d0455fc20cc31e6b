//! How many chunks are searched: asked of the store now and then, not for each question.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::ports::{Epoch, StoreError, VectorStore};

/// How old the count may be. It is a figure for people; a second late is on time.
const FRESH: Duration = Duration::from_secs(1);

/// The epoch that is searched: the one that was asked for, or the active one, if there is one.
pub(super) async fn searched(store: &dyn VectorStore, asked: Option<Epoch>) -> Result<Option<Epoch>, StoreError> {
    match asked {
        Some(epoch) => Ok(Some(epoch)),
        None => store.active().await,
    }
}

/// The number of chunks of the epoch that is searched, remembered for a second.
#[derive(Debug, Default)]
pub(super) struct CorpusSize {
    known: Mutex<Option<(Instant, u64)>>,
}

impl CorpusSize {
    /// The count, asked again when the known one is older than a second.
    pub(super) async fn get(&self, store: &dyn VectorStore, epoch: Option<Epoch>) -> Result<u64, StoreError> {
        if let Some(count) = self.fresh() {
            return Ok(count);
        }
        let count = match searched(store, epoch).await? {
            Some(epoch) => store.count(epoch).await?,
            None => 0,
        };
        // An empty corpus is about to change, and cheap to count.
        if count > 0
            && let Ok(mut known) = self.known.lock()
        {
            *known = Some((Instant::now(), count));
        }
        Ok(count)
    }

    fn fresh(&self) -> Option<u64> {
        let known = *self.known.lock().ok()?;
        known.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, count)| count)
    }
}
