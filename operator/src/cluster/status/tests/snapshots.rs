//! What is said of snapshots and of trials of a restore.

use super::*;
use crate::api::cluster::DrillOutcome;
use crate::api::restore::RestoreResult;
use crate::cluster::observed::{
    Kept, Reading, Removal, RemovalState, Restore, RestoreState, Snapshot, SnapshotState, Trouble,
};

const SPEC: &str = "snapshots: {destinations: [{name: near, volume: {claimName: shelf}}],
    schedules: [{name: daily, schedule: '0 2 * * *', keep: 2}]}";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A cluster that was made on the 1st, at noon of the 28th.
fn at_noon(spec: &str, change: impl Fn(&mut Observed)) -> RagClusterStatus {
    let mut cluster = cluster(spec);
    cluster.metadata.creation_timestamp = Some(Time(time("2026-11-01T00:00:00Z")));
    let mut world = applied(&cluster, &nothing());
    world.now = time("2026-11-28T12:00:00Z");
    change(&mut world);
    said(&cluster, &world)
}

fn said(cluster: &RagCluster, world: &Observed) -> RagClusterStatus {
    let (valid, plan, _) = pass(cluster, world);
    let planned = Box::new(Planned::of(valid, plan));
    status(cluster, world, &Outcome::Applied { planned, corrections: Vec::new(), refused: None })
}

fn healthy(spec: &str, change: impl Fn(&mut Observed)) -> (String, String, String) {
    told(&at_noon(spec, change), ConditionType::SnapshotsHealthy).unwrap()
}

fn told(status: &RagClusterStatus, type_: ConditionType) -> Option<(String, String, String)> {
    let found = conditions::find(&status.conditions, type_)?.clone();
    Some((found.status, found.reason, found.message))
}

fn is(found: (String, String, String), state: &str, reason: &str) -> String {
    assert_eq!((found.0.as_str(), found.1.as_str()), (state, reason), "{}", found.2);
    found.2
}

fn snapshot(day: &str, state: SnapshotState) -> Snapshot {
    let (name, due_at) = (format!("daily-{day}"), time(&format!("2026-11-{day}T02:00:00Z")));
    Snapshot { uid: name.clone(), name, schedule: Some("daily".to_owned()), due_at, state, is_going: false }
}

fn kept(day: &str, is_verified: bool) -> Snapshot {
    let began_at = time(&format!("2026-11-{day}T02:05:00Z"));
    snapshot(day, SnapshotState::Kept(Kept { destination: "near".to_owned(), began_at, is_verified }))
}

fn failed(day: &str, reason: &str) -> Snapshot {
    let message = "the key is not accepted".to_owned();
    snapshot(day, SnapshotState::Failed { reason: reason.to_owned(), message })
}

#[test]
fn a_cluster_that_asks_for_none_says_nothing_of_snapshots() {
    let status = at_noon("{}", |_| {});
    assert_eq!(told(&status, ConditionType::SnapshotsHealthy), None);
    assert_eq!(status.snapshots, None);
}

#[test]
fn what_keeps_snapshots_from_being_taken_is_said_with_its_class_and_takes_nothing_from_ready() {
    is(healthy("snapshots: {}", |_| {}), "False", "NoDestination");
    let invalid = SPEC.replace("0 2 * * *", "0 25 * * *");
    let message = is(healthy(&invalid, |_| {}), "False", "InvalidSpec");
    assert!(message.starts_with("spec.snapshots.schedules[0].schedule: \"0 25 * * *\""), "{message}");
    is(healthy(&format!("{{paused: true, {SPEC}}}"), |_| {}), "False", "Paused");
    is(healthy(&SPEC.replacen("snapshots: {", "snapshots: {suspend: true, ", 1), |_| {}), "False", "Suspended");
    let status = at_noon(&invalid, |_| {});
    assert_eq!(told(&status, ConditionType::Ready).unwrap().1, "Serving");
    assert_eq!(told(&status, ConditionType::Stalled).unwrap().1, "Unhindered");
}

