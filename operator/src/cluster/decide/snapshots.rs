//! What schedules ask for, and what they leave over: the facts about snapshots and trials of a restore become a plan.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::removal::{Removing, removing, tried_again_at};
use super::retention::{Retention, retention};
use super::schedule::{Asked, Jitter, Turn, gap_beyond, turn};
use crate::cluster::observed::{Observed, Restore, RestoreState, Snapshot, SnapshotState};
use crate::cluster::validate::{DrillSchedule, Snapshots, Timer, ValidatedCluster};

/// Trials of a restore that have ended and are kept, so that their figures show how they grow: twelve weeks, by default.
const DRILLS_KEPT: usize = 12;

/// What schedules ask for, and what they leave over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotsPlan {
    /// The snapshots that are to be asked for now.
    pub due: Vec<DueSnapshot>,
    /// The trials of a restore that are to be asked for now.
    pub drills: Vec<DueDrill>,
    /// How each schedule stands, those of the trials last.
    pub standings: Vec<Standing>,
    /// Which snapshots may go.
    pub retention: Retention,
    /// What is to be done about those that may go.
    pub removing: Vec<Removing>,
    /// Objects that are to be removed: snapshots that failed long ago, and trials of which there are enough.
    pub surplus: Vec<Surplus>,
    /// A time between two snapshots that the recovery point objective does not allow.
    pub gap: Option<SignedDuration>,
    /// When the plan is another one although nothing happens.
    pub changes_at: Option<Timestamp>,
}

/// A snapshot to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSnapshot {
    /// The name of the RagSnapshot.
    pub name: String,
    /// The schedule.
    pub schedule: String,
    /// The destination.
    pub destination: String,
    /// The time of the schedule's line.
    pub due: Timestamp,
}

/// A trial of a restore to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDrill {
    /// The name of the RagRestore.
    pub name: String,
    /// The time of the schedule's line.
    pub due: Timestamp,
    /// The share, in percent, of the recorded passages that must be found again.
    pub min_recall_percent: i32,
    /// The other namespace in which it is tried. Absent: beside what is served.
    pub namespace: Option<String>,
}

/// How a schedule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its line and time zone.
    pub line: String,
    /// What was due until then is not asked for.
    pub since: Timestamp,
    /// The newest time that was asked for.
    pub last_due: Option<Timestamp>,
    /// What it asks for.
    pub turn: Turn,
}

/// An object to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// What it is.
    pub kind: SurplusKind,
    /// Its name.
    pub name: String,
    /// Its uid, so that a namesake is not removed in its place.
    pub uid: String,
}

impl From<&Snapshot> for Surplus {
    fn from(snapshot: &Snapshot) -> Self {
        Self { kind: SurplusKind::Snapshot, name: snapshot.name.clone(), uid: snapshot.uid.clone() }
    }
}

impl From<&Restore> for Surplus {
    fn from(restore: &Restore) -> Self {
        Self { kind: SurplusKind::Restore, name: restore.name.clone(), uid: restore.uid.clone() }
    }
}

/// A kind of which there may be too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurplusKind {
    /// A RagSnapshot.
    Snapshot,
    /// A RagRestore.
    Restore,
}

/// What the schedules of a cluster ask for; nothing where there are none.
pub fn snapshots(cluster: &ValidatedCluster, observed: &Observed) -> Option<SnapshotsPlan> {
    let asked = cluster.snapshots.as_ref()?;
    let in_use: BTreeSet<&str> = observed
        .restores
        .iter()
        .filter(|restore| restore.state == RestoreState::UnderWay)
        .filter_map(|restore| restore.snapshot.as_deref())
        .chain(observed.readings.iter().filter(|reading| reading.is_under_way).map(|reading| reading.snapshot.as_str()))
        .collect();
    let mut retention = retention(&asked.schedules, &observed.snapshots, &in_use);
    leave_unnamed(&mut retention, asked, observed);
    let removing = removing(asked, &retention, observed);
    let mut plan =
        SnapshotsPlan { removing, surplus: surplus(&retention, observed), retention, ..SnapshotsPlan::default() };
    if !asked.suspended {
        take(&mut plan, cluster, asked, observed);
        let drills = [&asked.drill, &asked.full_drill].into_iter().flatten().filter(|drill| !drill.suspended);
        plan.drills =
            drills.filter_map(|drill| try_restore(&mut plan.standings, cluster, (asked, drill), observed)).collect();
        let timers: Vec<&Timer> = asked.schedules.iter().map(|schedule| &schedule.timer).collect();
        let objective = asked.objectives.rpo_seconds.map(SignedDuration::from_secs).filter(|_| !timers.is_empty());
        plan.gap = objective.and_then(|objective| gap_beyond(&timers, objective, observed.now));
    }
    let again = observed.removals.iter().map(tried_again_at);
    let turns = plan.standings.iter().map(|standing| &standing.turn);
    let stale_at =
        asked.objectives.rpo_seconds.and_then(|seconds| stale_at(observed, SignedDuration::from_secs(seconds)));
    let times = turns.flat_map(|turn| [turn.next_at, turn.overdue_at]).chain([stale_at]).chain(again).flatten();
    plan.changes_at = times.filter(|at| *at > observed.now).min();
    Some(plan)
}

