//! Removes what was kept for long enough: sessions, opinions, finished jobs, idempotency keys without a job, marks of deletions, and documents whose time is over.
//!
//! Flow: take the lease -> is the clock to be trusted? -> of each kind look at a bounded number of records, from where the pass before ended, and remove those that are due -> leave a note for the next pass.
//! Guarantees: one process makes a pass at a time; what changed since it was read stays, because a removal is for that version alone; a pass looks at a bounded number of records and removes a bounded number;
//! every record has its turn, however often servers are restarted, because the note of a pass is in the records. What is due is decided in [`due`], without a clock of its own.
//! Nothing depends on the lease: two passes at once only look twice.

mod due;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::due::{Limits, MOST_JOBS};
use self::trust::{Look, Trust};
use crate::{
    ingest::{Ingest, Job, JobId},
    ports::{Clock, Holds, Kind, Record, Records, StoreError, Swap},
};

/// What the process holds that makes a pass.
const LEASE: &str = "retention";
/// Kinds of which records are removed.
pub const KINDS: [Kind; 6] =
    [Kind::Session, Kind::Feedback, Kind::Job, Kind::Idempotency, Kind::Deletion, Kind::Document];
/// What a pass does, in this order: jobs before their keys.
const SWEEPS: [Sweep; 6] = [Sweep::Sessions, Sweep::Feedback, Sweep::Jobs, Sweep::Keys, Sweep::Marks, Sweep::Documents];
/// Records that are read together: a session has up to 160 kilobytes.
const PAGE: usize = 100;
/// Pages of a kind that a pass looks at: with a pass each ten seconds a million records have their turn within three hours.
const PAGES: usize = 10;
/// Records of a kind that a pass removes at most, so that a mistake in a setting or a clock shows before all is gone: within an hour that is not more than 180,000.
pub const REMOVED_AT_ONCE: usize = 500;
/// Jobs that are read together: one of a thousand documents has some hundred kilobytes.
const JOBS: usize = 16;

type Count = dyn Fn(Kind, u64) + Send + Sync;

/// A part of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Sessions,
    Feedback,
    Jobs,
    Keys,
    Marks,
    Documents,
}

impl Sweep {
    /// Whose records it removes.
    fn kind(self) -> Kind {
        match self {
            Self::Sessions => Kind::Session,
            Self::Feedback => Kind::Feedback,
            Self::Jobs => Kind::Job,
            Self::Keys => Kind::Idempotency,
            Self::Marks => Kind::Deletion,
            Self::Documents => Kind::Document,
        }
    }
}

/// Where the next pass goes on: the note that each pass leaves for the next one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// Behind this id, of each kind that was not gone through to its end.
    #[serde(default)]
    after: BTreeMap<String, String>,
    /// When the pass was, by the wall clock of its process.
    at: Option<Timestamp>,
    /// Whether the clock jumped since the line of jobs was last empty: then the times of jobs and deletions do not tell which came first.
    #[serde(default)]
    jumped: bool,
}

impl Place {
    /// Where the pass before ended; the beginning where it left nothing.
    fn after(note: Option<&Value>) -> Self {
        note.and_then(|note| Self::deserialize(note).ok()).unwrap_or_default()
    }
}

/// Makes the passes of one process.
pub struct Retention {
    records: Arc<dyn Records>,
    ingest: Arc<Ingest>,
    clock: Arc<dyn Clock>,
    holds: Holds,
    limits: Limits,
    counted: Option<Box<Count>>,
    trust: Mutex<Trust>,
}

impl Retention {
    /// Passes over these records; documents are removed by `ingest`.
    pub fn new(records: Arc<dyn Records>, ingest: Arc<Ingest>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let holds = Holds::new(Arc::clone(&records), Arc::clone(&clock));
        Self { records, ingest, clock, holds, limits, counted: None, trust: Mutex::default() }
    }

    /// Calls `count` with what was removed.
    #[must_use]
    pub fn counted(mut self, count: impl Fn(Kind, u64) + Send + Sync + 'static) -> Self {
        self.counted = Some(Box::new(count));
        self
    }