#[test]
fn the_newest_of_a_schedule_decides_and_a_failure_has_the_class_of_its_cause() {
    is(healthy(SPEC, |world| world.snapshots = vec![kept("28", true)]), "True", "UpToDate");
    let message = is(
        healthy(SPEC, |world| world.snapshots = vec![kept("27", true), failed("28", "AuthFailed")]),
        "False",
        "AuthFailed",
    );
    assert!(message.contains("RagSnapshot daily-28: the key is not accepted"), "{message}");
    // What nobody here has a word for.
    is(healthy(SPEC, |world| world.snapshots = vec![failed("28", "Elsewhere")]), "False", "Failing");
    is(healthy(SPEC, |world| world.snapshots = vec![failed("27", "AuthFailed"), kept("28", true)]), "True", "UpToDate");
    // While the next is tried, the last one's failure stands.
    let trying = |world: &mut Observed| {
        world.snapshots = vec![failed("27", "NoRoom"), snapshot("28", SnapshotState::UnderWay)];
        world.now = time("2026-11-28T02:30:00Z");
    };
    is(healthy(SPEC, trying), "False", "NoRoom");
}

fn reading(day: &str) -> Reading {
    let snapshot = format!("daily-{day}");
    Reading {
        uid: snapshot.clone(),
        snapshot,
        destination: "near".to_owned(),
        last_at: Some(time("2026-11-20T02:05:00Z")),
        is_under_way: false,
        fault: None,
        failure: None,
    }
}

fn trouble(reason: &str, message: &str) -> Trouble {
    Trouble { reason: reason.to_owned(), message: message.to_owned() }
}

#[test]
fn a_copy_that_is_not_what_was_taken_is_said_before_one_that_could_not_be_read() {
    let unread = |world: &mut Observed| {
        world.snapshots = vec![kept("28", true)];
        let failure = (time("2026-11-28T11:30:00Z"), trouble("AuthFailed", "the key is not accepted"));
        world.readings = vec![reading("26"), Reading { failure: Some(failure), ..reading("27") }, reading("28")];
    };
    let message = is(healthy(SPEC, unread), "False", "AuthFailed");
    assert!(message.contains("RagSnapshot daily-27 could not be read again: the key is not accepted"), "{message}");
    let damaged = |world: &mut Observed| {
        unread(world);
        world.readings[0].fault = Some(trouble("CopyGone", "it is not there"));
        world.readings[2].fault = Some(trouble("Damaged", "a part is another one"));
    };
    let message = is(healthy(SPEC, damaged), "False", "CopyGone");
    assert!(message.contains("daily-26: it is not there; RagSnapshot daily-28: a part is another one"), "{message}");
    // What nobody can reach any more is not what the spec asks for.
    let elsewhere = |world: &mut Observed| {
        damaged(world);
        world.readings.iter_mut().for_each(|reading| reading.destination = "gone".to_owned());
    };
    is(healthy(SPEC, elsewhere), "True", "UpToDate");
}

#[test]
fn the_next_reading_is_said_with_its_time_and_none_while_all_is_paused() {
    let read = |world: &mut Observed| world.readings = vec![reading("27")];
    let said = |status: &RagClusterStatus| -> Vec<(String, bool)> {
        let next = status.next.iter().filter(|next| next.what.contains("again"));
        next.map(|next| (next.what.clone(), next.at.is_some())).collect()
    };
    assert_eq!(said(&at_noon(SPEC, read)), [("read RagSnapshot daily-27 again".to_owned(), true)]);
    assert_eq!(said(&at_noon(&format!("{{paused: true, {SPEC}}}"), read)), []);
}

