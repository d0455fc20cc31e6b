//! What is recorded of an ingestion job, and how far it is. What it keeps of its documents until they are ingested is in records of their own.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ingest, deletion::Mark, failure::FailureReason, json, tries::Verdict};
use crate::{
    model::{DocumentId, Notices, Outcome, Tenant},
    ports::{Change, Kind, StoreError, update},
};

/// The name of a job. Names sort by the time at which the jobs were submitted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    const TIME_DIGITS: usize = 12;

    pub(super) fn new(now: Timestamp) -> Self {
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self(format!("{:0width$x}-{random}", now.as_millisecond().max(0), width = Self::TIME_DIGITS))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the job was submitted, by the clock of whoever took it.
    pub fn submitted(&self) -> Timestamp {
        let millis = self.0.get(..Self::TIME_DIGITS).and_then(|hex| i64::from_str_radix(hex, 16).ok());
        millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(Timestamp::MIN)
    }
}

/// A text that names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a job")]
pub struct InvalidJobId;

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() == Self::TIME_DIGITS + 33
            && text.bytes().enumerate().all(|(at, byte)| match at {
                Self::TIME_DIGITS => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidJobId) }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nobody works on it yet.
    Queued,
    /// A replica works on it.
    Running,
    /// Every document has its outcome; some may have failed.
    Done,
    /// No document of it was ingested.
    Failed,
    /// Somebody cancelled it; what was ingested until then stands.
    Cancelled,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// How far a document of a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DocumentState {
    /// It waits.
    Queued,
    /// It stands in the corpus.
    Done {
        /// What became of it.
        outcome: Outcome,
        /// What is said of it.
        #[serde(default, skip_serializing_if = "Notices::is_empty")]
        notices: Notices,
    },
    /// It could not be ingested.
    Failed {
        /// Why.
        error: FailureReason,
    },
    /// Its job was cancelled before its turn came.
    Cancelled,
}

impl DocumentState {
    /// That of a document of which nothing more is said.
    #[cfg(test)]
    pub(super) const fn done(outcome: Outcome) -> Self {
        Self::Done { outcome, notices: Notices::NONE }
    }
}

/// A document of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDocument {
    /// Its name.
    pub id: DocumentId,
    /// How far it is.
    #[serde(flatten)]
    pub state: DocumentState,
    /// How many chunks it has; 0 before it was cut.
    pub chunks: u32,
    /// Bytes that are to be read of it; 0 where it had its outcome from the start.
    #[serde(default)]
    pub bytes: u64,
    /// How often it failed and was to be tried again.
    #[serde(default)]
    pub tries: u32,
    /// It is not tried again before this time.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    /// The latest deletion of the document when the job was accepted, if any: a later one wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Mark>,
}

/// An ingestion job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// How far it is.
    pub state: JobState,
    /// Its documents, in the order in which they were sent.
    pub documents: Vec<JobDocument>,
    /// Chunks that are dealt with.
    pub chunks_done: u64,
    /// Bytes of the documents that have to be read.
    #[serde(default)]
    pub bytes_total: u64,
    /// Bytes of them that are dealt with.
    #[serde(default)]
    pub bytes_done: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a replica first worked on it.
    pub started_at: Option<Timestamp>,
    /// When its last document was dealt with.
    pub finished_at: Option<Timestamp>,
    /// Why it failed as a whole.
    pub error: Option<String>,
    /// The record of the idempotency key that its request was sent with.
    #[serde(default)]
    pub idempotency: Option<String>,
}

impl JobDocument {
    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&FailureReason> {
        match &self.state {
            DocumentState::Failed { error } => Some(error),
            DocumentState::Queued | DocumentState::Done { .. } | DocumentState::Cancelled => None,
        }
    }
}

impl Job {
    /// Whose it is: that of its documents, of which a request names at least one.
    pub fn tenant(&self) -> Tenant {
        self.documents.first().map(|document| document.id.tenant()).unwrap_or_default()
    }

    /// Whether a document is to be worked on now.
    pub(super) fn is_due(&self, document: usize, now: Timestamp) -> bool {
        let due = |document: &JobDocument| document.retry_at.is_none_or(|at| at <= now);
        self.documents.get(document).is_some_and(|document| document.state == DocumentState::Queued && due(document))
    }