    /// One pass, unless another process makes one. A kind that fails does not keep the others from their turn; the first failure is returned.
    pub async fn pass(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        // Also while another process makes the passes: a jump that nobody saw could not be told later.
        let mut look = self.trust().look(now, self.clock.steady());
        self.say(look, now);
        let note = |before: Option<&Value>| before.cloned().unwrap_or_default();
        let Some(hold) = self.holds.take(Kind::Lease, LEASE, note).await? else { return Ok(()) };
        let mut place = Place::after(hold.inherited());
        let mut outcome = Ok(());
        if look == Look::Trusted {
            look = self.trust().compare(now, self.clock.steady(), place.at);
            self.say(look, now);
        }
        place.jumped |= self.trust().unwritten;
        if look == Look::Trusted {
            for sweep in SWEEPS {
                if !hold.check().await? {
                    return Ok(());
                }
                let swept = self.sweep(sweep, &mut place, now).await;
                outcome = outcome.and(swept);
            }
        }
        place.at = Some(now);
        let note = serde_json::to_value(&place)
            .map_err(|e| StoreError::Failed { store: "the note of a pass", cause: e.to_string() })?;
        // It is not given back: its note is for the next pass, of this process at any time and of another one when the time of the hold is over.
        if hold.leave_note(note).await? {
            self.trust().unwritten = false;
        }
        outcome
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, look: Look, now: Timestamp) {
        let Look::Jumped(by) = look else { return };
        let (hours, minutes) = (by.as_hours(), trust::REST.as_secs() / 60);
        tracing::error!(
            hours, %now,
            "the wall clock jumped; nothing that was kept for long enough is removed for {minutes} minutes, so that it can be set right"
        );
    }

    async fn sweep(&self, sweep: Sweep, place: &mut Place, now: Timestamp) -> Result<(), StoreError> {
        let (kind, limits) = (sweep.kind(), &self.limits);
        let removed = match sweep {
            Sweep::Sessions => self.sweep_pages(kind, place, |body| due::session(body, limits, now)).await?,
            Sweep::Feedback => self.sweep_pages(kind, place, |body| due::feedback(body, limits, now)).await?,
            Sweep::Jobs => self.sweep_jobs(now).await?,
            Sweep::Keys => self.sweep_keys(place, now).await?,
            Sweep::Marks => match self.marks_until(place, now).await? {
                Some(until) => self.sweep_pages(kind, place, |body| due::mark(body, until)).await?,
                None => 0,
            },
            Sweep::Documents => {
                let removed = self.ingest.remove_expired(REMOVED_AT_ONCE).await?;
                self.count(kind, removed as u64);
                removed
            }
        };
        if removed >= REMOVED_AT_ONCE {
            tracing::info!(kind = kind.as_str(), removed, "a pass removed as much as it may; more may be due");
        }
        Ok(())
    }

    /// Goes through some pages of a kind and removes what is due.
    async fn sweep_pages(
        &self,
        kind: Kind,
        place: &mut Place,
        is_due: impl Fn(&Value) -> due::Due,
    ) -> Result<usize, StoreError> {
        let mut after = place.after.remove(kind.as_str());
        let mut removed = 0;
        for _ in 0..PAGES {
            let page = self.records.list(kind, "", after.as_deref(), PAGE).await?;
            for record in &page.records {
                match is_due(&record.body) {
                    Ok(true) => removed += usize::from(self.remove(kind, record).await?),
                    Ok(false) => {}
                    Err(error) => unreadable(kind, record, &error),
                }
            }
            after = page.next;
            // The next page is begun only where all of it may go.
            if after.is_none() || removed + PAGE > REMOVED_AT_ONCE {
                break;
            }
        }
        if let Some(after) = after {
            place.after.insert(kind.as_str().to_owned(), after);
        }
        Ok(removed)
    }