/// Nothing is removed where the spec names no destination any more: nobody knows how to reach it.
fn leave_unnamed(retention: &mut Retention, asked: &Snapshots, observed: &Observed) {
    let is_there = |snapshot: &Snapshot| snapshot.kept().is_some_and(|kept| asked.names(&kept.destination));
    retention.expired.retain(|destination, _| asked.names(destination));
    retention.next.retain(|name| observed.snapshots.iter().any(|one| one.name == *name && is_there(one)));
}

/// When the newest snapshot is older than the objective allows.
fn stale_at(observed: &Observed, objective: SignedDuration) -> Option<Timestamp> {
    let there = observed.snapshots.iter().filter(|snapshot| !snapshot.is_going);
    let newest = there.filter_map(|snapshot| Some(snapshot.kept()?.began_at)).max()?;
    newest.checked_add(objective).ok()
}

fn take(plan: &mut SnapshotsPlan, cluster: &ValidatedCluster, asked: &Snapshots, observed: &Observed) {
    for schedule in &asked.schedules {
        let known = observed.of_schedule(&schedule.name).map(asked_for).chain(noted(schedule.last_asked)).collect();
        let standing = stands(cluster, (&schedule.name, &schedule.timer, schedule.since), known, observed.now);
        plan.due.extend(standing.turn.due.map(|due| DueSnapshot {
            name: cluster.name.by_schedule(&schedule.name, due),
            schedule: schedule.name.clone(),
            destination: schedule.destination.clone(),
            due,
        }));
        plan.standings.push(standing);
    }
}

/// While there is no snapshot there is nothing to try, and the first is tried in its turn.
fn try_restore(
    standings: &mut Vec<Standing>,
    cluster: &ValidatedCluster,
    (asked, schedule): (&Snapshots, &DrillSchedule),
    observed: &Observed,
) -> Option<DueDrill> {
    let is_full = schedule.namespace.is_some();
    let drills = observed.restores.iter().filter(|restore| restore.is_scheduled_drill(is_full));
    let known =
        drills.map(|drill| Asked { at: drill.due_at, under_way: is_under_way(drill).then(|| drill.name.clone()) });
    let known = known.chain(noted(schedule.last_asked)).collect();
    let mut standing = stands(cluster, (schedule.name(), &schedule.timer, schedule.since), known, observed.now);
    let first = asked.first_destination();
    let is_there = |snapshot: &Snapshot| {
        !snapshot.is_going && snapshot.kept().is_some_and(|kept| Some(kept.destination.as_str()) == first)
    };
    if !observed.snapshots.iter().any(is_there) {
        standing.turn.due = None;
    }
    let due = standing.turn.due.map(|due| DueDrill {
        name: cluster.name.by_schedule(schedule.name(), due),
        due,
        min_recall_percent: schedule.min_recall_percent,
        namespace: schedule.namespace.clone(),
    });
    standings.push(standing);
    due
}

fn stands(
    cluster: &ValidatedCluster,
    (name, timer, since): (&str, &Timer, Timestamp),
    asked: Vec<Asked>,
    now: Timestamp,
) -> Standing {
    Standing {
        name: name.to_owned(),
        line: timer.to_string(),
        since,
        last_due: asked.iter().map(|asked| asked.at).filter(|at| *at <= now).max(),
        turn: turn(timer, Jitter::of(&cluster.uid, name), since, &asked, now),
    }
}

