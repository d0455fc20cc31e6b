//! Accepts documents as a job: they are checked at once, and their bytes stand in Records before the job does. They are read and cut when the job is worked on, however long that takes.
//!
//! Guarantee: a job that was accepted needs nothing but Records to be completed, by any replica. What a submission leaves behind that never got as far as its job is removed later.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Ingest, Interrupted,
    deletion::Mark,
    direct::plan,
    failure::FailureReason,
    jobs::{DocumentState, Job, JobDocument, JobId, JobState},
    json,
    kept::{Keeping, size_of},
    line::Place,
    read::Inspected,
    source::Source,
};
use crate::{
    model::{DocumentId, DocumentRecord, Outcome},
    ports::{Kind, StoreError},
};

/// Documents that one job may have: their outcomes stand in one record.
pub const MAX_DOCUMENTS: usize = 1000;
/// Why no job was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much of the tenant, or of all together, waits already.
    #[error("too many bytes of documents wait to be ingested; try again in {retry_after_seconds} s")]
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
        let now = self.clock.now();
        let id = JobId::new(now);
        let sources = Arc::new(sources);
        // A deletion that comes after this wins.
        let marks = self.marks_of(&sources).await?;
        let inspected = self.inspect_all(Arc::clone(&sources)).await.map_err(SubmitError::Interrupted)?;
        let mut documents = self.first_look(&sources, &inspected, &marks).await?;
        let kept: Vec<_> = std::iter::zip(&*sources, &inspected)
            .enumerate()
            .filter(|(index, _)| documents[*index].state == DocumentState::Queued)
            .filter_map(|(index, (source, inspected))| Some((index, source, inspected.as_ref().ok()?)))
            .collect();
        if let Some((_, first, _)) = kept.first() {
            let bytes = kept.iter().map(|(_, source, inspected)| size_of(source, inspected)).sum();
            self.join_line(&id, Place::new(first.id.tenant(), bytes, now)).await?;
        }
        let mut keeping = Keeping::new(self, &id);
        for (index, source, inspected) in kept {
            if let Err(error) = keeping.document(index, source, inspected).await? {
                documents[index] =
                    JobDocument { bytes: 0, state: DocumentState::Failed { error }, ..documents[index].clone() };
            }
        }
        keeping.put().await?;
        let mut job = Job {
            id: id.clone(),
            state: JobState::Queued,
            bytes_total: documents.iter().map(|document| document.bytes).sum(),
            documents,
            chunks_done: 0,
            bytes_done: 0,
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

    /// The documents of a job: those that cannot be read, and those that stand already, have their outcome.
    async fn first_look(
        &self,
        sources: &[Source],
        inspected: &[Result<Inspected, FailureReason>],
        marks: &HashMap<String, Mark>,
    ) -> Result<Vec<JobDocument>, StoreError> {
        let standing = self.standing_whole(sources).await?;
        let document = |(source, inspected): (&Source, &Result<Inspected, FailureReason>)| {
            let met = |inspected: &Inspected| {
                let plan = plan(source, inspected, None);
                standing.get(source.id.key()).filter(|record| plan.is_met_by(record))
            };
            let (state, bytes) = match inspected {
                Err(error) => (DocumentState::Failed { error: error.clone() }, 0),
                Ok(inspected) => match met(inspected) {
                    Some(DocumentRecord { notices, .. }) => {
                        (DocumentState::Done { outcome: Outcome::Unchanged, notices: notices.clone() }, 0)
                    }
                    None => (DocumentState::Queued, inspected.bytes),
                },
            };
            let after = marks.get(source.id.key()).cloned();
            JobDocument { id: source.id.clone(), state, chunks: 0, bytes, tries: 0, retry_at: None, after }
        };
        Ok(std::iter::zip(sources, inspected).map(document).collect())
    }

    fn count_early(&self, job: &Job) {
        for document in &job.documents {
            match document.state {
                DocumentState::Queued | DocumentState::Cancelled => {}
                DocumentState::Done { .. } => self.count_as("unchanged"),
                DocumentState::Failed { .. } => self.count_as("failed"),
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
