//! A schedule over random histories: an operator that is there and not there, clocks that jump, nights that clocks change in.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const LINES: [&str; 6] = ["30 2 * * *", "15 2 * * *", "45 1 * * 0", "*/20 * * * *", "0 */6 * * *", "30 1,2 * * *"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"];

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn timer(line: &str, zone: &str) -> Timer {
    Timer::parse(line, Some(zone), at("2026-01-01T00:00:00Z")).unwrap()
}

fn daily() -> Timer {
    timer("0 2 * * *", "UTC")
}

/// A schedule that comes at its very time.
const PUNCTUAL: Jitter = Jitter(0);

fn done(time: &str) -> Asked {
    Asked { at: at(time), under_way: None }
}

fn running(time: &str) -> Asked {
    Asked { at: at(time), under_way: Some("running".to_owned()) }
}

const LONG_AGO: &str = "2026-10-01T00:00:00Z";

#[test]
fn what_is_due_is_the_newest_time_that_was_missed_and_no_other() {
    let turn = |asked: &[Asked], now: &str| super::turn(&daily(), PUNCTUAL, at(LONG_AGO), asked, at(now));
    // Nothing was ever asked for, and a downtime of a week.
    for asked in [vec![], vec![done("2026-11-20T02:00:00Z")]] {
        let turn = turn(&asked, "2026-11-28T12:00:00Z");
        assert_eq!(turn.due, Some(at("2026-11-28T02:00:00Z")));
        assert_eq!(turn.next_at, Some(at("2026-11-29T02:00:00Z")));
    }
    let asked = turn(&[done("2026-11-28T02:00:00Z")], "2026-11-28T12:00:00Z");
    assert_eq!((asked.due, asked.next_at), (None, Some(at("2026-11-29T02:00:00Z"))));
    assert_eq!(asked.owed, Some(at("2026-11-28T02:00:00Z")));
    assert_eq!(asked.overdue_at, Some(at("2026-11-28T08:00:00Z")));
}

#[test]
fn nothing_is_caught_up_from_before_the_schedule_was_written() {
    let turn = super::turn(&daily(), PUNCTUAL, at("2026-11-28T09:00:00Z"), &[], at("2026-11-28T12:00:00Z"));
    let expected = Turn { next_at: Some(at("2026-11-29T02:00:00Z")), ..Turn::default() };
    assert_eq!(turn, expected);
}

#[test]
fn while_one_is_under_way_the_next_waits_and_is_then_caught_up_once() {
    let turn = |asked: &[Asked], now: &str| super::turn(&daily(), PUNCTUAL, at(LONG_AGO), asked, at(now));
    let held = turn(&[running("2026-11-26T02:00:00Z")], "2026-11-28T12:00:00Z");
    assert_eq!((held.due, held.held_by.as_deref()), (None, Some("running")));
    let free = turn(&[done("2026-11-26T02:00:00Z")], "2026-11-28T12:00:00Z");
    assert_eq!(free.due, Some(at("2026-11-28T02:00:00Z")));
    // One that runs in its own time holds nothing.
    assert_eq!(turn(&[running("2026-11-28T02:00:00Z")], "2026-11-28T02:01:00Z").held_by, None);
}

#[test]
fn a_clock_that_was_years_ahead_for_a_while_stops_no_schedule() {
    let asked = [done("2026-11-27T02:00:00Z"), done("2031-01-01T02:00:00Z")];
    let turn = super::turn(&daily(), PUNCTUAL, at(LONG_AGO), &asked, at("2026-11-28T12:00:00Z"));
    assert_eq!(turn.due, Some(at("2026-11-28T02:00:00Z")));
}