#[test]
fn what_was_due_and_is_not_there_is_overdue_after_its_time_and_not_before() {
    let under_way = |now: &'static str| {
        move |world: &mut Observed| {
            world.snapshots = vec![kept("27", true), snapshot("28", SnapshotState::UnderWay)];
            world.now = time(now);
        }
    };
    is(healthy(SPEC, under_way("2026-11-28T07:59:00Z")), "True", "UpToDate");
    is(healthy(SPEC, under_way("2026-11-28T08:11:00Z")), "False", "Overdue");
    let none = |now: &'static str| move |world: &mut Observed| world.now = time(now);
    is(healthy(SPEC, none("2026-11-28T02:30:00Z")), "True", "AwaitingFirst");
}

#[test]
fn what_somebody_deleted_is_not_overdue_whatever_another_schedule_took_at_the_same_time() {
    let two = SPEC.replace("keep: 2}", "keep: 2}, {name: nightly, schedule: '0 2 * * *', keep: 2}");
    let mut cluster = cluster(&two);
    cluster.metadata.creation_timestamp = Some(Time(time("2026-11-01T00:00:00Z")));
    let mut world = applied(&cluster, &nothing());
    world.now = time("2026-11-28T12:00:00Z");
    let nightly = Snapshot { name: "nightly-28".to_owned(), schedule: Some("nightly".to_owned()), ..kept("28", true) };
    world.snapshots = vec![kept("28", true), nightly];
    cluster.status = Some(said(&cluster, &world));
    world.snapshots.remove(0);
    is(told(&said(&cluster, &world), ConditionType::SnapshotsHealthy).unwrap(), "True", "UpToDate");
}

#[test]
fn an_objective_is_said_at_once_where_no_schedule_meets_it_and_when_it_is_missed() {
    let with = |seconds: i64| format!("{{{SPEC}, objectives: {{rpoSeconds: {seconds}}}}}");
    let message = is(healthy(&with(3600), |world| world.snapshots = vec![kept("28", true)]), "False", "Overdue");
    assert!(message.contains("objectives.rpoSeconds allows 3600 seconds"), "{message}");
    let early = |world: &mut Observed| {
        world.snapshots = vec![kept("28", true)];
        world.now = time("2026-11-28T02:30:00Z");
    };
    let message = is(healthy(&with(3600), early), "False", "ObjectiveUnreachable");
    assert!(message.contains("leave 86400 seconds"), "{message}");
    is(healthy(&with(86_400), early), "True", "UpToDate");
}

#[test]
fn copies_that_cannot_be_removed_are_said_with_what_the_job_said() {
    let stuck = |world: &mut Observed| {
        world.snapshots = vec![kept("28", true)];
        let state = RemovalState::Failed { at: world.now, message: "unreachable: no route".to_owned() };
        world.removals = vec![Removal { destination: "near".to_owned(), names: vec!["daily-25".to_owned()], state }];
    };
    let message = is(healthy(SPEC, stuck), "False", "RemovalFailed");
    assert!(message.contains("daily-25") && message.contains("no route"), "{message}");
}

#[test]
fn the_block_shows_the_last_the_last_verified_what_comes_and_what_goes() {
    let change = |world: &mut Observed| {
        world.snapshots =
            vec![kept("24", true), kept("25", true), kept("26", true), kept("27", true), kept("28", false)];
    };
    let status = at_noon(SPEC, change);
    let block = status.snapshots.unwrap();
    assert_eq!(block.last.unwrap().name, "daily-28");
    assert_eq!(block.last_verified.unwrap().name, "daily-27");
    assert_eq!(block.kept, 5);
    let daily = &block.schedules[0];
    assert_eq!((daily.name.as_str(), daily.schedule.as_str()), ("daily", "0 2 * * * UTC"));
    assert_eq!(daily.last_due_at, Some(Time(time("2026-11-28T02:00:00Z"))));
    let next = daily.next_at.as_ref().unwrap().0;
    assert!(next >= time("2026-11-29T02:00:00Z") && next <= time("2026-11-29T02:10:00Z"), "{next}");
    let expiring: Vec<_> = block.expiring.iter().map(|one| (one.name.as_str(), one.now)).collect();
    assert_eq!(expiring, [("daily-24", true), ("daily-25", true), ("daily-26", true), ("daily-27", false)]);
    assert!(
        status.next.iter().any(|step| step.what == "take a snapshot by schedule daily" && step.at == Some(Time(next)))
    );
}

