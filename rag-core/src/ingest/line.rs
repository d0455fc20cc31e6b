//! The line of jobs that are not finished: a small record of each, which says whose it is, how much it keeps in the records, and when its next turn is due.
//!
//! Guarantee: the record is put before anything that the job keeps and removed after all of it, so that what the line adds up to bounds what is kept, also while it is written.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ingest, jobs::JobId, json, submit::SubmitError, tries::HeldUp};
use crate::{
    model::Tenant,
    ports::{Change, Kind, Record, StoreError, update},
};

/// Bytes that jobs may keep, all together.
const MAX_KEPT: u64 = 512 << 20;
/// What the smallest job counts for, so that the line has a bounded length, too.
const LEAST: u64 = 256 << 10;
/// What a sender is asked to wait where there is no room: a few records are worked through in that time.
const RETRY_AFTER_SECONDS: u64 = 10;
/// Places that are read at once.
const PAGE: usize = 256;

/// A job's place in the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Whose it is.
    pub(super) tenant: Tenant,
    /// Bytes that the job keeps at most.
    pub(super) bytes: u64,
    /// Since when it waits for a turn.
    pub(super) since: Timestamp,
    /// It is passed over before this time.
    pub(super) until: Option<Timestamp>,
    /// Whether its turns came to nothing.
    pub(super) held_up: Option<HeldUp>,
}

impl Place {
    pub(super) fn new(tenant: Tenant, bytes: u64, now: Timestamp) -> Self {
        Self { tenant, bytes: bytes.max(LEAST), since: now, until: None, held_up: None }
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Keeps so many bytes less.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes).max(LEAST);
    }
}

/// A job in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) id: JobId,
    pub(super) place: Place,
}

/// Whether a job of so many bytes may join the line, where its tenant keeps `own` and the other tenants `others`: half of what the others leave free is the tenant's, so that something is free for the next one.
///
/// A request that is larger than that may wait alone.
fn fits(bytes: u64, own: u64, others: u64) -> bool {
    let share = MAX_KEPT.saturating_sub(others) / 2;
    own.saturating_add(bytes) <= share || (own == 0 && others == 0)
}

impl Ingest {
    /// Joins the line, unless there is no room.
    pub(super) async fn join_line(&self, id: &JobId, place: Place) -> Result<(), SubmitError> {
        let body = json(&place)?;
        self.patiently(|| self.records.put_if_absent(Kind::Waiting, id.as_str(), body.clone())).await?;
        // Two that join at once both see each other here: too many never get in.
        let (mut own, mut others) = (0_u64, 0_u64);
        for queued in self.line().await?.into_iter().filter(|queued| queued.id != *id) {
            let sum = if queued.place.tenant == place.tenant { &mut own } else { &mut others };
            *sum = sum.saturating_add(queued.place.bytes);
        }
        if fits(place.bytes, own, others) {
            return Ok(());
        }
        self.leave_line(id).await?;
        Err(SubmitError::Busy { retry_after_seconds: RETRY_AFTER_SECONDS })
    }

    /// Leaves the line, once nothing is kept any more.
    pub(super) async fn leave_line(&self, id: &JobId) -> Result<(), StoreError> {
        self.patiently(|| update(&*self.records, Kind::Waiting, id.as_str(), |_| Ok(Change::Remove(())))).await
    }

    /// Everybody in the line, in the order in which they were submitted.
    pub(super) async fn line(&self) -> Result<Vec<Queued>, StoreError> {
        let (mut line, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.patiently(|| self.records.list(Kind::Waiting, "", after.as_deref(), PAGE)).await?;
            for record in page.records {
                let Ok(id) = record.id.parse::<JobId>() else { continue };
                line.push(Queued { place: place_of(&record)?, id });
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(line),
            }
        }
    }

    /// Writes a job's place down, unless the job left the line. Only who has a grip on the job does that.
    pub(super) async fn move_in_line(&self, job: &Queued) -> Result<(), StoreError> {
        let body = json(&job.place)?;
        let change = |standing: Option<&Record>| {
            Ok(if standing.is_some() { Change::Write(body.clone(), ()) } else { Change::Leave(()) })
        };
        self.patiently(|| update(&*self.records, Kind::Waiting, job.id.as_str(), change)).await
    }
}

fn place_of(record: &Record) -> Result<Place, StoreError> {
    serde_json::from_value(record.body.clone())
        .map_err(|e| StoreError::Corrupt { what: format!("the place of job {}", record.id), cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_waits_is_bounded_and_a_tenant_that_has_nothing_finds_room(
            asks in prop::collection::vec((0_usize..4, 1_u64..MAX_KEPT / 4), 1..200)
        ) {
            let mut kept = [0_u64; 5];
            for (tenant, bytes) in asks {
                let all: u64 = kept.iter().sum();
                if fits(bytes, kept[tenant], all - kept[tenant]) {
                    kept[tenant] += bytes;
                }
            }
            let all: u64 = kept.iter().sum();
            prop_assert!(all <= MAX_KEPT, "{kept:?}");
            prop_assert!(fits((MAX_KEPT - all) / 2, 0, all), "the next one finds half of what is left");
            prop_assert!(all < MAX_KEPT, "something is left");
        }
    }

    #[test]
    fn a_request_that_is_larger_than_a_share_may_wait_alone() {
        assert!(fits(MAX_KEPT * 2, 0, 0));
        assert!(!fits(MAX_KEPT * 2, 0, 1));
        assert!(!fits(MAX_KEPT * 2, 1, 0));
    }
}
