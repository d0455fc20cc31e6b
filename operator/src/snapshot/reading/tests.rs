//! Readings told as stories: Jobs that end as they like, others that come between, and operators that die.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};
use serde_json::{Value, json};

use super::decide::{Act, Doing, READ, Seen, is_over, is_under_way, reading, recorded, sooner};
use super::due;
use super::status::{Outcome, given_up, status};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::observed::{Reading, last_at};
use crate::conditions::find;
use crate::job::tests::with_snapshots;
use crate::job::{Failure, Looked, Made, attempt_name};
use crate::snapshot::observed::Obstacle;
use crate::snapshot::report::{Cause, Report};
use crate::snapshot::tests::{World as Taking, done, way};
use crate::steps::{Answer, Standing, Turn, Window, advance};

const NOW: &str = "2026-12-28T08:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A snapshot that was taken and read back a month ago.
fn kept() -> RagSnapshot {
    let mut world = Taking::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    world.settle();
    world.snapshot
}

fn failed(cause: &Cause, at: &str) -> Looked {
    let failure = Failure::Reported { cause: cause.clone(), message: "as it says".into() };
    Looked::Failed { failure, at: Some(self::at(at)) }
}

/// What there is of a reading, and what was done.
struct World {
    snapshot: RagSnapshot,
    way: Result<crate::snapshot::observed::Way, Obstacle>,
    sooner: Option<String>,
    yields_to: Option<String>,
    read: Option<(u32, Looked)>,
    now: Timestamp,
    done: Vec<Act>,
    outcomes: Vec<Outcome>,
}

