//! The ingestion flow: read -> detect -> decode -> parse -> chunk -> embed -> store, and the record that commits a document.
//!
//! Guarantees: memory does not grow with a document or with their number; a document fails alone; a chunk is stored before the record that makes it visible;
//! a kill between any two calls loses no acknowledged document, and doing it again completes it; of replicas that ingest the same document at once one goes first, the others wait;
//! a deletion wins over everything that was accepted before it.

pub mod chunk;
mod claim;
mod commit;
mod content;
mod deletion;
mod direct;
mod encoding;
mod expiry;
mod failure;
mod folder;
mod growth;
mod idempotency;
mod jobs;
mod kept;
mod line;
mod listing;
mod open;
mod parse;
mod passage;
mod pick;
mod preview;
mod prune;
mod read;
mod reader;
mod reuse;
mod source;
mod split;
mod submit;
mod sweep;
mod table;
mod tidy;
mod tries;
mod waits;
mod work;
mod working;
mod write;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    model::{DocumentId, DocumentRecord},
    ports::{Changes, Clock, EmbedError, Embedder, Epoch, Holds, Kind, Record, Records, StoreError, VectorStore},
};

pub use deletion::Deleted;
pub(crate) use deletion::deleted_at;
pub use encoding::charset_of;
pub(crate) use expiry::entry as expiry_entry;
pub use expiry::{InvalidExpiry, expiry_of};
pub use failure::{DocumentReport, FailureReason};
pub use folder::{Found, Nobodys, walk};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use jobs::{DocumentState, Job, JobDocument, JobId, JobProgress, JobState};
pub use parse::Format;
pub use passage::passage;
pub use prune::{Prune, Pruned};
pub use read::{read_bytes, read_text};
pub use reader::{Bounds, Reader, read_document};
pub use source::{Arriving, Content, MAX_METADATA_BYTES, Source};
pub use submit::{MAX_DOCUMENTS, SubmitError};

/// Why a run ended early. What was reported stands; everything else can be ingested again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// A store failed, and went on failing.
    #[error(transparent)]
    Store(StoreError),
    /// The embedder failed in a way that is not the document's.
    #[error(transparent)]
    Embed(EmbedError),
    /// Another epoch is searched now than the one that is written to.
    #[error(
        "the corpus changed over to another epoch while documents were written; ingest again what was not reported"
    )]
    Outdated,
    /// A worker thread ended unexpectedly.
    #[error("a worker thread ended: {cause}")]
    Worker {
        /// What is known of it.
        cause: String,
    },
}

/// How often and how long a failing call is repeated before a run gives up.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts of each call.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles each time.
    pub first: Duration,
    /// Pause between two looks at something that another replica works on, or at the list of jobs.
    pub poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 6, first: Duration::from_millis(200), poll: Duration::from_millis(500) }
    }
}

/// Processes that read hostile documents at once.
const CHILDREN: usize = 2;