#[test]
fn nothing_is_said_to_come_while_all_is_paused() {
    let status = at_noon(&format!("{{paused: true, {SPEC}}}"), |world| {
        world.snapshots = vec![kept("26", true), kept("27", true), kept("28", true)];
    });
    assert!(status.next.iter().all(|step| !step.what.contains("daily")), "{:?}", status.next);
    assert_eq!(status.snapshots.unwrap().schedules[0].next_at, None);
}

#[test]
fn a_failure_is_the_last_until_a_newer_one_of_the_same_schedule_is_taken() {
    let last_failed = |snapshots: Vec<Snapshot>| {
        let status = at_noon(SPEC, |world| world.snapshots.clone_from(&snapshots));
        status.snapshots.unwrap().last_failed.map(|failed| failed.name)
    };
    let by_hand = Snapshot { schedule: None, ..kept("28", true) };
    assert_eq!(last_failed(vec![failed("27", "NoRoom"), by_hand]).as_deref(), Some("daily-27"));
    assert_eq!(last_failed(vec![failed("27", "NoRoom"), kept("28", true)]), None);
    assert_eq!(last_failed(vec![kept("26", true), failed("27", "NoRoom")]).as_deref(), Some("daily-27"));
}

fn drill(day: &str, state: fn(Timestamp) -> RestoreState, took: f64) -> Restore {
    let (name, at) = (format!("drill-{day}"), time(&format!("2026-11-{day}T05:03:00Z")));
    let result = RestoreResult {
        snapshot: "daily-27".to_owned(),
        rto_seconds: Some(took),
        rto: Some(format!("{took:.1}s")),
        ..RestoreResult::default()
    };
    Restore {
        uid: name.clone(),
        name,
        is_drill: true,
        is_full: false,
        is_scheduled: true,
        due_at: at,
        state: state(at),
        snapshot: Some("daily-27".to_owned()),
        result: Some(result),
        is_going: false,
    }
}

fn passed(at: Timestamp) -> RestoreState {
    RestoreState::Passed { at }
}

fn damaged(at: Timestamp) -> RestoreState {
    RestoreState::Failed { at, reason: "Damaged".to_owned(), message: "part 3 is not what it was".to_owned() }
}

fn skipped(at: Timestamp) -> RestoreState {
    RestoreState::Skipped { at, message: "no room".to_owned() }
}

#[test]
fn the_last_trial_says_whether_a_restore_works_and_none_says_nothing() {
    let verified = |spec: &str, drills: Vec<Restore>| {
        let status = at_noon(spec, |world| world.restores = drills.clone());
        (told(&status, ConditionType::RestoreVerified), status.snapshots.unwrap().last_drill)
    };
    assert_eq!(verified(SPEC, Vec::new()), (None, None));
    let (found, last) = verified(SPEC, vec![drill("21", damaged, 1.0), drill("28", passed, 12.3)]);
    is(found.unwrap(), "True", "DrillPassed");
    let last = last.unwrap();
    assert_eq!((last.summary.as_str(), last.rto_seconds), ("Passed 12.3s", Some(12.3)));
    let message =
        is(verified(SPEC, vec![drill("21", passed, 1.0), drill("28", damaged, 1.0)]).0.unwrap(), "False", "Damaged");
    assert!(message.contains("RagRestore drill-28 failed"), "{message}");
    // Never passed without a trial, however many passed before.
    is(verified(SPEC, vec![drill("21", passed, 1.0), drill("28", skipped, 1.0)]).0.unwrap(), "False", "DrillSkipped");
    let objective = format!("{{{SPEC}, objectives: {{rtoSeconds: 10}}}}");
    is(verified(&objective, vec![drill("28", passed, 12.3)]).0.unwrap(), "False", "TooSlow");
    is(verified(&objective, vec![drill("28", passed, 9.0)]).0.unwrap(), "True", "DrillPassed");
    // A restore in place is no trial.
    let in_place = Restore { is_drill: false, ..drill("28", passed, 1.0) };
    assert_eq!(verified(SPEC, vec![in_place]).0, None);
}