/// One that is on its way out runs no more.
fn asked_for(snapshot: &Snapshot) -> Asked {
    let is_under_way = snapshot.state == SnapshotState::UnderWay && !snapshot.is_going;
    Asked { at: snapshot.due_at, under_way: is_under_way.then(|| snapshot.name.clone()) }
}

fn noted(last: Option<Timestamp>) -> impl Iterator<Item = Asked> {
    last.map(|at| Asked { at, under_way: None }).into_iter()
}

fn is_under_way(restore: &Restore) -> bool {
    restore.state == RestoreState::UnderWay && !restore.is_going
}

fn surplus(retention: &Retention, observed: &Observed) -> Vec<Surplus> {
    let failed = observed.snapshots.iter().filter(|snapshot| retention.failed.contains(&snapshot.name));
    let old = [false, true].into_iter().flat_map(|is_full| old_drills(observed, is_full));
    failed.map(Surplus::from).chain(old.map(Surplus::from)).collect()
}

/// Scheduled trials of one kind that have ended, beyond those that are kept.
fn old_drills(observed: &Observed, is_full: bool) -> impl Iterator<Item = &Restore> {
    let ours = observed.restores.iter().filter(|restore| restore.is_scheduled_drill(is_full));
    let mut ended: Vec<&Restore> = ours.filter(|restore| !restore.is_going && !is_under_way(restore)).collect();
    ended.sort_by_key(|restore| std::cmp::Reverse((restore.due_at, restore.name.as_str())));
    ended.into_iter().skip(DRILLS_KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::cluster::fixtures::{cluster, nothing};
    use crate::cluster::observed::{Kept, Removal, RemovalState};
    use crate::cluster::validate::validate;

    const SPEC: &str = "snapshots: {
      destinations: [{name: near, volume: {claimName: shelf}}, {name: far, volume: {claimName: vault}}],
      schedules: [{name: daily, schedule: '0 2 * * *', keep: 1}, {name: hourly, schedule: '0 * * * *', keep: 2, destination: far}],
      drill: {schedule: '0 5 * * *', minRecallPercent: 90}}";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The plan at noon of the 28th for a cluster that was made on the 1st.
    fn plan(spec: &str, world: &Observed) -> SnapshotsPlan {
        let mut cluster = cluster(spec);
        let made = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time("2026-11-01T00:00:00Z"));
        cluster.metadata.creation_timestamp = Some(made);
        let world = Observed { now: time("2026-11-28T12:30:00Z"), ..world.clone() };
        snapshots(&validate(&cluster, &world).unwrap(), &world).unwrap()
    }

    fn taken(schedule: &str, due: &str, state: SnapshotState) -> Snapshot {
        let name = format!("{schedule}-{due}");
        Snapshot {
            uid: name.clone(),
            name,
            schedule: Some(schedule.to_owned()),
            due_at: time(due),
            state,
            is_going: false,
        }
    }

    fn kept(destination: &str, began: &str) -> SnapshotState {
        let (destination, began_at) = (destination.to_owned(), time(began));
        SnapshotState::Kept(Kept { destination, began_at, is_verified: true })
    }

    fn drill(due: &str, state: RestoreState) -> Restore {
        let name = format!("drill-{due}");
        Restore {
            uid: name.clone(),
            name,
            is_drill: true,
            is_full: false,
            is_scheduled: true,
            due_at: time(due),
            state,
            snapshot: None,
            result: None,
            is_going: false,
        }
    }

    #[test]
    fn each_schedule_asks_for_its_own_and_a_drill_waits_for_something_to_try() {
        let first = plan(SPEC, &nothing());
        let due: Vec<_> =
            first.due.iter().map(|due| (due.schedule.as_str(), due.destination.as_str(), due.due)).collect();
        let expected =
            [("daily", "near", time("2026-11-28T02:00:00Z")), ("hourly", "far", time("2026-11-28T12:00:00Z"))];
        assert_eq!((due.as_slice(), &first.drills), (expected.as_slice(), &Vec::new()));

        let mut world = nothing();
        world.snapshots = vec![
            taken("daily", "2026-11-28T02:00:00Z", kept("near", "2026-11-28T02:01:00Z")),
            taken("hourly", "2026-11-28T11:00:00Z", SnapshotState::UnderWay),
        ];
        let then = plan(SPEC, &world);
        assert!(then.due.is_empty(), "{:?}", then.due);
        assert_eq!(then.standings[1].turn.held_by.as_deref(), Some("hourly-2026-11-28T11:00:00Z"));
        let [drill] = &then.drills[..] else { panic!("{:?}", then.drills) };
        assert_eq!((drill.due, drill.min_recall_percent), (time("2026-11-28T05:00:00Z"), 90));
        // What is only elsewhere is not what a drill restores.
        world.snapshots[0].state = kept("far", "2026-11-28T02:01:00Z");
        assert_eq!(plan(SPEC, &world).drills, []);
    }

    #[test]
    fn a_full_drill_is_asked_for_once_at_its_own_times_whatever_other_drills_do() {
        let spec =
            SPEC.replacen("snapshots: {", "snapshots: {fullDrill: {namespace: rag-drill, schedule: '0 6 1 * *'}, ", 1);
        let mut world = nothing();
        world.snapshots = vec![taken("daily", "2026-11-28T02:00:00Z", kept("near", "2026-11-28T02:01:00Z"))];
        world.restores = vec![drill("2026-11-28T05:00:00Z", RestoreState::UnderWay)];
        let asked = plan(&spec, &world);
        let [full] = &asked.drills[..] else { panic!("{:?}", asked.drills) };
        assert_eq!((full.due, full.namespace.as_deref()), (time("2026-11-01T06:00:00Z"), Some("rag-drill")));
        assert_eq!(asked.standings.last().unwrap().name, "full-drill");
        // One that was skipped has had its time.
        let (at, message) = (time("2026-11-01T06:10:00Z"), "a Secret is missing".to_owned());
        let skipped = RestoreState::Skipped { at, message };
        world.restores.push(Restore { is_full: true, ..drill("2026-11-01T06:00:00Z", skipped) });
        assert_eq!(plan(&spec, &world).drills, []);
        // And neither kind keeps the other from staying.
        let passed = |day: u8| drill(&format!("2026-10-{day:02}T05:00:00Z"), RestoreState::Passed { at });
        world.restores.extend((1..=13).map(passed));
        let gone: Vec<String> = plan(&spec, &world).surplus.into_iter().map(|one| one.name).collect();
        assert_eq!(gone, ["drill-2026-10-01T05:00:00Z"]);
    }

    #[test]
    fn what_is_being_read_is_not_removed_meanwhile() {
        let mut world = nothing();
        world.snapshots = ["25", "26", "27"]
            .map(|day| {
                taken("daily", &format!("2026-11-{day}T02:00:00Z"), kept("near", &format!("2026-11-{day}T02:01:00Z")))
            })
            .into();
        let reading = |snapshot: &Snapshot| crate::cluster::observed::Reading {
            snapshot: snapshot.name.clone(),
            uid: snapshot.uid.clone(),
            destination: "near".to_owned(),
            last_at: None,
            is_under_way: false,
            fault: None,
            failure: None,
        };
        world.readings = world.snapshots.iter().map(reading).collect();
        let (first, second) = (world.snapshots[0].name.clone(), world.snapshots[1].name.clone());
        assert_eq!(plan(SPEC, &world).retention.expired["near"], [first.clone(), second.clone()]);
        world.readings[1].is_under_way = true;
        assert_eq!(plan(SPEC, &world).retention.expired["near"], [first]);
    }

    #[test]
    fn what_another_schedule_or_somebody_asked_for_is_nothing_that_a_schedule_asked_for() {
        let mut world = nothing();
        world.snapshots = vec![taken("hourly", "2026-11-28T12:00:00Z", kept("near", "2026-11-28T12:01:00Z"))];
        world.restores = vec![Restore { is_scheduled: false, ..drill("2026-11-28T06:00:00Z", RestoreState::UnderWay) }];
        let then = plan(SPEC, &world);
        assert_eq!(then.due.iter().map(|due| due.schedule.as_str()).collect::<Vec<_>>(), ["daily"]);
        assert_eq!(then.drills[0].due, time("2026-11-28T05:00:00Z"));
        // What is about to go is nothing to try.
        world.snapshots[0].is_going = true;
        assert_eq!(plan(SPEC, &world).drills, []);
    }

    #[test]
    fn what_was_suspended_asks_for_nothing_and_still_keeps_only_what_it_says() {
        let mut world = nothing();
        world.snapshots = ["25", "26", "27"]
            .map(|day| {
                taken("daily", &format!("2026-11-{day}T02:00:00Z"), kept("near", &format!("2026-11-{day}T02:01:00Z")))
            })
            .into();
        let suspended = plan(&SPEC.replacen("snapshots: {", "snapshots: {suspend: true, ", 1), &world);
        assert!(suspended.due.is_empty() && suspended.drills.is_empty() && suspended.standings.is_empty());
        assert_eq!(suspended.retention.expired["near"].len(), 2);
        let no_drill = plan(&SPEC.replacen("drill: {", "drill: {suspend: true, ", 1), &world);
        assert!(no_drill.drills.is_empty() && no_drill.due.len() == 2);
    }

    #[test]
    fn a_snapshot_that_somebody_deleted_is_not_asked_for_again_while_the_status_knows_of_it() {
        let mut cluster = cluster(SPEC);
        let known = crate::api::cluster::ScheduleStatus {
            name: "daily".to_owned(),
            schedule: "0 2 * * * UTC".to_owned(),
            since: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time("2026-11-01T00:00:00Z")),
            last_due_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time("2026-11-28T02:00:00Z"))),
            next_at: None,
        };
        let block = crate::api::cluster::SnapshotsStatus { schedules: vec![known], ..Default::default() };
        cluster.status = Some(crate::api::RagClusterStatus { snapshots: Some(block), ..Default::default() });
        let world = Observed { now: time("2026-11-28T12:30:00Z"), ..nothing() };
        let plan = snapshots(&validate(&cluster, &world).unwrap(), &world).unwrap();
        assert!(plan.due.iter().all(|due| due.schedule != "daily"), "{:?}", plan.due);
        assert_eq!(plan.standings[0].last_due, Some(time("2026-11-28T02:00:00Z")));
    }

    #[test]
    fn what_is_in_a_destination_that_is_not_named_any_more_is_not_said_to_go() {
        let mut world = nothing();
        world.snapshots = [("24", "old"), ("25", "old"), ("26", "near"), ("27", "near"), ("28", "near")]
            .map(|(day, destination)| {
                let began = format!("2026-11-{day}T02:01:00Z");
                taken("daily", &format!("2026-11-{day}T02:00:00Z"), kept(destination, &began))
            })
            .into();
        let plan = plan(&SPEC.replace("keep: 1", "keep: 2"), &world);
        let expired = BTreeMap::from([("near".to_owned(), vec!["daily-2026-11-26T02:00:00Z".to_owned()])]);
        assert_eq!(plan.retention.expired, expired);
        assert_eq!(plan.retention.next, ["daily-2026-11-27T02:00:00Z"]);
        assert_eq!(plan.removing.len(), 1);
    }

    #[test]
    fn a_snapshot_that_a_restore_uses_stays_and_twelve_drills_that_ended_do() {
        let mut world = nothing();
        world.snapshots = ["25", "26", "27"]
            .map(|day| {
                taken("daily", &format!("2026-11-{day}T02:00:00Z"), kept("near", &format!("2026-11-{day}T02:01:00Z")))
            })
            .into();
        let at = time("2026-11-27T06:00:00Z");
        world.restores = (1..=14)
            .map(|day| drill(&format!("2026-11-{day:02}T05:00:00Z"), RestoreState::Passed { at }))
            .chain([Restore {
                snapshot: Some("daily-2026-11-25T02:00:00Z".to_owned()),
                ..drill("2026-11-20T05:00:00Z", RestoreState::UnderWay)
            }])
            // One that has ended uses nothing; what is somebody's own, or going already, is not in surplus.
            .chain([
                Restore {
                    snapshot: Some("daily-2026-11-26T02:00:00Z".to_owned()),
                    is_drill: false,
                    ..drill("2026-10-03T05:00:00Z", RestoreState::Passed { at })
                },
                Restore { is_scheduled: false, ..drill("2026-10-02T05:00:00Z", RestoreState::Passed { at }) },
                Restore { is_going: true, ..drill("2026-10-01T05:00:00Z", RestoreState::Passed { at }) },
            ])
            .collect();
        let plan = plan(SPEC, &world);
        assert_eq!(plan.retention.expired["near"], ["daily-2026-11-26T02:00:00Z"]);
        let surplus: Vec<_> = plan.surplus.iter().map(|one| (one.kind, one.name.as_str())).collect();
        let expected = ["drill-2026-11-02T05:00:00Z", "drill-2026-11-01T05:00:00Z"];
        assert_eq!(surplus, expected.map(|name| (SurplusKind::Restore, name)));
    }

    #[test]
    fn it_is_looked_at_again_when_the_next_is_due_or_the_last_is_overdue() {
        let mut world = nothing();
        world.snapshots = vec![
            taken("daily", "2026-11-28T02:00:00Z", kept("near", "2026-11-28T02:01:00Z")),
            taken("hourly", "2026-11-28T12:00:00Z", kept("far", "2026-11-28T12:01:00Z")),
        ];
        let at = plan(SPEC, &world).changes_at.unwrap();
        // The hourly one is overdue an hour after its time, and its next one comes up to six minutes after the hour.
        assert!(at >= time("2026-11-28T13:00:00Z") && at <= time("2026-11-28T13:06:00Z"), "{at}");
    }

    /// One schedule and no trials: when it is looked at again, of a world at noon.
    fn looked_at_again(line: &str, objectives: &str, change: impl Fn(&mut Observed)) -> Timestamp {
        let spec = format!(
            "{{objectives: {{{objectives}}}, snapshots: {{destinations: [{{name: near, volume: {{claimName: shelf}}}}],
               schedules: [{{name: daily, schedule: '{line}', keep: 1}}], drill: {{suspend: true}}}}}}"
        );
        let mut world = nothing();
        world.snapshots = vec![taken("daily", "2026-11-28T02:00:00Z", kept("near", "2026-11-28T02:01:00Z"))];
        change(&mut world);
        plan(&spec, &world).changes_at.unwrap()
    }

    #[test]
    fn it_is_looked_at_again_when_the_newest_grows_too_old_a_removal_is_tried_again_or_one_is_late() {
        let stale = looked_at_again("0 2 * * *", "rpoSeconds: 43200", |world| {
            let newer = taken("daily", "2026-11-28T03:00:00Z", kept("near", "2026-11-28T03:01:00Z"));
            world.snapshots.push(Snapshot { is_going: true, ..newer });
        });
        assert_eq!(stale, time("2026-11-28T14:01:00Z"));
        let again = looked_at_again("0 2 * * *", "", |world| {
            let (at, message) = (time("2026-11-28T12:00:00Z"), "no".to_owned());
            let state = RemovalState::Failed { at, message };
            world.removals = vec![Removal { destination: "near".to_owned(), names: Vec::new(), state }];
        });
        assert_eq!(again, time("2026-11-28T13:00:00Z"));
        let late = looked_at_again("0 12 * * *", "", |world| {
            world.snapshots = vec![taken("daily", "2026-11-28T12:00:00Z", SnapshotState::UnderWay)];
        });
        assert!(late >= time("2026-11-28T18:00:00Z") && late <= time("2026-11-28T18:10:00Z"), "{late}");
    }

    #[test]
    fn one_that_is_on_its_way_out_holds_nothing() {
        let mut world = nothing();
        let running = taken("hourly", "2026-11-28T11:00:00Z", SnapshotState::UnderWay);
        world.snapshots = vec![Snapshot { is_going: true, ..running }];
        let plan = plan(SPEC, &world);
        assert!(plan.due.iter().any(|due| due.schedule == "hourly"), "{:?}", plan.due);
        assert_eq!(plan.standings[1].turn.held_by, None);
    }

    #[test]
    fn an_objective_is_held_against_all_schedules_together() {
        let spec = |seconds: i64| format!("{{{SPEC}, objectives: {{rpoSeconds: {seconds}}}}}");
        assert_eq!(plan(&spec(3600), &nothing()).gap, None);
        assert_eq!(plan(&spec(1800), &nothing()).gap, Some(SignedDuration::from_hours(1)));
        assert_eq!(plan(SPEC, &nothing()).gap, None);
    }
}
