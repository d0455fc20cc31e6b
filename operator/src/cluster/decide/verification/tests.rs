//! When snapshots are read again: over clocks that jump, and beside a retention that keeps the last verified one.

use std::collections::BTreeSet;

use super::*;
use crate::cluster::decide::retention::retention;
use crate::cluster::fixtures::{cluster, daily_snapshot, nothing};
use crate::cluster::observed::{Snapshot, SnapshotState, Trouble};
use crate::cluster::validate::validate;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn known<'u>(uid: &'u str, last_at: Option<&str>) -> Known<'u> {
    Known { uid, last_at: last_at.map(at), failed_at: None }
}

const NOW: &str = "2026-11-28T12:00:00Z";

#[test]
fn it_is_read_again_in_time_and_up_to_a_tenth_earlier_each_at_its_own_moment() {
    let last = "2026-11-01T02:00:00Z";
    let due = |uid: &str| due_at(known(uid, Some(last)), 30, at(NOW)).duration_since(at(last));
    let all: BTreeSet<SignedDuration> = (0..200).map(|uid| due(&format!("uid-{uid}"))).collect();
    assert!(all.iter().all(|after| (27 * DAY..=30 * DAY).contains(after)), "{all:?}");
    assert!(all.len() > 150, "only {} moments for 200 snapshots", all.len());
    assert_eq!(due("u"), due("u"));
    // Never at once again, however often it is to be.
    let daily = due_at(known("u", Some(last)), 1, at(NOW)).duration_since(at(last));
    assert!(daily > DAY * 9 / 10 - SignedDuration::from_secs(1) && daily <= DAY, "{daily}");
}

#[test]
fn what_was_never_read_or_by_a_clock_that_was_wrong_is_read_now() {
    assert!(due_at(known("u", None), 30, at(NOW)) <= at(NOW));
    assert!(due_at(known("u", Some("2031-01-01T00:00:00Z")), 30, at(NOW)) <= at(NOW));
    // Clocks that differ by minutes, or are put back by an hour, make nobody read at once what was read a moment ago.
    assert!(due_at(known("u", Some("2026-11-28T13:00:00Z")), 30, at(NOW)) > at("2026-12-20T00:00:00Z"));
    assert!(due_at(known("u", Some("9999-12-30T00:00:00Z")), 366, at("9999-12-30T00:00:00Z")) > at(NOW));
}

#[test]
fn what_could_not_be_read_is_tried_again_an_hour_later_and_never_waits_for_a_wrong_clock() {
    let late = |failed_at: &str| {
        let known = Known { failed_at: Some(at(failed_at)), ..known("u", Some("2026-01-01T00:00:00Z")) };
        due_at(known, 30, at(NOW))
    };
    assert_eq!(late("2026-11-28T11:30:00Z"), at("2026-11-28T12:30:00Z"));
    assert!(late("2026-11-28T10:30:00Z") <= at(NOW));
    assert!(late("2031-01-01T00:00:00Z") <= at(NOW));
}

const SPEC: &str = "snapshots: {
  destinations: [{name: near, volume: {claimName: shelf}}, {name: far, volume: {claimName: vault}}],
  schedules: [{name: daily, schedule: '0 2 * * *', keep: 2}], verification: {everyDays: 10}}";

fn asked(spec: &str) -> Snapshots {
    validate(&cluster(spec), &nothing()).unwrap().snapshots.unwrap()
}

fn reading(snapshot: &str, destination: &str, last: &str) -> Reading {
    Reading {
        snapshot: snapshot.to_owned(),
        uid: snapshot.to_owned(),
        destination: destination.to_owned(),
        last_at: Some(at(last)),
        is_under_way: false,
        fault: None,
        failure: None,
    }
}

