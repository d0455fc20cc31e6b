//! Works through jobs, the oldest first, one at a time in each replica and under a lease, so that replicas share the jobs and take over those of a dead one.
//!
//! Guarantees: a job is never lost; an error that may pass is waited for; waiting texts are removed only after the outcome of their documents stands in the job.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{
    Ingest, Interrupted,
    failure::{DocumentReport, FailureReason},
    jobs::{Batch, DocumentState, Job, JobId, JobState, Part, job_of},
    write::{Plan, Writer},
};
use crate::ports::{self, EmbedError, Kind, Lease, Record, StoreError, Swap};

/// How long a replica may be silent before its job is taken over.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Pause between two rounds of cleaning up.
const CLEANING: Duration = Duration::from_secs(60);
/// Pause between two writes of a job's progress while no document ends.
const PROGRESS: Duration = Duration::from_secs(2);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a finished job can be asked for.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
/// Finished jobs that are kept within that time.
const KEEP_JOBS: u64 = 1000;
/// Age after which waiting texts without a job were left by a submission that died.
const ORPHAN: SignedDuration = SignedDuration::from_mins(15);
/// Records of waiting texts that are read at once: each may have half a megabyte.
const PAGE: usize = 2;

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Worked,
    Idle,
}

impl Ingest {
    /// Works through jobs until `stop`; ends after the window in work.
    pub async fn run_jobs(self: Arc<Self>, stop: CancellationToken) {
        let mut cleaned = None::<Instant>;
        let mut pause = self.patience.first;
        while !stop.is_cancelled() {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.up_to_date() => looked,
            };
            if looked == Err(Interrupted::Outdated) {
                // Jobs, and what dead writers left, are for those who write to the epoch that is searched.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(self.patience.poll) => continue,
                }
            }
            if cleaned.is_none_or(|at| at.elapsed() >= CLEANING) {
                cleaned = Some(Instant::now());
                if let Err(error) = self.tidy().await {
                    tracing::warn!(%error, "cleaning up after ingestion failed; it is tried again in a minute");
                }
            }
            let wait = match self.round(&stop).await {
                Ok(Round::Worked) => {
                    pause = self.patience.first;
                    continue;
                }
                Ok(Round::Idle) => self.patience.poll,
                Err(error) => {
                    tracing::warn!(%error, "ingestion is interrupted; the job stays and is tried again");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    pause
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.submitted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Works through what waits just now.
    #[cfg(test)]
    pub(super) async fn work_once(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        self.tidy().await.map_err(Interrupted::Store)?;
        while self.round(stop).await? == Round::Worked {}
        Ok(())
    }

    /// Works on the oldest job that nobody else works on.
    async fn round(&self, stop: &CancellationToken) -> Result<Round, Interrupted> {
        let mut after = None::<String>;
        loop {
            let page = self.records.list(Kind::Pending, "", after.as_deref(), 1).await.map_err(Interrupted::Store)?;
            let Some(first) = page.records.first() else { return Ok(Round::Idle) };
            let name = first.id.split('/').next().unwrap_or_default();
            // The first name that sorts behind all texts of this job.
            after = Some(format!("{name}0"));
            let Ok(id) = name.parse::<JobId>() else { continue };
            if self.try_job(&id, stop).await? == Round::Worked {
                return Ok(Round::Worked);
            }
        }
    }

    async fn try_job(&self, id: &JobId, stop: &CancellationToken) -> Result<Round, Interrupted> {
        let store = Interrupted::Store;
        let record = self.records.get(Kind::Job, id.as_str()).await.map_err(store)?;
        let job = record.map(|record| job_of(id.as_str(), record.body)).transpose().map_err(store)?;
        let Some(job) = job else {
            if self.clock.now().duration_since(id.submitted()) < ORPHAN {
                return Ok(Round::Idle);
            }
            self.drop_texts(id).await.map_err(store)?;
            return Ok(Round::Worked);
        };
        let mut lease = self.take_lease(id).await.map_err(store)?;
        if lease.is_none() && self.records.exclusive() {
            // Its holder is an earlier process, which can only be dead.
            self.drop_lease(id).await.map_err(store)?;
            lease = self.take_lease(id).await.map_err(store)?;
        }
        let Some(lease) = lease else { return Ok(Round::Idle) };
        let mut working = Working::new(self, id.clone(), lease);
        if !job.state.is_final() {
            match working.run(stop).await {
                Ok(true) => {}
                Ok(false) => return working.let_go().await.map(|()| Round::Worked),
                Err(Interrupted::Store(error @ (StoreError::Corrupt { .. } | StoreError::Refused { .. }))) => {
                    tracing::error!(job = %id, %error, "the job cannot be worked on and fails");
                    let now = self.clock.now();
                    self.change_job(id, |job| job.fail(&error.to_string(), now)).await.map_err(store)?;
                }
                Err(Interrupted::Outdated) => {
                    // Whoever writes to the other epoch need not wait until the claims end.
                    working.writer.cancel().await?;
                    return working.let_go().await.map(|()| Round::Idle);
                }
                Err(Interrupted::Embed(EmbedError::Stopping)) => {
                    return working.let_go().await.map(|()| Round::Idle);
                }
                Err(interrupted) => return Err(interrupted),
            }
        }
        // The lease goes first: whoever finds the texts of a finished job takes a new one and gets here, so that none is left behind.
        self.drop_lease(id).await.map_err(store)?;
        self.drop_texts(id).await.map_err(store)?;
        Ok(Round::Worked)
    }

    async fn drop_texts(&self, id: &JobId) -> Result<(), StoreError> {
        loop {
            let page = self.records.list(Kind::Pending, &format!("{id}/"), None, PAGE).await?;
            if page.records.is_empty() {
                return Ok(());
            }
            for record in page.records {
                self.patiently(|| self.records.remove(Kind::Pending, &record.id, record.version)).await?;
            }
        }
    }

    async fn take_lease(&self, id: &JobId) -> Result<Option<Lease>, StoreError> {
        ports::acquire(&*self.records, &lease_name(id), &self.instance, self.clock.now(), LEASE).await
    }

    async fn drop_lease(&self, id: &JobId) -> Result<(), StoreError> {
        let name = lease_name(id);
        match self.records.get(Kind::Lease, &name).await? {
            Some(lease) => self.records.remove(Kind::Lease, &name, lease.version).await.map(drop),
            None => Ok(()),
        }
    }

    /// Cleans up after dead writers, and forgets old jobs.
    async fn tidy(&self) -> Result<(), StoreError> {
        self.clean_up().await?;
        let mut surplus = self.records.count(Kind::Job).await?.saturating_sub(KEEP_JOBS);
        let mut after = None::<String>;
        loop {
            let page = self.records.list(Kind::Job, "", after.as_deref(), 1).await?;
            let Some(Record { id, version, body }) = page.records.into_iter().next() else { return Ok(()) };
            let job = job_of(&id, body)?;
            let old = self.clock.now().duration_since(job.created_at) > KEEP;
            if !old && surplus == 0 {
                return Ok(());
            }
            if job.state.is_final() {
                if let Some(key) = &job.idempotency {
                    self.forget_key(key, &job.id).await?;
                }
                let removed = self.records.remove(Kind::Job, &id, version).await?;
                surplus = surplus.saturating_sub(u64::from(matches!(removed, Swap::Done(_))));
            }
            after = Some(id);
        }
    }
}

fn lease_name(id: &JobId) -> String {
    format!("job/{id}")
}

/// A job in work.
struct Working<'i> {
    ingest: &'i Ingest,
    writer: Writer<'i>,
    id: JobId,
    lease: Lease,
    told: Instant,
    /// Chunks that were given to the writer, or skipped because their document has its outcome.
    passed: u64,
    /// The document that the writer has open.
    open: Option<usize>,
    /// Whether a document waits for another round because another writer took it over.
    put_off: bool,
}

impl<'i> Working<'i> {
    fn new(ingest: &'i Ingest, id: JobId, lease: Lease) -> Self {
        let writer = Writer::new(ingest);
        Self { ingest, writer, id, lease, told: Instant::now(), passed: 0, open: None, put_off: false }
    }

