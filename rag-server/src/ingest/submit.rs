//! Accepts documents as a job: they are checked and cut at once, and their chunk texts stand in Records before the job does.
//!
//! Guarantee: a job that was accepted needs nothing but Records to be completed, by any replica. What a submission leaves behind that never got as far as its job is removed later.

use std::{collections::HashSet, sync::Arc};

use super::{
    Ingest, Interrupted,
    chunk::Draft,
    direct::{Cut, plan},
    failure::FailureReason,
    jobs::{Batch, DocumentState, Header, Job, JobDocument, JobId, JobState, Part},
    json,
    read::Inspected,
    source::Source,
};
use crate::{
    model::{DocumentId, Outcome},
    ports::{Kind, StoreError},
};

/// Documents that one job may have: their outcomes stand in one record.
pub const MAX_DOCUMENTS: usize = 1000;
/// Chunks of one record of waiting texts.
const BATCH_CHUNKS: usize = 64;
/// Bytes of JSON of one such record.
const BATCH_BYTES: usize = 512 * 1024;
/// Records of waiting texts, of all jobs together, above which no job is accepted: half a gigabyte at most.
const MAX_WAITING: u64 = 1024;
/// What a sender is asked to wait then: a few records are worked through in that time.
const RETRY_AFTER_SECONDS: u64 = 10;

/// Why no job was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much waits already.
    #[error("too many chunks wait to be embedded; try again in {retry_after_seconds} s")]
    Busy {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// There is no document.
    #[error("there is no document in the request; send at least one")]
    NoDocuments,
    /// There are too many.
    #[error("{documents} documents in one request; send at most {MAX_DOCUMENTS}")]
    TooManyDocuments {
        /// How many.
        documents: usize,
    },
    /// Two documents have the same name.
    #[error("the document {id} is in the request twice; send it once")]
    SameDocumentTwice {
        /// Its name.
        id: DocumentId,
    },
    /// The idempotency key was sent before with other documents.
    #[error(
        "the Idempotency-Key was sent before with other documents, which became job {job}; send a new key with each new request"
    )]
    KeyReused {
        /// The job of the first request.
        job: JobId,
    },
    /// A store failed.
    #[error(transparent)]
    Interrupted(Interrupted),
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        Self::Interrupted(Interrupted::Store(error))
    }
}

impl Ingest {
    /// Makes a job of documents. Documents that fail, and those that are unchanged, have their outcome in it from the start.
    pub async fn submit(&self, sources: Vec<Source>) -> Result<JobId, SubmitError> {
        self.submit_as(sources, None).await
    }

    /// The same, for a request whose key has this record.
    pub(super) async fn submit_as(&self, sources: Vec<Source>, key: Option<String>) -> Result<JobId, SubmitError> {
        check(&sources)?;
        if self.patiently(|| self.records.count(Kind::Pending)).await? >= MAX_WAITING {
            return Err(SubmitError::Busy { retry_after_seconds: RETRY_AFTER_SECONDS });
        }
        let now = self.clock.now();
        let id = JobId::new(now);
        let sources = Arc::new(sources);
        let inspected = self.inspect_all(Arc::clone(&sources)).await.map_err(SubmitError::Interrupted)?;
        let standing = self.standing(&sources).await?;
        let mut waiting = Waiting { ingest: self, job: &id, batch: Batch::default(), chunks: 0, bytes: 0, number: 0 };
        let mut documents = Vec::with_capacity(sources.len());
        for (index, (source, inspected)) in sources.iter().zip(inspected).enumerate() {
            let unchanged = |inspected: &Inspected| {
                let plan = plan(source, inspected, false);
                standing.get(source.id.key()).is_some_and(|record| plan.is_met_by(record))
            };
            let (state, chunks) = match inspected {
                Err(error) => (DocumentState::Failed { error }, 0),
                Ok(inspected) if unchanged(&inspected) => (DocumentState::Done { outcome: Outcome::Unchanged }, 0),
                Ok(inspected) => match waiting.document(index, source, inspected).await? {
                    Ok(chunks) => (DocumentState::Queued, chunks),
                    Err(error) => (DocumentState::Failed { error }, 0),
                },
            };
            documents.push(JobDocument { id: source.id.clone(), state, chunks });
        }
        waiting.put().await?;
        let mut job = Job {
            id: id.clone(),
            state: JobState::Queued,
            chunks_total: documents.iter().map(|document| u64::from(document.chunks)).sum(),
            documents,
            chunks_done: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
            error: None,
            idempotency: key,
        };
        job.finish_at(now);
        let body = json(&job)?;
        self.patiently(|| self.records.put_if_absent(Kind::Job, id.as_str(), body.clone())).await?;
        self.count_early(&job);
        self.submitted.notify_one();
        Ok(id)
    }