    /// When the next of its documents is to be tried again.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        let queued = self.documents.iter().filter(|document| document.state == DocumentState::Queued);
        queued.filter_map(|document| document.retry_at).min()
    }

    /// Writes down what is said of one of its documents.
    pub(super) fn told(&mut self, document: usize, verdict: &Verdict, chunks: u32) {
        let Some(document) = self.documents.get_mut(document) else { return };
        match verdict {
            // What was committed stands, also where the job was cancelled meanwhile.
            Verdict::Ended(state) if !matches!(document.state, DocumentState::Done { .. }) => {
                (document.state, document.retry_at, document.chunks) = (state.clone(), None, chunks);
            }
            Verdict::Again { tries, at } if document.state == DocumentState::Queued => {
                (document.tries, document.retry_at) = (*tries, Some(*at));
            }
            Verdict::Ended(_) | Verdict::Again { .. } => {}
        }
    }

    /// Chunks and bytes of the documents that have their outcome.
    pub(super) fn settled(&self) -> (u64, u64) {
        let settled = self.documents.iter().filter(|document| document.state != DocumentState::Queued);
        settled.fold((0, 0), |(chunks, bytes), document| (chunks + u64::from(document.chunks), bytes + document.bytes))
    }

    /// Ends the job once every document has its outcome.
    pub(super) fn finish_at(&mut self, now: Timestamp) {
        if self.documents.iter().any(|document| document.state == DocumentState::Queued) {
            return;
        }
        if self.state == JobState::Cancelled {
            return;
        }
        let any = self.documents.iter().any(|document| matches!(document.state, DocumentState::Done { .. }));
        self.state = if any { JobState::Done } else { JobState::Failed };
        (self.chunks_done, self.bytes_done) = self.settled();
        self.finished_at = self.finished_at.or(Some(now));
    }

    /// Ends the job as it is. One that ended already stays what it is.
    pub(super) fn cancel(&mut self, now: Timestamp) {
        if self.state.is_final() {
            return;
        }
        for document in self.documents.iter_mut().filter(|document| document.state == DocumentState::Queued) {
            document.state = DocumentState::Cancelled;
        }
        self.state = JobState::Cancelled;
        self.finished_at = Some(now);
    }

    pub(super) fn fail(&mut self, error: &str, now: Timestamp) {
        for document in self.documents.iter_mut().filter(|document| document.state == DocumentState::Queued) {
            document.state = DocumentState::Failed { error: FailureReason::Store { cause: error.to_owned() } };
        }
        self.error = Some(error.to_owned());
        self.finish_at(now);
    }
}

/// A job with its pace.
#[derive(Debug, Clone, PartialEq)]
pub struct JobProgress {
    /// The job.
    pub job: Job,
    /// Chunks that its documents have; an estimate from their bytes until the last one is cut.
    pub chunks_total: u64,
    /// Chunks per second since a replica first worked on it.
    pub chunks_per_second: Option<f64>,
    /// Seconds until it will be done at the pace of its bytes.
    pub eta_seconds: Option<u64>,
    /// What failed and is waited for, as far as this process knows.
    pub waits_for: Option<String>,
}

impl JobProgress {
    fn at(job: Job, now: Timestamp) -> Self {
        let seconds = job.started_at.map(|from| job.finished_at.unwrap_or(now).duration_since(from).as_secs_f64());
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        let pace = |done: u64| seconds.filter(|_| done > 0).map(|seconds| done as f64 / seconds);
        let left = job.bytes_total.saturating_sub(job.bytes_done) as f64;
        let eta = pace(job.bytes_done).filter(|_| !job.state.is_final()).map(|pace| (left / pace).ceil() as u64);
        let share = job.bytes_total as f64 / job.bytes_done.max(1) as f64;
        let chunks_total = match job.state.is_final() {
            true => job.chunks_done,
            false => (job.chunks_done as f64 * share.max(1.0)).ceil() as u64,
        };
        Self { chunks_total, chunks_per_second: pace(job.chunks_done), eta_seconds: eta, waits_for: None, job }
    }
}

impl Ingest {
    /// A job, if it is known.
    pub async fn job(&self, id: &JobId) -> Result<Option<JobProgress>, StoreError> {
        let record = self.records.get(Kind::Job, id.as_str()).await?;
        let job = record.map(|record| job_of(id.as_str(), record.body)).transpose()?;
        let waits_for = job.as_ref().filter(|job| !job.state.is_final()).and_then(|job| self.waits.of(&job.id));
        Ok(job.map(|job| JobProgress { waits_for, ..JobProgress::at(job, self.clock.now()) }))
    }

    /// Cancels a job: documents that are not ingested yet will not be. None when there is no such job; one that ended already stays as it is.
    ///
    /// The replica that works on it notices with its next look at the job.
    pub async fn cancel(&self, id: &JobId) -> Result<Option<JobProgress>, StoreError> {
        let now = self.clock.now();
        let job = self.change_job(id, |job| job.cancel(now)).await?;
        self.submitted.notify_one();
        Ok(job.map(|job| JobProgress::at(job, now)))
    }

    /// Changes a job by compare-and-set; gives what stands then, or none when there is no such job.
    pub(super) async fn change_job(&self, id: &JobId, change: impl Fn(&mut Job)) -> Result<Option<Job>, StoreError> {
        self.patiently(|| {
            update(&*self.records, Kind::Job, id.as_str(), |standing| {
                let Some(record) = standing else { return Ok(Change::Leave(None)) };
                let before = job_of(id.as_str(), record.body.clone())?;
                let mut job = before.clone();
                change(&mut job);
                Ok(if job == before { Change::Leave(Some(job)) } else { Change::Write(json(&job)?, Some(job)) })
            })
        })
        .await
    }
}

pub(super) fn job_of(id: &str, body: serde_json::Value) -> Result<Job, StoreError> {
    serde_json::from_value(body)
        .map_err(|e| StoreError::Corrupt { what: format!("the record of job {id}"), cause: e.to_string() })
}
