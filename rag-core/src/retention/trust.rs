//! Whether the wall clock can be relied on: it is compared with a clock that nobody sets. Pure; both times are passed in.
//!
//! A clock that was set years ahead makes everything due at once. Whoever set it by mistake has an hour to notice: so long nothing is removed, and it is said.
//! Caveats: a machine that slept for more than a day looks the same, and waits for an hour once. What happened while no server ran shows only in steps that no pause explains: backwards, or more than a year ahead.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How far the clocks may go apart between two looks: more than any correction of a clock that is kept right, and no more than what a mark of a deletion is kept for beyond its need.
const JUMP: SignedDuration = SignedDuration::from_hours(24);
/// How long nothing is removed after that, by the clock that nobody sets.
pub(super) const REST: Duration = Duration::from_secs(3600);
/// For how long all servers may have been away.
const ABSENCE: SignedDuration = SignedDuration::from_hours(366 * 24);

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The time is what it seems to be.
    Trusted,
    /// It jumped by so much just now.
    Jumped(SignedDuration),
    /// It jumped a while ago.
    Rests,
}

/// What the looks so far saw.
#[derive(Debug, Default)]
pub(super) struct Trust {
    last: Option<(Timestamp, Duration)>,
    rests_until: Option<Duration>,
    /// Whether the time was compared with that of the last pass of any server.
    compared: bool,
    /// Whether there was a jump that is not written down yet.
    pub(super) unwritten: bool,
}

impl Trust {
    /// Looks at both clocks.
    pub(super) fn look(&mut self, wall: Timestamp, steady: Duration) -> Look {
        if let Some((last, then)) = self.last.replace((wall, steady)) {
            let passed = SignedDuration::try_from(steady.saturating_sub(then)).unwrap_or(SignedDuration::MAX);
            let by = wall.duration_since(last).saturating_sub(passed);
            if by.unsigned_abs() >= JUMP.unsigned_abs() {
                return self.jumped(by, steady);
            }
        }
        match self.rests_until {
            Some(until) if steady < until => Look::Rests,
            Some(_) | None => {
                self.rests_until = None;
                Look::Trusted
            }
        }
    }

    /// Compares a time that is trusted with when the last pass of any server was, by its wall clock; once.
    pub(super) fn compare(&mut self, wall: Timestamp, steady: Duration, before: Option<Timestamp>) -> Look {
        let gap = before.map(|before| wall.duration_since(before)).unwrap_or_default();
        let is_unexplained = gap <= -JUMP || gap > ABSENCE;
        match std::mem::replace(&mut self.compared, true) {
            false if is_unexplained => self.jumped(gap, steady),
            _ => Look::Trusted,
        }
    }

    fn jumped(&mut self, by: SignedDuration, steady: Duration) -> Look {
        self.unwritten = true;
        self.rests_until = Some(steady.saturating_add(REST));
        Look::Jumped(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEARS: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_hours(1_000_000 + hours)).unwrap()
    }

    const fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn time_that_passes_is_no_jump_however_long_it_takes() {
        let mut trust = Trust::default();
        for hour in [0, 1, 500, 20_000] {
            assert_eq!(trust.look(at(hour as i64), hours(hour)), Look::Trusted);
        }
    }

    #[test]
    fn a_jump_either_way_is_noticed_once_and_waited_for() {
        for by in [YEARS, -YEARS] {
            let mut trust = Trust::default();
            trust.look(at(0), hours(0));
            let set = at(1).checked_add(by).unwrap();
            assert_eq!(trust.look(set, hours(1)), Look::Jumped(by));
            assert_eq!(trust.look(set, hours(1) + REST / 2), Look::Rests);
            assert_eq!(trust.look(set, hours(1) + REST), Look::Trusted, "whoever set it meant it");
        }
    }

    #[test]
    fn a_clock_that_is_set_right_again_jumps_back() {
        let mut trust = Trust::default();
        trust.look(at(0), hours(0));
        trust.look(at(0).checked_add(YEARS).unwrap(), hours(0));
        assert_eq!(trust.look(at(0), hours(0)), Look::Jumped(-YEARS));
    }

    #[test]
    fn a_start_after_a_pause_is_trusted_and_one_before_the_last_pass_is_not() {
        for (first, trusted) in [(0, true), (1, true), (24 * 90, true), (24 * 367, false), (-23, true), (-24, false)] {
            let mut trust = Trust::default();
            assert_eq!(trust.look(at(first), hours(0)), Look::Trusted, "it knows no other time yet");
            let look = trust.compare(at(first), hours(0), Some(at(0)));
            assert_eq!((look == Look::Trusted, trust.unwritten), (trusted, !trusted), "{first} hours after: {look:?}");
            assert_eq!(trust.compare(at(first), hours(0), Some(at(0))), Look::Trusted, "it is compared once");
        }
    }
}
