//! Which time of a schedule is due.
//!
//! As a CronJob has it: after a downtime the newest of the times that were missed is caught up, and no other; while what was
//! asked for last is under way, nothing more is. Each schedule comes a little late, by its own unchanging share of ten minutes,
//! so that not all clusters come at once. What was asked for is told by the objects; a clock that is put back asks for
//! nothing twice, and one that was wrong for a while keeps nothing from being asked for afterwards.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::cluster::validate::Timer;

/// The most that a schedule comes late.
const MOST_DELAY: SignedDuration = SignedDuration::from_mins(10);

/// The part of the time until the next one that it comes late at the most.
const DELAY_PART: i32 = 10;

/// For so long after its time a snapshot may be under way before somebody is told; at the most until the next is due.
const PATIENCE: SignedDuration = SignedDuration::from_hours(6);

/// Clocks move by an hour twice a year, and nobody means that by a recovery point of a day.
const CLOCK_CHANGE: SignedDuration = SignedDuration::from_hours(1);

/// How far gaps are looked for: two months have every monthly gap in them.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(62 * 24);

/// The most steps of that search, so that a pass stays short: eight days with an objective of an hour.
const LOOK_AHEAD_STEPS: usize = 400;

/// The share of the most delay by which a schedule of a cluster comes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(u32);

impl Jitter {
    /// Always the same for a schedule of a cluster.
    pub fn of(cluster_uid: &str, schedule: &str) -> Self {
        let digest = Sha256::digest(format!("{cluster_uid}/{schedule}"));
        Self(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }

    /// When what is due at `due` is asked for, in whole seconds: always before the next is due.
    pub fn effective(self, timer: &Timer, due: Timestamp) -> Timestamp {
        let until_next = timer.after(due).map_or(SignedDuration::ZERO, |next| next.duration_since(due));
        let most = (until_next / DELAY_PART).min(MOST_DELAY).as_secs();
        let delay = i128::from(most) * i128::from(self.0) / i128::from(u32::MAX);
        let delay = SignedDuration::from_secs(i64::try_from(delay).unwrap_or_default());
        due.checked_add(delay).unwrap_or(due)
    }
}

/// A time of the schedule that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The time.
    pub at: Timestamp,
    /// What is not done yet, by its name.
    pub under_way: Option<String>,
}

/// What a schedule asks for now, and next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The time that is to be asked for now.
    pub due: Option<Timestamp>,
    /// What has to end before.
    pub held_by: Option<String>,
    /// The newest time that has come, asked for or not.
    pub owed: Option<Timestamp>,
    /// When somebody is told that it is not there.
    pub overdue_at: Option<Timestamp>,
    /// When the next one will be asked for, if nothing is due now.
    pub next_at: Option<Timestamp>,
}

/// What a schedule asks for at `now`. Nothing that was due until `since` is asked for.
pub fn turn(timer: &Timer, jitter: Jitter, since: Timestamp, asked: &[Asked], now: Timestamp) -> Turn {
    let newest = timer.newest(now);
    let has_come = |due: &Timestamp| jitter.effective(timer, *due) <= now;
    // Where the newest has not come yet, the one before has: none comes later than the next is due.
    let come = newest.filter(has_come).or_else(|| timer.before(newest?));
    let owed = come.filter(|due| *due > since);
    // What was asked for in a future that a wrong clock has shown counts once it comes.
    let known = asked.iter().map(|asked| asked.at).filter(|at| *at <= now).max();
    let missing = owed.filter(|due| known.is_none_or(|known| *due > known));
    let held_by = missing.and_then(|_| asked.iter().find_map(|asked| asked.under_way.clone()));
    Turn {
        due: missing.filter(|_| held_by.is_none()),
        held_by,
        overdue_at: owed.map(|due| overdue_at(timer, jitter, due)),
        owed,
        next_at: next(timer, jitter, since, asked, now),
    }
}

fn overdue_at(timer: &Timer, jitter: Jitter, due: Timestamp) -> Timestamp {
    let until_next = timer.after(due).map_or(PATIENCE, |next| next.duration_since(due));
    jitter.effective(timer, due).checked_add(until_next.min(PATIENCE)).unwrap_or(due)
}

/// The first time that has not come and is not asked for.
fn next(timer: &Timer, jitter: Jitter, since: Timestamp, asked: &[Asked], now: Timestamp) -> Option<Timestamp> {
    let mut due = timer.newest(now);
    // Each step leaves one behind that has come or is asked for, and one of them is the newest that has come.
    for _ in 0..asked.len() + 2 {
        let candidate = due.filter(|due| *due > since);
        let is_ahead =
            |due: &Timestamp| jitter.effective(timer, *due) > now && asked.iter().all(|asked| asked.at != *due);
        if let Some(found) = candidate.filter(is_ahead) {
            return Some(jitter.effective(timer, found));
        }
        due = timer.after(due.unwrap_or(now).max(since));
    }
    None
}

/// A time between two snapshots that is longer than `objective`: what was written in it would be lost.
pub fn gap_beyond(timers: &[&Timer], objective: SignedDuration, now: Timestamp) -> Option<SignedDuration> {
    let allowed = if objective < SignedDuration::from_hours(24) { objective } else { objective + CLOCK_CHANGE };
    let end = now.checked_add(LOOK_AHEAD).unwrap_or(Timestamp::MAX);
    let after = |time| timers.iter().filter_map(|timer| timer.after(time)).min();
    let newest = |time| timers.iter().filter_map(|timer| timer.newest(time)).max();
    let Some(mut at) = after(now) else { return Some(LOOK_AHEAD) };
    for _ in 0..LOOK_AHEAD_STEPS {
        let next = after(at)?;
        let gap = next.duration_since(at);
        if gap > allowed {
            return Some(gap);
        }
        // Between here and there no gap can be longer.
        at = newest(at.checked_add(allowed).ok()?).unwrap_or(next).max(next);
        if at > end {
            break;
        }
    }
    None
}

#[cfg(test)]
mod tests;