type Count = dyn Fn(&'static str) + Send + Sync;

/// The ingestion flow over its ports.
pub struct Ingest {
    store: Arc<dyn VectorStore>,
    records: Arc<dyn Records>,
    embedder: Arc<dyn Embedder>,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    patience: Patience,
    holds: Holds,
    submitted: tokio::sync::Notify,
    counted: Option<Box<Count>>,
    noticed: Option<Box<Count>>,
    changes: Option<Changes>,
    written: AtomicU64,
    embedded: AtomicU64,
    reader: Reader,
    waits: waits::Waits,
    /// Lets few hostile documents be read at once.
    children: Arc<tokio::sync::Semaphore>,
}

impl Ingest {
    /// A flow that writes to `epoch`.
    pub fn new(
        store: Arc<dyn VectorStore>,
        records: Arc<dyn Records>,
        embedder: Arc<dyn Embedder>,
        clock: Arc<dyn Clock>,
        epoch: Epoch,
    ) -> Self {
        Self {
            holds: Holds::new(Arc::clone(&records), Arc::clone(&clock)),
            store,
            records,
            embedder,
            clock,
            epoch,
            patience: Patience::default(),
            submitted: tokio::sync::Notify::new(),
            counted: None,
            noticed: None,
            changes: None,
            written: AtomicU64::new(0),
            embedded: AtomicU64::new(0),
            reader: Reader::default(),
            waits: waits::Waits::default(),
            children: Arc::new(tokio::sync::Semaphore::new(CHILDREN)),
        }
    }

    /// Lets the hearts of its holds beat faster, for tests.
    #[cfg(test)]
    pub fn beating_each(mut self, beat: Duration) -> Self {
        self.holds = self.holds.beating_each(beat);
        self
    }

    /// Calls `count` with the outcome of each document: `created`, `updated`, `metadata_only`, `unchanged`, `duplicate_of` or `failed`.
    #[must_use]
    pub fn counted(mut self, count: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        self.counted = Some(Box::new(count));
        self
    }

    /// Calls `count` with the kind of each notice of a document that was read.
    #[must_use]
    pub fn noticed(mut self, count: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        self.noticed = Some(Box::new(count));
        self
    }

    /// Counts changes of the corpus here, before they are acknowledged.
    #[must_use]
    pub fn noting(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// Chunks that were written since the start of the process.
    pub fn chunks_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Those of them that were given to the embedder; the vectors of the others were stored already.
    pub fn chunks_embedded(&self) -> u64 {
        self.embedded.load(Ordering::Relaxed)
    }

    /// Sets how hostile formats are read.
    #[must_use]
    pub fn reader(mut self, reader: Reader) -> Self {
        self.reader = reader;
        self
    }

    /// Sets how failing calls are repeated.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// What failed and holds jobs of this process up; none while nothing does.
    pub fn waits_for(&self) -> Option<String> {
        self.waits.any()
    }

    /// A document's record.
    pub async fn document(&self, id: &DocumentId) -> Result<Option<DocumentRecord>, StoreError> {
        let record = self.records.get(Kind::Document, id.key()).await?;
        Ok(record.as_ref().map(claim::standing_of).transpose()?.flatten())
    }

    /// The epoch that is written to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Refuses to commit to an epoch that is not searched any more.
    async fn up_to_date(&self) -> Result<(), Interrupted> {
        let searched = self.patiently(|| self.store.active()).await.map_err(Interrupted::Store)?;
        searched.is_none_or(|searched| searched == self.epoch).then_some(()).ok_or(Interrupted::Outdated)
    }

    /// Says that the corpus changed: whoever asks after this returned gets no result from before.
    async fn note_change(&self) -> Result<(), StoreError> {
        match &self.changes {
            Some(changes) => self.patiently(|| changes.note()).await,
            None => Ok(()),
        }
    }

    /// Repeats a call to a store while the failure may pass.
    async fn patiently<T, F, C>(&self, mut call: C) -> Result<T, StoreError>
    where
        C: FnMut() -> F,
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = self.patience.first;
        for _ in 1..self.patience.attempts {
            match call().await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, cause = error.cause(), "a store failed; trying again");
                    let asked = match error {
                        StoreError::RateLimited { retry_after_seconds, .. } => {
                            Duration::from_secs(retry_after_seconds.min(60))
                        }
                        _ => Duration::ZERO,
                    };
                    tokio::time::sleep(pause.max(asked)).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        call().await
    }

    fn count(&self, report: &DocumentReport) {
        self.count_as(report.outcome());
        // What stands unchanged was counted when it was read.
        if let Some(count) = self.noticed.as_ref().filter(|_| report.chunks > 0) {
            report.notices.iter().for_each(|notice| count(notice.kind()));
        }
    }

    fn count_as(&self, outcome: &'static str) {
        if let Some(count) = &self.counted {
            count(outcome);
        }
    }
}

pub(crate) fn document_of(record: &Record) -> Result<DocumentRecord, StoreError> {
    serde_json::from_value(record.body.clone()).map_err(|e| StoreError::Corrupt {
        what: format!("the record of document {}", record.id),
        cause: e.to_string(),
    })
}

fn json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(value).map_err(|e| StoreError::Failed { store: "the record", cause: e.to_string() })
}

#[cfg(test)]
mod tests;