    /// Finished jobs, the oldest first: those whose time is over, and those that are too many. How many are not finished is bounded by the line.
    async fn sweep_jobs(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut surplus = self.records.count(Kind::Job).await?.saturating_sub(MOST_JOBS);
        let (mut after, mut removed) = (None::<String>, 0);
        loop {
            let page = self.records.list(Kind::Job, "", after.as_deref(), JOBS).await?;
            for record in page.records {
                let job = match Job::deserialize(&record.body) {
                    Ok(job) => job,
                    Err(error) => {
                        unreadable(Kind::Job, &record, &error);
                        continue;
                    }
                };
                let is_surplus = surplus > 0;
                if removed >= REMOVED_AT_ONCE || !(is_surplus || due::may_be_due(&job, &self.limits, now)) {
                    return Ok(removed);
                }
                if due::job(&job, &self.limits, is_surplus, now) && self.forget_job(&job, &record).await? {
                    (surplus, removed) = (surplus.saturating_sub(1), removed + 1);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(removed),
            }
        }
    }

    /// Removes a job, its idempotency key first: a key without its job would be found by nobody else.
    async fn forget_job(&self, job: &Job, record: &Record) -> Result<bool, StoreError> {
        if let Some(key) = &job.idempotency
            && let Some(standing) = self.records.get(Kind::Idempotency, key).await?
            && standing.body["job"] == job.id.as_str()
        {
            self.remove(Kind::Idempotency, &standing).await?;
        }
        self.remove(Kind::Job, record).await
    }

    /// Keys whose job is forgotten, a page at a time: what is left of a request that was answered when its job was forgotten already.
    async fn sweep_keys(&self, place: &mut Place, now: Timestamp) -> Result<usize, StoreError> {
        let kind = Kind::Idempotency;
        let after = place.after.remove(kind.as_str());
        let page = self.records.list(kind, "", after.as_deref(), PAGE).await?;
        let mut abandoned: Vec<(JobId, Record)> = Vec::new();
        for record in page.records {
            match due::abandoned(&record.body, now) {
                Ok(job) => abandoned.extend(job.map(|job| (job, record))),
                Err(error) => unreadable(kind, &record, &error),
            }
        }
        let ids: Vec<&str> = abandoned.iter().map(|(job, _)| job.as_str()).collect();
        let known = if ids.is_empty() { Vec::new() } else { self.records.get_many(Kind::Job, &ids).await? };
        let known: HashSet<&str> = known.iter().map(|record| record.id.as_str()).collect();
        let mut removed = 0;
        for (_, key) in abandoned.iter().filter(|(job, _)| !known.contains(job.as_str())) {
            removed += usize::from(self.remove(kind, key).await?);
        }
        if let Some(next) = page.next {
            place.after.insert(kind.as_str().to_owned(), next);
        }
        Ok(removed)
    }

    /// Up to which time marks of deletions may go; none while that cannot be told.
    async fn marks_until(&self, place: &mut Place, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let waiting = self.records.list(Kind::Waiting, "", None, 1).await?;
        // Of one that cannot be read it is not known when it came.
        let since = |record: &Record| record.id.parse::<JobId>().map_or(Timestamp::MIN, |job| job.submitted());
        place.jumped &= !waiting.records.is_empty();
        let needed = due::marks_until(waiting.records.first().map(since), place.jumped, now);
        let kept = now.checked_sub(self.limits.deletions).unwrap_or(Timestamp::MIN);
        Ok(needed.map(|until| until.min(kept)))
    }

    /// Removes a record as it was read; one that changed meanwhile stays.
    async fn remove(&self, kind: Kind, record: &Record) -> Result<bool, StoreError> {
        let removed = self.records.remove(kind, &record.id, record.version).await?;
        let is_removed = matches!(removed, Swap::Done(_));
        self.count(kind, u64::from(is_removed));
        Ok(is_removed)
    }

    fn count(&self, kind: Kind, removed: u64) {
        if let Some(count) = self.counted.as_ref().filter(|_| removed > 0) {
            count(kind, removed);
        }
    }
}

/// A record that cannot be read stays: whoever mends it may need it. It is said at each pass that meets it.
fn unreadable(kind: Kind, record: &Record, error: &serde_json::Error) {
    tracing::warn!(kind = kind.as_str(), id = record.id, %error, "whether its time is over cannot be read; it stays");
}