    fn count_early(&self, job: &Job) {
        let Some(count) = &self.counted else { return };
        for document in &job.documents {
            match document.state {
                DocumentState::Queued | DocumentState::Cancelled => {}
                DocumentState::Done { .. } => count("unchanged"),
                DocumentState::Failed { .. } => count("failed"),
            }
        }
    }
}

pub(super) fn check(sources: &[Source]) -> Result<(), SubmitError> {
    if sources.is_empty() {
        return Err(SubmitError::NoDocuments);
    }
    if sources.len() > MAX_DOCUMENTS {
        return Err(SubmitError::TooManyDocuments { documents: sources.len() });
    }
    let mut seen = HashSet::new();
    match sources.iter().find(|source| !seen.insert(&source.id)) {
        Some(source) => Err(SubmitError::SameDocumentTwice { id: source.id.clone() }),
        None => Ok(()),
    }
}

/// Gathers chunks into records of bounded size.
struct Waiting<'s> {
    ingest: &'s Ingest,
    job: &'s JobId,
    batch: Batch,
    chunks: usize,
    bytes: usize,
    number: usize,
}

impl Waiting<'_> {
    /// Cuts a document and puts its chunks; tells how many there are, or why it fails.
    async fn document(
        &mut self,
        index: usize,
        source: &Source,
        inspected: Inspected,
    ) -> Result<Result<u32, FailureReason>, SubmitError> {
        let mut header = Some(Header {
            version: inspected.version.clone(),
            bytes: inspected.bytes,
            given_title: source.title.clone(),
            title: None,
            metadata: source.metadata.clone(),
        });
        let mut above = json(&header)?.to_string().len();
        let mut cuts = self.ingest.cut(source.clone(), inspected);
        loop {
            match cuts.recv().await {
                Some(Cut::Chunk(draft, title)) => {
                    let bytes = json(&draft)?.to_string().len() + std::mem::take(&mut above);
                    if self.chunks >= BATCH_CHUNKS || self.bytes + bytes > BATCH_BYTES {
                        self.put().await?;
                    }
                    let header = header.take().map(|header| Header { title, ..header });
                    self.add(index, header, draft);
                    (self.chunks, self.bytes) = (self.chunks + 1, self.bytes + bytes);
                }
                Some(Cut::End(ended)) => {
                    if let (Ok(_), Some(part)) = (&ended, self.batch.parts.last_mut()) {
                        part.last = true;
                    }
                    return Ok(ended);
                }
                None => {
                    let cause = "the thread that cuts documents".to_owned();
                    return Err(SubmitError::Interrupted(Interrupted::Worker { cause }));
                }
            }
        }
    }

    fn add(&mut self, document: usize, header: Option<Header>, draft: Draft) {
        match self.batch.parts.last_mut() {
            Some(part) if part.document == document => part.chunks.push(draft),
            _ => self.batch.parts.push(Part { document, header, chunks: vec![draft], last: false }),
        }
    }

    async fn put(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        (self.chunks, self.bytes) = (0, 0);
        if batch.parts.is_empty() {
            return Ok(());
        }
        let id = format!("{}/{:06}", self.job, self.number);
        self.number += 1;
        let body = json(&batch)?;
        let records = &self.ingest.records;
        self.ingest.patiently(|| records.put_if_absent(Kind::Pending, &id, body.clone())).await.map(drop)
    }
}