#[test]
fn until_a_time_comes_with_its_delay_the_one_before_is_owed() {
    let late = Jitter(u32::MAX);
    let turn = |asked: &[Asked]| super::turn(&daily(), late, at(LONG_AGO), asked, at("2026-11-28T02:05:00Z"));
    let missed = turn(&[done("2026-11-26T02:00:00Z")]);
    assert_eq!((missed.due, missed.owed), (Some(at("2026-11-27T02:00:00Z")), Some(at("2026-11-27T02:00:00Z"))));
    assert_eq!(missed.next_at, Some(at("2026-11-28T02:10:00Z")));
    let asked = turn(&[running("2026-11-27T02:00:00Z")]);
    assert_eq!((asked.due, asked.owed, asked.held_by), (None, Some(at("2026-11-27T02:00:00Z")), None));
}

#[test]
fn what_was_asked_for_before_the_clock_was_put_back_does_not_come_next() {
    let asked = [done("2026-11-27T02:00:00Z"), done("2026-11-28T02:00:00Z")];
    let turn = super::turn(&daily(), PUNCTUAL, at(LONG_AGO), &asked, at("2026-11-28T01:00:00Z"));
    assert_eq!((turn.due, turn.next_at), (None, Some(at("2026-11-29T02:00:00Z"))));
}

#[test]
fn the_delay_is_stable_at_most_ten_minutes_or_a_tenth_and_spreads_clusters() {
    let (due, most) = (at("2026-11-28T02:00:00Z"), SignedDuration::from_mins(10));
    let delays: BTreeSet<SignedDuration> = (0..200)
        .map(|cluster| Jitter::of(&format!("uid-{cluster}"), "daily").effective(&daily(), due).duration_since(due))
        .collect();
    assert!(delays.iter().all(|delay| (SignedDuration::ZERO..=most).contains(delay)), "{delays:?}");
    assert!(delays.len() > 100, "only {} moments for 200 clusters", delays.len());
    assert_eq!(Jitter::of("u", "daily"), Jitter::of("u", "daily"));
    assert_ne!(Jitter::of("u", "daily"), Jitter::of("u", "weekly"));
    let often = timer("*/20 * * * *", "UTC");
    assert_eq!(Jitter(u32::MAX).effective(&often, due).duration_since(due), SignedDuration::from_mins(2));
}

#[test]
fn an_objective_that_the_schedules_cannot_meet_is_found_and_one_that_they_meet_is_not() {
    let hours = SignedDuration::from_hours;
    let now = at("2026-10-01T12:00:00Z");
    let gap = |lines: &[&str], objective| {
        let timers: Vec<Timer> = lines.iter().map(|line| timer(line, "Europe/Berlin")).collect();
        gap_beyond(&timers.iter().collect::<Vec<_>>(), objective, now)
    };
    // The night with an hour twice is let pass.
    assert_eq!(gap(&["0 2 * * *"], hours(24)), None);
    assert_eq!(gap(&["0 2 * * *"], hours(12)), Some(hours(24)));
    assert_eq!(gap(&["0 2 * * *", "0 14 * * *"], hours(13)), None);
    // Many times an hour on Mondays, and never else.
    assert!(gap(&["* * * * MON"], hours(24)).is_some_and(|gap| gap > hours(6 * 24)));
    assert!(gap(&["0 4 1 * *"], hours(24 * 30)).is_some_and(|gap| gap >= hours(24 * 31)));
    assert_eq!(gap(&["0 4 1 * *"], hours(24 * 31)), None);
    assert_eq!(gap(&["*/20 * * * *"], SignedDuration::from_mins(20)), None);
    assert_eq!(gap(&[], hours(24)), Some(LOOK_AHEAD));
}

/// What happens to an operator.
#[derive(Clone, Debug)]
enum Happens {
    /// So many seconds pass, and it looks.
    Passes(i64),
    /// Its clock jumps by so many seconds, and it looks.
    Jumps(i64),
    /// What is under way ends, and it looks.
    Ends,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (60_i64..100_000).prop_map(Happens::Passes),
        1 => (-1_000_000_i64..1_000_000).prop_map(Happens::Jumps),
        3 => Just(Happens::Ends),
    ]
}