impl World {
    fn new() -> Self {
        Self {
            snapshot: kept(),
            way: Ok(way()),
            sooner: None,
            yields_to: None,
            read: None,
            now: at(NOW),
            done: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn seen(&self) -> Seen {
        let made = self.read.as_ref().map(|(number, _)| Made::job(&attempt_name("nightly-verify", *number)));
        Seen {
            now: self.now,
            way: self.way.clone(),
            sooner: self.sooner.clone(),
            yields_to: self.yields_to.clone(),
            read: self.read.clone(),
            made: made.into_iter().collect(),
        }
    }

    /// One pass over a reading that is due. `dies`: before its effect is made.
    fn pass(&mut self, dies: bool) -> Answer<Doing> {
        let seen = self.seen();
        let turn =
            Turn { now: self.now, awake: SignedDuration::from_hours(1000), window: Window::Open, standings: &[] };
        let steps = recorded(&self.snapshot);
        let steps = if is_over(steps) { &[] } else { steps };
        let after = advance(&reading(&self.snapshot), steps, &seen, &turn);
        let (new, outcome) = status(&self.snapshot, &seen, after.steps);
        self.outcomes.extend(outcome);
        self.snapshot.status = Some(new);
        if let (Answer::Do { effect, .. }, false) = (&after.answer, dies) {
            self.done.push(effect.act);
            match effect.act {
                Act::Read(number) => {
                    self.read =
                        Some((number, Looked::Pending { reason: None, why: "its pod is not there yet".into() }));
                }
                Act::Stop | Act::Forget => self.read = None,
            }
        }
        after.answer
    }

    fn settle(&mut self) {
        while matches!(self.pass(false), Answer::Record | Answer::Do { .. }) {}
    }

    /// The Job of the attempt that is under way ends so.
    fn ends(&mut self, looked: Looked) {
        let (number, _) = self.read.take().unwrap();
        self.read = Some((number, looked));
        self.settle();
    }

    fn verified(&self) -> (String, String, String) {
        let found = find(&self.snapshot.status.as_ref().unwrap().conditions, ConditionType::Verified).unwrap();
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    fn is(&self, status: &str, reason: ConditionReason) {
        let (said, why, message) = self.verified();
        assert_eq!((said.as_str(), why.as_str()), (status, reason.as_str()), "{message}");
    }

    fn known(&self) -> Reading {
        Reading::of(&self.snapshot).unwrap()
    }
}

#[test]
fn a_snapshot_that_is_read_again_says_when_and_leaves_no_job_behind() {
    let mut world = World::new();
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    assert!(world.known().is_under_way);
    world.is("True", ConditionReason::ReadBack);
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Forget]);
    world.is("True", ConditionReason::ReadBack);
    assert!(world.verified().2.contains("2026-11-21T08:01:20Z"), "{:?}", world.verified());
    assert_eq!((world.outcomes.as_slice(), world.known().failure), ([Outcome::Whole].as_slice(), None));
    let archive = world.snapshot.status.as_ref().unwrap().archive.clone().unwrap();
    assert_eq!(archive.verified_at.map(|at| at.0), last_at(&world.snapshot));
}

#[test]
fn what_is_not_what_was_taken_is_verified_no_longer_and_says_why() {
    let other = {
        let mut report: Value = json!({"outcome": "done", "written_bytes": 0, "verified": true});
        let Looked::Done { report: taken, .. } = done("nightly", true) else { panic!() };
        let taken: Value = taken.read().unwrap();
        report["snapshot"] = taken["snapshot"].clone();
        report["snapshot"]["sha256"] = json!("cd".repeat(32));
        Looked::Done { report: Report::parse(&report.to_string()).unwrap(), at: Some(at(NOW)) }
    };
    for (looked, reason, outcome, word) in [
        (failed(&Cause::Damaged, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::Incomplete, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::Forged, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::None, NOW), ConditionReason::CopyGone, Outcome::Gone, "not in the archive any more"),
        (other, ConditionReason::Damaged, Outcome::Damaged, "another snapshot of the same name"),
    ] {
        let mut world = World::new();
        world.settle();
        world.ends(looked);
        world.is("False", reason);
        assert!(world.verified().2.contains(word), "{:?}", world.verified());
        assert_eq!(world.outcomes, [outcome]);
        assert_eq!(world.done, [Act::Read(1), Act::Forget]);
        assert_eq!(world.known().fault.unwrap().reason, reason.as_str());
        assert_eq!(last_at(&world.snapshot), Some(at(NOW)), "it was read, and is not read again at once");
        // And verified again once it can be read again.
        world.settle();
        world.ends(done("nightly", true));
        world.is("True", ConditionReason::ReadBack);
        assert_eq!(world.known().fault, None);
    }
}

#[test]
fn what_says_nothing_about_the_copy_leaves_it_verified_and_is_told() {
    for (cause, reason) in [
        (Cause::AuthFailed, ConditionReason::AuthFailed),
        (Cause::NoKey, ConditionReason::NotReadBack),
        (Cause::NewerFormat, ConditionReason::NotReadBack),
    ] {
        let mut world = World::new();
        let before = last_at(&world.snapshot);
        world.settle();
        world.ends(failed(&cause, NOW));
        world.is("True", ConditionReason::ReadBack);
        assert_eq!((world.done.as_slice(), last_at(&world.snapshot)), ([Act::Read(1), Act::Forget].as_slice(), before));
        let (_, trouble) = world.known().failure.unwrap();
        assert_eq!(trouble.reason, reason.as_str());
        assert!(trouble.message.contains("as it says"), "{trouble:?}");
        // While it is tried again it stands there still.
        world.settle();
        assert!(world.known().failure.is_some() && world.known().is_under_way);
        world.ends(done("nightly", true));
        assert_eq!(
            (world.known().failure, world.outcomes.as_slice()),
            (None, [Outcome::Failed, Outcome::Whole].as_slice())
        );
    }
}

#[test]
fn what_may_pass_is_tried_again_with_growing_waits_and_then_given_up() {
    let mut world = World::new();
    world.settle();
    for number in 1..=4 {
        let now = world.now.to_string();
        world.ends(failed(&Cause::Unreachable, &now));
        if number < 4 {
            assert_eq!(world.done, (1..=number).map(Act::Read).collect::<Vec<_>>());
            world.now += SignedDuration::from_secs(30 << (number - 1));
            world.settle();
        }
    }
    assert_eq!(world.done.last(), Some(&Act::Forget));
    assert_eq!(world.known().failure.unwrap().1.reason, "Unreachable");
    world.is("True", ConditionReason::ReadBack);
}

#[test]
fn it_waits_for_whatever_is_under_way_and_ends_at_once_for_a_restore_of_what_is_served() {
    let mut world = World::new();
    world.sooner = Some("RagSnapshot weekly".into());
    world.settle();
    let waits = recorded(&world.snapshot)[0].clone();
    assert_eq!(
        (waits.state, waits.message.as_str()),
        (StepState::Waiting, "waits for RagSnapshot weekly, which goes first")
    );
    assert_eq!(world.done, []);
    assert!(!world.known().is_under_way);
    world.sooner = None;
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    // What comes now waits for it.
    world.sooner = Some("RagSnapshot weekly".into());
    world.read = Some((1, Looked::Running));
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    // But not a restore of what is served.
    (world.sooner, world.yields_to) = (Some("RagRestore undo".into()), Some("RagRestore undo".into()));
    world.settle();
    assert_eq!(world.done, [Act::Read(1), Act::Stop]);
    assert!(!world.known().is_under_way, "the restore has the way");
    world.settle();
    assert_eq!(world.done, [Act::Read(1), Act::Stop]);
    (world.sooner, world.yields_to) = (None, None);
    world.settle();
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Stop, Act::Read(1), Act::Forget]);
    world.is("True", ConditionReason::ReadBack);
}

