//! Cleans up: after dead writers, what no record holds, and jobs that nobody will ask for any more.

use jiff::SignedDuration;

use super::{
    Ingest,
    jobs::{Job, job_of},
};
use crate::ports::{Kind, StoreError, Swap};

/// How long a finished job can be asked for.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
/// Finished jobs that are kept within that time.
const KEEP_JOBS: u64 = 1000;
/// Jobs that are read at once: one of a thousand documents has some hundred kilobytes.
const PAGE: usize = 16;
/// Jobs that one round forgets at most, so that it ends before the next one.
const FORGOTTEN_AT_ONCE: u64 = 512;

impl Ingest {
    /// Cleans up after dead writers, sweeps a bit, and forgets old jobs.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        self.clean_up().await?;
        self.sweep().await?;
        self.forget_jobs().await
    }

    /// Forgets finished jobs, the oldest first.
    async fn forget_jobs(&self) -> Result<(), StoreError> {
        let mut surplus = self.records.count(Kind::Job).await?.saturating_sub(KEEP_JOBS);
        let (mut after, mut forgotten) = (None::<String>, 0);
        loop {
            let page = self.records.list(Kind::Job, "", after.as_deref(), PAGE).await?;
            for record in page.records {
                let job = job_of(&record.id, record.body)?;
                let old = self.clock.now().duration_since(job.created_at) > KEEP;
                if forgotten >= FORGOTTEN_AT_ONCE || !(old || surplus > 0) {
                    return Ok(());
                }
                if job.state.is_final() && self.forget_job(&job, record.version).await? {
                    (surplus, forgotten) = (surplus.saturating_sub(1), forgotten + 1);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn forget_job(&self, job: &Job, version: u64) -> Result<bool, StoreError> {
        if let Some(key) = &job.idempotency {
            self.forget_key(key, &job.id).await?;
        }
        let removed = self.records.remove(Kind::Job, job.id.as_str(), version).await?;
        Ok(matches!(removed, Swap::Done(_)))
    }
}
