//! Which snapshots may go, as a value.
//!
//! Each schedule keeps as many of its snapshots as it says, the newest ones; what one keeps no other removes, since each
//! snapshot is of one schedule. Beyond that, the newest verified one of each destination stays, and what a restore is using.
//! What somebody took by hand, and what is of a schedule that there is no longer, is nobody's to remove. No clock is asked:
//! snapshots are ordered by the time that they themselves say they are of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::observed::{Kept, Snapshot, SnapshotState};
use crate::cluster::validate::Schedule;

/// A snapshot that failed is left for people to look at until so many newer ones of its schedule are there.
const FAILED_KEPT: usize = 3;

/// What may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The snapshots whose copies in the archive may go now, oldest first, by destination.
    pub expired: BTreeMap<String, Vec<String>>,
    /// Those that may go when each schedule has taken its next one.
    pub next: Vec<String>,
    /// The objects of snapshots that failed long ago. There is nothing in an archive of them.
    pub failed: Vec<String>,
}

/// What may go of `snapshots`; those of `in_use` may not.
pub fn retention(schedules: &[Schedule], snapshots: &[Snapshot], in_use: &BTreeSet<&str>) -> Retention {
    let copies: Vec<Copy> = snapshots.iter().filter(|snapshot| !snapshot.is_going).filter_map(Copy::of).collect();
    let expired = surplus(schedules, copies.clone(), in_use);
    let mut later = copies;
    later.extend(schedules.iter().map(Copy::to_come));
    let next = surplus(schedules, later, in_use).into_iter().map(|copy| copy.name);
    let now: BTreeSet<&str> = expired.iter().map(|copy| copy.name).collect();
    let next = next.filter(|name| !now.contains(name)).map(str::to_owned).collect();
    let mut by_destination: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for copy in &expired {
        by_destination.entry(copy.destination.to_owned()).or_default().push(copy.name.to_owned());
    }
    Retention { expired: by_destination, next, failed: failed(schedules, snapshots) }
}

/// A snapshot in an archive.
#[derive(Clone, Copy)]
struct Copy<'s> {
    began_at: Timestamp,
    name: &'s str,
    schedule: Option<&'s str>,
    destination: &'s str,
    is_verified: bool,
}

impl<'s> Copy<'s> {
    fn of(snapshot: &'s Snapshot) -> Option<Self> {
        let Kept { destination, began_at, is_verified } = snapshot.kept()?;
        let (name, schedule) = (snapshot.name.as_str(), snapshot.schedule.as_deref());
        Some(Self { began_at: *began_at, name, schedule, destination, is_verified: *is_verified })
    }

    /// The next one of a schedule.
    fn to_come(schedule: &'s Schedule) -> Self {
        let (name, destination) = ("", schedule.destination.as_str());
        Self { began_at: Timestamp::MAX, name, schedule: Some(&schedule.name), destination, is_verified: true }
    }
}

/// Those that no rule keeps, oldest first.
fn surplus<'s>(schedules: &[Schedule], mut copies: Vec<Copy<'s>>, in_use: &BTreeSet<&str>) -> Vec<Copy<'s>> {
    copies.sort_by_key(|copy| std::cmp::Reverse((copy.began_at, copy.name)));
    let mut left: BTreeMap<&str, usize> =
        schedules.iter().map(|schedule| (schedule.name.as_str(), schedule.keep)).collect();
    let mut proven: BTreeSet<&str> = BTreeSet::new();
    let mut surplus = Vec::new();
    for copy in copies {
        // One that somebody took by hand may go at any time, so it proves nothing for the others.
        let Some(left) = copy.schedule.and_then(|schedule| left.get_mut(schedule)) else { continue };
        let is_last_verified = copy.is_verified && proven.insert(copy.destination);
        let is_kept = *left > 0;
        *left = left.saturating_sub(1);
        if !(is_kept || is_last_verified || in_use.contains(copy.name)) {
            surplus.push(copy);
        }
    }
    surplus.reverse();
    surplus
}