#[test]
fn what_is_under_way_ends_as_it_would_whatever_becomes_of_the_cluster() {
    let mut world = World::new();
    world.settle();
    world.read = Some((1, Looked::Running));
    world.way = Err(Obstacle::ClusterMissing("handbook".into()));
    world.settle();
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Forget]);
    assert_eq!(world.outcomes, [Outcome::Whole]);
    // One that has only waited is given up without a trace.
    let mut world = World::new();
    world.way = Err(Obstacle::Paused("handbook".into()));
    world.settle();
    assert!(!recorded(&world.snapshot).is_empty());
    let after = given_up(&world.snapshot);
    assert!(after.reading.unwrap().steps.is_empty());
}

#[test]
fn a_process_that_dies_before_any_effect_changes_nothing_but_time() {
    let to_the_end = |death: Option<usize>| {
        let mut world = World::new();
        let mut effects = 0;
        for _ in 0..30 {
            if let Answer::Do { .. } = world.pass(death == Some(effects)) {
                effects += 1;
            }
            match &world.read {
                Some((1, Looked::Pending { .. })) => {
                    world.read = Some((1, failed(&Cause::Stopped, "2026-12-28T07:00:00Z")))
                }
                Some((2, Looked::Pending { .. })) => world.read = Some((2, done("nightly", true))),
                Some(_) | None => {}
            }
            if !recorded(&world.snapshot).is_empty() && is_over(recorded(&world.snapshot)) {
                break;
            }
        }
        (world.done.clone(), world.outcomes.clone(), world.verified(), world.known())
    };
    let expected = to_the_end(None);
    assert_eq!(expected.0, [Act::Read(1), Act::Read(2), Act::Forget]);
    for death in 0..3 {
        assert_eq!(to_the_end(Some(death)), expected, "death {death}");
    }
}

fn cluster_that_asks(verification: &str) -> RagCluster {
    let mut cluster = with_snapshots("");
    let snapshots = cluster.spec.snapshots.as_mut().unwrap();
    snapshots.verification = serde_json::from_str(verification).unwrap();
    cluster
}