#[test]
fn the_next_reading_is_of_any_destination_that_there_is_and_none_while_they_are_suspended() {
    let world = Observed {
        now: at(NOW),
        readings: vec![
            reading("late", "near", "2026-01-01T00:00:00Z"),
            reading("soon", "far", "2026-11-20T00:00:00Z"),
            reading("later", "near", "2026-11-27T00:00:00Z"),
            reading("elsewhere", "gone", "2026-11-19T12:00:00Z"),
        ],
        ..nothing()
    };
    let name = |spec: &str| next(&asked(spec), &world).map(|(_, reading)| reading.snapshot.clone());
    assert_eq!(name(SPEC).as_deref(), Some("soon"));
    assert_eq!(name(&SPEC.replacen("everyDays: 10", "everyDays: 10, suspend: true", 1)), None);
    assert_eq!(name(&SPEC.replacen("snapshots: {", "snapshots: {suspend: true, ", 1)), None);
    let mut again = world.clone();
    again.readings.truncate(1);
    assert_eq!(next(&asked(SPEC), &again), None, "what is late says itself what it waits for");
    let trouble = Trouble { reason: "AuthFailed".to_owned(), message: "no".to_owned() };
    again.readings[0].failure = Some((at("2026-11-28T11:30:00Z"), trouble));
    assert_eq!(next(&asked(SPEC), &again).map(|(at, _)| at), Some(at("2026-11-28T12:30:00Z")));
}

/// What happens to a reader.
#[derive(Clone, Debug)]
enum Happens {
    /// So many seconds pass, and it looks.
    Passes(i64),
    /// Its clock jumps by so many seconds for one look, and is put right.
    Errs(i64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => (3_600_i64..400_000).prop_map(Happens::Passes),
        1 => (-100_000_000_i64..100_000_000).prop_map(Happens::Errs),
    ]
}

proptest! {
    /// What is read is read again within the time that was asked for, and a clock that is wrong for a while puts that off by a day
    /// at the most, and by how long nobody looks.
    #[test]
    fn nothing_stays_unread_for_longer_than_was_asked_whatever_the_clock_does(
        uid in "[a-z]{4}", days in 1..60_i32, history in proptest::collection::vec(happens(), 1..80),
    ) {
        let mut now = at(NOW);
        let mut last = Some(now);
        // By a clock that nobody sees.
        let mut read_at = now;
        let mut unlooked = SignedDuration::ZERO;
        for step in history {
            let shown = match step {
                Happens::Passes(seconds) => {
                    let passed = SignedDuration::from_secs(seconds);
                    (now, unlooked) = (now + passed, unlooked.max(passed));
                    now
                }
                Happens::Errs(seconds) => now + SignedDuration::from_secs(seconds),
            };
            if due_at(Known { uid: &uid, last_at: last, failed_at: None }, days, shown) <= shown {
                last = Some(shown);
                read_at = now;
                // What was read just now is not read again by the same clock.
                let again = due_at(Known { uid: &uid, last_at: last, failed_at: None }, days, shown);
                prop_assert!(again > shown, "read again at once");
            }
            let unread = now.duration_since(read_at);
            // A time that a wrong clock has shown is believed for a day at the most.
            prop_assert!(shown != now || unread <= DAY * days + DAY + unlooked, "{unread} of {days} days");
        }
    }

    /// Readings find at random that a copy is not what was taken. Whatever is left of the verified ones, the newest of each
    /// destination is never among those that go.
    #[test]
    fn the_last_verified_one_stays_also_where_readings_take_that_from_others(
        count in 1..30_usize, keep in 1..5_usize,
        findings in proptest::collection::vec((0..30_usize, any::<bool>()), 0..60),
    ) {
        let spec = SPEC.replacen("keep: 2", &format!("keep: {keep}"), 1);
        let asked = asked(&spec);
        let mut snapshots: Vec<Snapshot> = (0..count).map(daily_snapshot).collect();
        for (index, is_verified) in findings {
            let index = index % snapshots.len();
            if let SnapshotState::Kept(kept) = &mut snapshots[index].state {
                kept.is_verified = is_verified;
            }
            let being_read = BTreeSet::from([snapshots[index].name.clone()]);
            let in_use: BTreeSet<&str> = being_read.iter().map(String::as_str).collect();
            let verified = |snapshots: &[Snapshot]| {
                let ours = snapshots.iter().filter(|one| one.kept().is_some_and(|kept| kept.is_verified));
                ours.max_by_key(|one| one.due_at).map(|one| one.name.clone())
            };
            let before = verified(&snapshots);
            let gone: BTreeSet<String> =
                retention(&asked.schedules, &snapshots, &in_use).expired.into_values().flatten().collect();
            prop_assert!(gone.is_disjoint(&being_read), "it went while it was read");
            snapshots.retain(|one| !gone.contains(&one.name));
            prop_assert_eq!(verified(&snapshots), before);
            prop_assert!(snapshots.len() >= keep.min(count));
        }
    }
}