fn failed(schedules: &[Schedule], snapshots: &[Snapshot]) -> Vec<String> {
    let mut failed = Vec::new();
    for schedule in schedules {
        let mut ours: Vec<&Snapshot> = snapshots
            .iter()
            .filter(|snapshot| snapshot.schedule.as_ref() == Some(&schedule.name) && !snapshot.is_going)
            .collect();
        ours.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.due_at, snapshot.name.as_str())));
        let old = ours.into_iter().skip(FAILED_KEPT);
        let old = old.filter(|snapshot| matches!(snapshot.state, SnapshotState::Failed { .. }));
        failed.extend(old.map(|snapshot| snapshot.name.clone()));
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::Timer;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    const DESTINATIONS: [&str; 2] = ["near", "off-site"];

    fn schedule(name: &str, keep: usize, destination: &str) -> Schedule {
        let timer = Timer::parse("0 2 * * *", None, Timestamp::UNIX_EPOCH).unwrap();
        let (name, destination) = (name.to_owned(), destination.to_owned());
        Schedule { name, timer, since: Timestamp::UNIX_EPOCH, last_asked: None, keep, destination }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + day * 86_400).unwrap()
    }

    fn snapshot(name: &str, schedule: &str, at: i64, state: SnapshotState) -> Snapshot {
        let schedule = Some(schedule.to_owned()).filter(|schedule| !schedule.is_empty());
        let (name, uid) = (name.to_owned(), format!("uid-of-{name}"));
        Snapshot { name, uid, schedule, due_at: day(at), state, is_going: false }
    }

    fn kept(name: &str, schedule: &str, at: i64, is_verified: bool) -> Snapshot {
        let kept = Kept { destination: "near".to_owned(), began_at: day(at), is_verified };
        snapshot(name, schedule, at, SnapshotState::Kept(kept))
    }

    fn near(retention: &Retention) -> Vec<&str> {
        retention.expired.get("near").into_iter().flatten().map(String::as_str).collect()
    }

    #[test]
    fn each_schedule_keeps_its_newest_and_says_which_goes_next() {
        let schedules = [schedule("daily", 2, "near"), schedule("weekly", 1, "near")];
        let snapshots: Vec<Snapshot> = (1..=4)
            .map(|at| kept(&format!("d{at}"), "daily", at, true))
            .chain([kept("w1", "weekly", 1, true)])
            .collect();
        let found = retention(&schedules, &snapshots, &BTreeSet::new());
        assert_eq!(near(&found), ["d1", "d2"]);
        assert_eq!(found.next, ["w1", "d3"]);
    }

    #[test]
    fn the_last_verified_one_stays_however_many_came_after_it() {
        let schedules = [schedule("daily", 2, "near")];
        let mut snapshots = vec![kept("good", "daily", 1, true)];
        snapshots.extend((2..9).map(|at| kept(&format!("bad{at}"), "daily", at, false)));
        let found = retention(&schedules, &snapshots, &BTreeSet::new());
        assert_eq!(near(&found), ["bad2", "bad3", "bad4", "bad5", "bad6"]);
        // Somebody's own, which may be gone tomorrow, does not take its place.
        snapshots.push(kept("by-hand", "", 20, true));
        assert_eq!(retention(&schedules, &snapshots, &BTreeSet::new()).expired, found.expired);
        snapshots.push(kept("better", "daily", 21, true));
        assert!(near(&retention(&schedules, &snapshots, &BTreeSet::new())).contains(&"good"));
    }

    #[test]
    fn what_is_by_hand_in_use_going_or_of_no_schedule_any_more_is_left_alone() {
        let schedules = [schedule("daily", 1, "near")];
        let mut snapshots = vec![
            kept("by-hand", "", 1, true),
            kept("of-old", "hourly", 2, true),
            kept("used", "daily", 3, true),
            kept("going", "daily", 4, true),
            kept("d5", "daily", 5, true),
            kept("d6", "daily", 6, true),
        ];
        snapshots[3].is_going = true;
        assert_eq!(near(&retention(&schedules, &snapshots, &BTreeSet::from(["used"]))), ["d5"]);
        assert_eq!(retention(&[], &snapshots, &BTreeSet::new()), Retention::default());
    }

    #[test]
    fn a_failed_one_goes_when_three_newer_ones_of_its_schedule_are_there() {
        let failed = |name: &str, at| {
            let (reason, message) = ("AuthFailed".to_owned(), "no".to_owned());
            snapshot(name, "daily", at, SnapshotState::Failed { reason, message })
        };
        let mut snapshots = vec![failed("f1", 1), failed("f2", 2), failed("f3", 3)];
        let schedules = [schedule("daily", 7, "near")];
        assert!(retention(&schedules, &snapshots, &BTreeSet::new()).failed.is_empty());
        snapshots.push(kept("d4", "daily", 4, true));
        assert_eq!(retention(&schedules, &snapshots, &BTreeSet::new()).failed, ["f1"]);
        snapshots.iter_mut().for_each(|snapshot| snapshot.schedule = None);
        assert!(retention(&schedules, &snapshots, &BTreeSet::new()).failed.is_empty());
    }

    fn any_snapshot() -> impl Strategy<Value = (u8, i64, u8, bool, bool)> {
        (0..4_u8, 0..60_i64, 0..4_u8, any::<bool>(), proptest::bool::weighted(0.1))
    }

    fn history(drawn: &[(u8, i64, u8, bool, bool)]) -> Vec<Snapshot> {
        let of = |(index, (schedule, at, state, is_verified, is_going)): (usize, &(u8, i64, u8, bool, bool))| {
            let schedule = ["daily", "weekly", "gone", ""][usize::from(*schedule)];
            let destination = DESTINATIONS[usize::from(*state) % 2].to_owned();
            let state = match state {
                0 | 1 => SnapshotState::Kept(Kept { destination, began_at: day(*at), is_verified: *is_verified }),
                2 => SnapshotState::UnderWay,
                _ => SnapshotState::Failed { reason: "Unreachable".to_owned(), message: String::new() },
            };
            Snapshot { is_going: *is_going, ..snapshot(&format!("s{index}"), schedule, *at, state) }
        };
        drawn.iter().enumerate().map(of).collect()
    }

    proptest! {
        /// However often it is asked again after what it named has gone, in whatever history.
        #[test]
        fn the_newest_verified_one_of_each_destination_is_never_removed(
            drawn in proptest::collection::vec(any_snapshot(), 0..60), daily in 1..5_usize, weekly in 1..3_usize,
        ) {
            let schedules = [schedule("daily", daily, "near"), schedule("weekly", weekly, "off-site")];
            let mut snapshots = history(&drawn);
            for _ in 0..3 {
                let found = retention(&schedules, &snapshots, &BTreeSet::new());
                let gone: BTreeSet<&String> = found.expired.values().flatten().collect();
                for destination in DESTINATIONS {
                    let verified = snapshots.iter().filter(|one| !one.is_going).filter(|one| {
                        one.kept().is_some_and(|kept| kept.is_verified && kept.destination == destination)
                    });
                    let newest = verified.max_by_key(|one| (one.kept().map(|kept| kept.began_at), &one.name));
                    prop_assert!(newest.is_none_or(|newest| !gone.contains(&newest.name)), "{:?} of {destination}", newest);
                }
                let gone: BTreeSet<String> = gone.into_iter().cloned().collect();
                snapshots.retain(|one| !gone.contains(&one.name));
                prop_assert!(retention(&schedules, &snapshots, &BTreeSet::new()).expired.is_empty(), "not settled");
            }
        }

        #[test]
        fn nothing_younger_goes_for_something_older_and_each_schedule_keeps_what_it_says(
            drawn in proptest::collection::vec(any_snapshot(), 0..60), keep in 1..6_usize,
        ) {
            let schedules = [schedule("daily", keep, "near")];
            let snapshots = history(&drawn);
            let gone: BTreeSet<String> =
                retention(&schedules, &snapshots, &BTreeSet::new()).expired.into_values().flatten().collect();
            let mut ours: Vec<(Timestamp, &String, bool)> = snapshots
                .iter()
                .filter(|one| one.schedule.as_deref() == Some("daily") && !one.is_going)
                .filter_map(|one| one.kept().map(|kept| (kept.began_at, &one.name, kept.is_verified)))
                .collect();
            ours.sort();
            ours.reverse();
            for (place, (_, name, is_verified)) in ours.iter().enumerate() {
                prop_assert!(!(place < keep && gone.contains(*name)), "{name} is one of the newest {keep}");
                // What stays beyond them stays because it is verified.
                prop_assert!(place < keep || gone.contains(*name) || *is_verified, "{name} stays for no reason");
            }
            let others = snapshots.iter().filter(|one| one.schedule.as_deref() != Some("daily") || one.kept().is_none());
            prop_assert_eq!(others.filter(|one| gone.contains(&one.name)).count(), 0);
        }

        #[test]
        fn no_snapshot_that_failed_last_is_forgotten_before_people_saw_it(
            drawn in proptest::collection::vec(any_snapshot(), 0..40),
        ) {
            let schedules = [schedule("daily", 3, "near")];
            let snapshots = history(&drawn);
            for name in retention(&schedules, &snapshots, &BTreeSet::new()).failed {
                let failed = snapshots.iter().find(|one| one.name == name).unwrap();
                let newer = snapshots.iter().filter(|one| {
                    one.schedule == failed.schedule && !one.is_going && (one.due_at, &one.name) > (failed.due_at, &failed.name)
                });
                prop_assert!(newer.count() >= 3 && failed.kept().is_none());
            }
        }
    }
}