    /// Works until the job is finished (true), or has to be left for another round (false).
    async fn run(&mut self, stop: &CancellationToken) -> Result<bool, Interrupted> {
        let now = self.ingest.clock.now();
        let started = |job: &mut Job| {
            if !job.state.is_final() {
                job.state = JobState::Running;
                job.started_at = job.started_at.or(Some(now));
            }
        };
        let Some(mut job) = self.change(started).await? else { return Ok(true) };
        if job.state.is_final() {
            return Ok(true);
        }
        let mut after = None::<String>;
        loop {
            let page = self
                .ingest
                .records
                .list(Kind::Pending, &format!("{}/", self.id), after.as_deref(), PAGE)
                .await
                .map_err(Interrupted::Store)?;
            for record in page.records {
                if stop.is_cancelled() || !self.renew().await? {
                    return Ok(false);
                }
                for part in batch_of(&record)?.parts {
                    self.part(&job, part).await?;
                }
                match self.tell(false).await? {
                    Some(told) => job = told,
                    None => return Ok(true),
                }
                if job.state == JobState::Cancelled {
                    self.writer.cancel().await?;
                    return Ok(true);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.writer.flush().await?;
        let Some(job) = self.tell(true).await? else { return Ok(true) };
        if job.state.is_final() {
            return Ok(true);
        }
        if !self.put_off {
            let what = format!("the waiting texts of job {}", self.id);
            let cause = "some are missing".to_owned();
            return Err(Interrupted::Store(StoreError::Corrupt { what, cause }));
        }
        Ok(false)
    }

    async fn part(&mut self, job: &Job, part: Part) -> Result<(), Interrupted> {
        let chunks = part.chunks.len() as u64;
        self.passed += chunks;
        if !job.is_queued(part.document) {
            return Ok(());
        }
        let mut title = None;
        if let Some(header) = part.header {
            title.clone_from(&header.title);
            let Some(document) = job.documents.get(part.document) else { return Ok(()) };
            let plan = Plan {
                id: document.id.clone(),
                version: header.version,
                bytes: header.bytes,
                title: header.given_title,
                metadata: header.metadata,
                force: false,
            };
            self.open = self.writer.begin(plan).await?.then_some(part.document);
        }
        if self.open != Some(part.document) {
            return Ok(());
        }
        for draft in part.chunks {
            self.writer.chunk(draft, title.as_deref()).await?;
        }
        if part.last {
            self.open = None;
            self.writer.end().await?;
        }
        Ok(())
    }

    /// Writes outcomes and progress to the job when there is something to say.
    async fn tell(&mut self, ended: bool) -> Result<Option<Job>, Interrupted> {
        let mut outcomes = BTreeMap::new();
        for report in self.writer.reports() {
            outcomes.insert(report.name.clone(), report);
        }
        let due = ended || !outcomes.is_empty() || self.told.elapsed() >= PROGRESS;
        if due {
            self.told = Instant::now();
        }
        let (now, passed) = (self.ingest.clock.now(), self.passed);
        self.put_off |= outcomes.values().any(|report| state(report).is_none());
        self.change(|job| {
            for document in &mut job.documents {
                if let Some(state) = outcomes.get(document.id.as_str()).and_then(state) {
                    document.state = state;
                }
            }
            if due {
                job.chunks_done = job.chunks_done.max(passed.min(job.chunks_total));
            }
            job.finish_at(now);
        })
        .await
    }

    async fn change(&self, change: impl Fn(&mut Job)) -> Result<Option<Job>, Interrupted> {
        self.ingest.change_job(&self.id, change).await.map_err(Interrupted::Store)
    }

    async fn renew(&mut self) -> Result<bool, Interrupted> {
        let now = self.ingest.clock.now();
        let renewed = ports::renew(&*self.ingest.records, &self.lease, &self.ingest.instance, now, LEASE).await;
        match renewed.map_err(Interrupted::Store)? {
            Some(lease) => {
                self.lease = lease;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn let_go(self) -> Result<(), Interrupted> {
        ports::release(&*self.ingest.records, &self.lease, self.ingest.clock.now()).await.map_err(Interrupted::Store)
    }
}

/// The state that a report stands for; none where the document waits for another round.
fn state(report: &DocumentReport) -> Option<DocumentState> {
    match &report.result {
        Ok(outcome) => Some(DocumentState::Done { outcome: outcome.clone() }),
        Err(FailureReason::TakenOver | FailureReason::Cancelled) => None,
        Err(error) => Some(DocumentState::Failed { error: error.clone() }),
    }
}

fn batch_of(record: &Record) -> Result<Batch, Interrupted> {
    serde_json::from_value(record.body.clone()).map_err(|e| {
        Interrupted::Store(StoreError::Corrupt {
            what: format!("the waiting texts {}", record.id),
            cause: e.to_string(),
        })
    })
}
