//! When a snapshot that is kept is read again.
//!
//! Each is read when its last reading is so old that the spec asks for another one, a little earlier by its own unchanging share,
//! so that those of many clusters, which were taken at the same time of a night, are not all read at the same time. A clock that
//! was years ahead when one was read keeps nothing from being read after it was put right.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::cluster::observed::{Observed, Reading};
use crate::cluster::validate::Snapshots;

/// The part of the time between two readings by which one comes earlier at the most.
const EARLIER_PART: i32 = 10;

/// What could not be read is tried again, for as long as it takes: somebody may have given the key back.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Clocks of several machines differ, and are put right by minutes; a time so far ahead is of one that was wrong.
const AHEAD_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a snapshot's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// The uid of the RagSnapshot.
    pub uid: &'a str,
    /// When it was last read or restored.
    pub last_at: Option<Timestamp>,
    /// When a reading came to nothing, since then.
    pub failed_at: Option<Timestamp>,
}

/// When it is read again; the past where it is late.
pub fn due_at(known: Known<'_>, every_days: i32, now: Timestamp) -> Timestamp {
    let is_possible = |at: &Timestamp| at.duration_since(now) <= AHEAD_AT_MOST;
    let every = SignedDuration::from_hours(24 * i64::from(every_days.max(1)));
    let after =
        |at: Timestamp| at.checked_add(every.saturating_sub(earlier(known.uid, every))).unwrap_or(Timestamp::MAX);
    let due = known.last_at.filter(is_possible).map_or(Timestamp::UNIX_EPOCH, after);
    let failed = known.failed_at.filter(is_possible);
    let again = failed.and_then(|at| at.checked_add(AGAIN_AFTER).ok());
    again.map_or(due, |again| due.max(again))
}

/// In whole seconds, always the same for a snapshot.
fn earlier(uid: &str, every: SignedDuration) -> SignedDuration {
    let digest = Sha256::digest(uid);
    let share = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let most = (every / EARLIER_PART).as_secs();
    let seconds = i128::from(most) * i128::from(share) / i128::from(u32::MAX);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default())
}

/// The next reading that is to come, with its snapshot. What is late is under way, or waits for its turn and says so itself.
pub fn next<'o>(asked: &Snapshots, observed: &'o Observed) -> Option<(Timestamp, &'o Reading)> {
    if asked.suspended || asked.verification.suspend {
        return None;
    }
    let due = |reading: &'o Reading| {
        let known = Known { uid: &reading.uid, last_at: reading.last_at, failed_at: reading.failed_at() };
        (due_at(known, asked.verification.every_days, observed.now), reading)
    };
    let times = observed
        .readings
        .iter()
        .filter(|reading| asked.names(&reading.destination))
        .map(due)
        .filter(|(at, _)| *at > observed.now);
    times.min_by_key(|(at, reading)| (*at, reading.snapshot.as_str()))
}

#[cfg(test)]
mod tests;