#[test]
fn it_is_due_by_the_spec_of_its_cluster_and_never_where_nobody_knows_the_destination() {
    let (mut snapshot, now) = (kept(), at("2026-11-30T00:00:00Z"));
    let days = |snapshot: &RagSnapshot, cluster: &RagCluster| {
        due(snapshot, cluster, now).map(|due| due.duration_since(last_at(snapshot).unwrap()).as_hours() / 24)
    };
    let monthly = days(&snapshot, &cluster_that_asks("null")).unwrap();
    assert!((26..30).contains(&monthly), "{monthly}");
    assert_eq!(days(&snapshot, &cluster_that_asks(r#"{"everyDays": 1}"#)), Some(0));
    assert_eq!(days(&snapshot, &cluster_that_asks(r#"{"suspend": true}"#)), None);
    let mut resting = cluster_that_asks("null");
    resting.spec.paused = true;
    assert_eq!(days(&snapshot, &resting), None);
    let mut suspended = cluster_that_asks("null");
    suspended.spec.snapshots.as_mut().unwrap().suspend = true;
    assert_eq!(days(&snapshot, &suspended), None);
    snapshot.status.as_mut().unwrap().archive.as_mut().unwrap().destination = "gone".to_owned();
    assert_eq!(days(&snapshot, &cluster_that_asks("null")), None);
}

fn standing(name: &str, world: &World) -> Standing {
    let mut snapshot = world.snapshot.clone();
    snapshot.metadata.name = Some(name.to_owned());
    Standing::of(&reading(&snapshot), recorded(&snapshot))
}

#[test]
fn two_that_announce_it_at_the_same_time_give_it_back_and_go_by_their_age() {
    let mut world = World::new();
    assert_eq!(world.pass(true), Answer::Record);
    let announced = [standing("a", &world), standing("b", &world)];
    assert!(announced.iter().all(is_under_way));
    for (mine, other) in [(0, 1), (1, 0)] {
        assert_eq!(sooner(&announced[mine], &announced), Some(announced[other].name.clone()));
    }
    world.sooner = Some("the other".into());
    world.settle();
    let waiting = [standing("a", &world), standing("b", &world)];
    assert_eq!(waiting[0].current.as_ref().unwrap().step.name, READ);
    assert_eq!(sooner(&waiting[0], &waiting), None);
    assert_eq!(sooner(&waiting[1], &waiting), Some(waiting[0].name.clone()));
    // One whose destination is not to be reached keeps no other from being read.
    let mut barred = World::new();
    barred.way = Err(Obstacle::Paused("handbook".into()));
    barred.settle();
    assert_eq!(sooner(&waiting[1], &[standing("a", &barred), waiting[1].clone()]), None);
}

/// What may happen between two passes.
#[derive(Clone, Debug)]
enum Happens {
    Runs,
    Ends(bool),
    Fails(usize),
    Vanishes,
    Time(i64),
    Barred(bool),
    Others(bool),
    Restore(bool),
    Dies,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::Runs),
        proptest::bool::ANY.prop_map(Happens::Ends),
        (0..Cause::KNOWN.len()).prop_map(Happens::Fails),
        Just(Happens::Vanishes),
        (-7200..100_000_i64).prop_map(Happens::Time),
        proptest::bool::ANY.prop_map(Happens::Barred),
        proptest::bool::ANY.prop_map(Happens::Others),
        proptest::bool::ANY.prop_map(Happens::Restore),
        Just(Happens::Dies),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_one_job_is_at_it_and_only_what_was_read_is_said(
        happenings in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut world = World::new();
        for happening in happenings {
            let mut dies = false;
            let running = world.read.clone().filter(|(_, looked)| matches!(looked, Looked::Pending { .. } | Looked::Running));
            match (happening, running.as_ref().map(|(number, _)| *number)) {
                (Happens::Runs, Some(number)) => world.read = Some((number, Looked::Running)),
                (Happens::Ends(verified), Some(number)) => world.read = Some((number, done("nightly", verified))),
                (Happens::Fails(cause), Some(number)) => {
                    let now = world.now.to_string();
                    world.read = Some((number, failed(&Cause::KNOWN[cause], &now)));
                }
                (Happens::Vanishes, _) => world.read = None,
                (Happens::Time(seconds), _) => world.now += SignedDuration::from_secs(seconds),
                (Happens::Barred(is), _) => {
                    world.way = if is { Err(Obstacle::Paused("handbook".into())) } else { Ok(way()) };
                }
                (Happens::Others(is), _) => world.sooner = is.then(|| "RagSnapshot weekly".into()),
                (Happens::Restore(is), _) => world.yields_to = is.then(|| "RagRestore undo".into()),
                (Happens::Dies, _) => dies = true,
                (Happens::Runs | Happens::Ends(_) | Happens::Fails(_), None) => {}
            }
            let (acts, told, before) = (world.done.len(), world.outcomes.len(), world.verified());
            let ended = world.read.clone().filter(|(_, looked)| matches!(looked, Looked::Done { .. } | Looked::Failed { .. }));
            let under_way = world.read.as_ref().is_some_and(|(_, looked)| matches!(looked, Looked::Pending { .. } | Looked::Running));
            let (sooner, barred) = (world.sooner.clone(), world.way.is_err());
            world.pass(dies);
            for act in &world.done[acts..] {
                if let Act::Read(number) = act {
                    prop_assert!(!under_way, "a second Job");
                    prop_assert!(!barred && (*number > 1 || sooner.is_none()), "it has begun beside {sooner:?}");
                }
                prop_assert!(*act != Act::Stop || (under_way && world.yields_to.is_some()), "stopped for nobody");
            }
            if world.verified() != before {
                prop_assert!(ended.is_some() && world.outcomes.len() == told + 1, "said without having been read");
                prop_assert!(world.outcomes.last() != Some(&Outcome::Failed));
            }
            let status = world.snapshot.status.clone().unwrap();
            prop_assert!(status.archive.is_some(), "what was taken stays taken");
            prop_assert!(find(&status.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True"));
        }
    }
}