/// Seconds of 2026 around the nights in which clocks change.
fn begins() -> impl Strategy<Value = i64> {
    prop_oneof![1_772_000_000_i64..1_776_000_000, 1_790_000_000_i64..1_794_000_000]
}

proptest! {
    #[test]
    fn no_time_is_asked_for_twice_and_never_two_at_once_whatever_the_clock_does(
        line in 0..LINES.len(), zone in 0..ZONES.len(), jitter in any::<u32>(), begin in begins(),
        history in proptest::collection::vec(happens(), 1..60),
    ) {
        let (timer, jitter) = (timer(LINES[line], ZONES[zone]), Jitter(jitter));
        let since = Timestamp::from_second(begin).unwrap();
        let (mut now, mut asked): (Timestamp, Vec<Asked>) = (since, Vec::new());
        for step in history {
            match step {
                Happens::Passes(seconds) | Happens::Jumps(seconds) => now += SignedDuration::from_secs(seconds),
                Happens::Ends => asked.iter_mut().for_each(|asked| asked.under_way = None),
            }
            let turn = turn(&timer, jitter, since, &asked, now);
            prop_assert!(turn.due.is_none() || turn.held_by.is_none());
            if let Some(due) = turn.due {
                prop_assert!(asked.iter().all(|before| before.at != due), "{due} again");
                prop_assert!(asked.iter().all(|before| before.under_way.is_none()), "two at once");
                prop_assert!(due > since && jitter.effective(&timer, due) <= now, "{due} has not come at {now}");
                // Only the newest that has come is caught up.
                let next = timer.after(due).unwrap();
                prop_assert!(jitter.effective(&timer, next) > now, "{next} has come, too");
                asked.push(Asked { at: due, under_way: Some(due.to_string()) });
                prop_assert_eq!(super::turn(&timer, jitter, since, &asked, now).due, None, "asked for at once again");
            }
            if let Some(next) = turn.next_at {
                prop_assert!(next > now);
            }
        }
    }

    /// An operator that is always there, with a clock that is right, misses no time and asks at the effective one.
    #[test]
    fn every_time_is_asked_for_at_the_time_that_was_told_before(
        line in 0..LINES.len(), zone in 0..ZONES.len(), jitter in any::<u32>(), begin in begins(),
    ) {
        let (timer, jitter) = (timer(LINES[line], ZONES[zone]), Jitter(jitter));
        let since = Timestamp::from_second(begin).unwrap();
        let (mut now, mut asked): (Timestamp, Vec<Asked>) = (since, Vec::new());
        let mut expected = timer.after(since).unwrap();
        for _ in 0..20 {
            now = turn(&timer, jitter, since, &asked, now).next_at.unwrap();
            prop_assert_eq!(now, jitter.effective(&timer, expected));
            prop_assert_eq!(turn(&timer, jitter, since, &asked, now).due, Some(expected));
            asked.push(Asked { at: expected, under_way: None });
            expected = timer.after(expected).unwrap();
        }
    }

    /// The line changes while the operator is away: at most one time of the new one is caught up, and none that is older than
    /// what was asked for last.
    #[test]
    fn a_line_that_changes_is_caught_up_once_at_the_most(
        before in 0..LINES.len(), after in 0..LINES.len(), zone in 0..ZONES.len(), begin in begins(), away in 60_i64..500_000,
    ) {
        let (old, new) = (timer(LINES[before], ZONES[zone]), timer(LINES[after], ZONES[zone]));
        let since = Timestamp::from_second(begin).unwrap();
        let last = old.after(since).unwrap();
        let mut asked = vec![Asked { at: last, under_way: None }];
        let now = last + SignedDuration::from_secs(away);
        if let Some(due) = turn(&new, PUNCTUAL, since, &asked, now).due {
            prop_assert!(due > last);
            asked.push(Asked { at: due, under_way: None });
        }
        prop_assert_eq!(turn(&new, PUNCTUAL, since, &asked, now).due, None);
    }
}