#[test]
fn the_last_trials_stand_beside_each_other_and_the_newest_is_compared_with_those_before() {
    let of = |drills: Vec<Restore>| at_noon(SPEC, |world| world.restores = drills.clone());
    let said =
        |drills: Vec<Restore>| is(told(&of(drills), ConditionType::RestoreVerified).unwrap(), "True", "DrillPassed");
    let took = |day: &str, seconds: f64| drill(day, passed, seconds);
    assert!(!said(vec![took("28", 34.0)]).contains("took"), "there is nothing to compare it with");
    let second = said(vec![took("28", 34.0), took("27", 30.0)]);
    assert!(second.ends_with("; it took 34.0 s, the one before it took 30.0 s"), "{second}");
    // What did not pass tells nothing of how long a restore takes.
    let others = [drill("24", damaged, 900.0), drill("25", skipped, 0.0), took("26", 32.0)];
    let third = said([others.to_vec(), vec![took("27", 30.0), took("28", 34.0)]].concat());
    assert!(third.ends_with("; it took 34.0 s, the median of the 2 before it is 31.0 s"), "{third}");
    // What starts a store and servers takes another time, and one that had no room says nothing.
    let full = |drill: Restore| Restore { is_full: true, ..drill };
    let fourth =
        said(vec![took("28", 34.0), full(took("27", 600.0)), took("26", 30.0), full(drill("29", skipped, 0.0))]);
    assert!(fourth.ends_with("; it took 34.0 s, the one before it took 30.0 s"), "{fourth}");
    let all = (10..=28).map(|day| took(&day.to_string(), f64::from(day))).collect();
    let drills = of(all).snapshots.unwrap().drills;
    let days: Vec<&str> = drills.iter().map(|drill| drill.name.as_str()).collect();
    assert_eq!((days.len(), days[0], days[11]), (12, "drill-28", "drill-17"));
    assert_eq!((drills[0].outcome, drills[0].rto_seconds), (DrillOutcome::Passed, Some(28.0)));
    let in_place = Restore { is_drill: false, ..took("28", 1.0) };
    assert!(of(vec![in_place]).snapshots.unwrap().drills.is_empty());
}

#[test]
fn a_pass_that_finds_nothing_new_says_the_same() {
    let mut cluster = cluster(SPEC);
    cluster.metadata.creation_timestamp = Some(Time(time("2026-11-01T00:00:00Z")));
    let mut world = applied(&cluster, &nothing());
    world.now = time("2026-11-28T12:00:00Z");
    world.snapshots = vec![kept("27", true), kept("28", true)];
    cluster.status = Some(said(&cluster, &world));
    let later = world.clone().later(600);
    let again = said(&cluster, &later);
    assert_eq!(again.snapshots, cluster.status.clone().unwrap().snapshots);
    assert!(crate::cluster::events::events(cluster.status.as_ref(), &again).is_empty());
    // A failure is told once, and that it is over as well.
    world.snapshots.push(failed("28", "AuthFailed"));
    world.snapshots.remove(1);
    let failing = said(&cluster, &world);
    let told = |old: &RagClusterStatus, new: &RagClusterStatus| -> Vec<String> {
        crate::cluster::events::events(Some(old), new).into_iter().map(|event| event.reason).collect()
    };
    assert_eq!(told(&again, &failing), ["AuthFailed"]);
    assert_eq!(told(&failing, &again), ["UpToDate"]);
}
