//! What is done for a snapshot, told as tables and as a world in which Jobs end as they like and operators die.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::decide::{Act, is_taken};
use super::observed::{Obstacle, Way};
use super::*;
use crate::api::snapshot::ArchivePolicy;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::events::Severity;
use crate::job::tests::{servers_after_a_pass, with_snapshots};
use crate::job::{Archive, Failure as JobFailure, Looked, Made, Unusable, attempt_name};
use report::{Cause, Report};

const CREATED: &str = "2026-11-21T08:00:00Z";

fn snapshot(policy: ArchivePolicy) -> RagSnapshot {
    serde_json::from_value(json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
        "metadata": {"name": "nightly", "namespace": "team-a", "uid": "s1", "generation": 1, "creationTimestamp": CREATED},
        "spec": {"cluster": "handbook", "deletionPolicy": policy},
    }))
    .unwrap()
}

fn way() -> Way {
    let cluster = with_snapshots("");
    let archive = Archive::of("handbook", cluster.spec.snapshots.as_ref(), None).unwrap();
    Way { servers: servers_after_a_pass(&cluster).unwrap(), archive }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// The same words that the program's own report has.
fn done(name: &str, verified: bool) -> Looked {
    let snapshot = json!({
        "name": name, "place": "s3://archive/team-a/handbook", "sha256": "ab".repeat(32), "began": "2026-11-21T08:01:00Z",
        "ended": "2026-11-21T08:01:10Z", "last_write": "2026-11-21T08:00:30Z", "documents": 10, "chunks": 100, "left_out": 1,
        "bytes": 4096, "encrypted": true, "signed": true, "format": 1,
    });
    of_report(json!({"outcome": "done", "snapshot": snapshot, "written_bytes": 7, "verified": verified}))
}

fn of_report(body: Value) -> Looked {
    Looked::Done { report: Report::parse(&body.to_string()).unwrap(), at: Some(at("2026-11-21T08:01:20Z")) }
}

fn failed(cause: &Cause, at: Timestamp) -> Looked {
    let failure = JobFailure::Reported { cause: cause.clone(), message: "as it says".into() };
    Looked::Failed { failure, at: Some(at) }
}

/// Everything that is there, and what was done to it.
#[derive(Clone)]
struct World {
    snapshot: RagSnapshot,
    way: Result<Way, Obstacle>,
    sooner: Option<String>,
    take: Option<(u32, Looked)>,
    removal: Option<(u32, Looked)>,
    made: BTreeSet<String>,
    now: Timestamp,
    done: Vec<Act>,
    told: Vec<(Severity, String)>,
    is_gone: bool,
}

impl World {
    fn new(policy: ArchivePolicy) -> Self {
        Self {
            snapshot: snapshot(policy),
            way: Ok(way()),
            sooner: None,
            take: None,
            removal: None,
            made: BTreeSet::new(),
            now: at(CREATED),
            done: Vec::new(),
            told: Vec::new(),
            is_gone: false,
        }
    }

    fn seen(&self) -> Observed {
        Observed {
            now: self.now,
            awake: SignedDuration::from_hours(1000),
            way: self.way.clone(),
            sooner: self.sooner.clone(),
            take: self.take.clone(),
            removal: self.removal.clone(),
            made: self.made.iter().map(|name| Made::job(name)).collect(),
        }
    }

    /// One pass. `dies`: before its effect is made.
    fn pass(&mut self, dies: bool) -> Answer<Doing> {
        if has_ended(recorded(&self.snapshot)) {
            return Answer::Done;
        }
        let seen = self.seen();
        let Advance { steps, answer } = advance(&taking(&self.snapshot), recorded(&self.snapshot), &seen, &turn(&seen));
        let new = status::status(&self.snapshot, &seen, steps, None);
        self.tell(new, false);
        self.carry_out(&answer, dies);
        answer
    }

    fn depart(&mut self) -> Answer<Doing> {
        let seen = self.seen();
        let in_status = self.snapshot.status.as_ref().is_some_and(|status| status.archive.is_some());
        let is_known = in_status || status::archive(&self.snapshot, &seen).is_some();
        let procedure = leaving(&self.snapshot, is_known);
        let Advance { steps, answer } = advance(&procedure, recorded(&self.snapshot), &seen, &turn(&seen));
        let event = told_of_removal(recorded(&self.snapshot), &steps);
        self.told.extend(event.map(|event| (event.severity, event.reason)));
        let new = status::leaving(&self.snapshot, &seen, steps, None);
        self.tell(new, true);
        self.carry_out(&answer, false);
        answer
    }

    fn tell(&mut self, new: RagSnapshotStatus, is_going: bool) {
        let told = events::events(self.snapshot.status.as_ref(), &new, is_going);
        self.told.extend(told.into_iter().map(|event| (event.severity, event.reason)));
        self.snapshot.status = Some(new);
    }

    fn carry_out(&mut self, answer: &Answer<Doing>, dies: bool) {
        let Answer::Do { effect, .. } = answer else { return };
        if dies {
            return;
        }
        self.done.push(effect.act);
        let pending = || Looked::Pending { reason: None, why: "its pod is not there yet".into() };
        match effect.act {
            Act::Hold => self.snapshot.metadata.finalizers = Some(vec![FINALIZER.to_owned()]),
            Act::Take(number) => {
                self.made = [attempt_name("nightly-take", number)].into();
                self.take = Some((number, pending()));
            }
            Act::Remove(number) => self.removal = Some((number, pending())),
            Act::Forget => {
                self.made.clear();
                self.take = None;
            }
            Act::Release => {
                self.snapshot.metadata.finalizers = None;
                self.is_gone = true;
            }
        }
    }

    /// Passes until nothing is done any more.
    fn settle(&mut self) {
        while matches!(self.pass(false), Answer::Record | Answer::Do { .. }) {}
    }

    fn said(&self, type_: ConditionType) -> (String, String, String) {
        let status = self.snapshot.status.as_ref().unwrap();
        let found = find(&status.conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    fn is(&self, type_: ConditionType, state: &str, reason: ConditionReason) {
        let (status, said, message) = self.said(type_);
        assert_eq!((status.as_str(), said.as_str()), (state, reason.as_str()), "{type_}: {message}");
    }
}

#[test]
fn a_snapshot_is_taken_read_back_and_never_changes_again() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    assert_eq!(world.done, [Act::Take(1)]);
    world.is(ConditionType::Ready, "False", ConditionReason::Taking);
    world.is(ConditionType::Reconciling, "True", ConditionReason::Progressing);
    world.is(ConditionType::Stalled, "False", ConditionReason::Unhindered);
    world.take = Some((1, Looked::Running));
    world.settle();
    assert_eq!(world.done.len(), 1, "one Job, however often it is looked at");
    world.take = Some((1, done("nightly", true)));
    world.settle();
    assert_eq!(world.done, [Act::Take(1), Act::Forget]);
    world.is(ConditionType::Ready, "True", ConditionReason::Taken);
    world.is(ConditionType::Verified, "True", ConditionReason::ReadBack);
    world.is(ConditionType::Reconciling, "False", ConditionReason::Settled);
    let archive = world.snapshot.status.as_ref().unwrap().archive.clone().unwrap();
    assert_eq!((archive.documents, archive.left_out, archive.place.as_str()), (10, 1, "s3://archive/team-a/handbook"));
    assert_eq!((archive.destination.as_str(), archive.encrypted), ("offsite", true));
    assert!(world.said(ConditionType::Ready).2.contains("1 documents are not in it"));
    let before = world.snapshot.clone();
    world.way = Err(Obstacle::ClusterMissing("handbook".into()));
    world.take = Some((1, failed(&Cause::Damaged, world.now)));
    world.settle();
    assert_eq!(world.snapshot, before);
    assert_eq!(world.told, [(Severity::Normal, "Taken".to_owned())]);
}

#[test]
fn what_was_not_read_back_says_so() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, done("nightly", false)));
    world.settle();
    world.is(ConditionType::Ready, "True", ConditionReason::Taken);
    world.is(ConditionType::Verified, "False", ConditionReason::NotReadBack);
}

#[test]
fn a_report_about_another_snapshot_or_of_another_shape_is_a_failure() {
    let other = of_report(json!({"outcome": "done", "removed": []}));
    for looked in [done("weekly", true), other] {
        let mut world = World::new(ArchivePolicy::Retain);
        world.settle();
        world.take = Some((1, looked));
        world.settle();
        world.is(ConditionType::Ready, "False", ConditionReason::TakeFailed);
        assert_eq!(world.snapshot.status.unwrap().archive, None);
    }
}

#[test]
fn each_cause_of_a_failure_has_its_reason_and_only_what_may_pass_is_tried_again() {
    for (cause, reason) in [
        (Cause::Exists, ConditionReason::AlreadyExists),
        (Cause::Damaged, ConditionReason::Damaged),
        (Cause::Empty, ConditionReason::NothingToTake),
        (Cause::NoRoom, ConditionReason::NoRoom),
        (Cause::AuthFailed, ConditionReason::AuthFailed),
        (Cause::NoPlace, ConditionReason::NoDestination),
        (Cause::Configuration, ConditionReason::TakeFailed),
        (Cause::Other("later".into()), ConditionReason::TakeFailed),
    ] {
        let mut world = World::new(ArchivePolicy::Retain);
        world.settle();
        world.take = Some((1, failed(&cause, world.now)));
        world.settle();
        world.is(ConditionType::Ready, "False", reason);
        world.is(ConditionType::Stalled, "True", reason);
        world.is(ConditionType::Reconciling, "False", ConditionReason::Settled);
        assert!(world.said(ConditionType::Stalled).2.contains("create another RagSnapshot"));
        assert_eq!(world.done, [Act::Take(1)], "its Job stays, so that its log can be read");
        assert_eq!(world.told, [(Severity::Warning, reason.as_str().to_owned())]);
    }
}

#[test]
fn what_may_pass_is_tried_again_with_longer_waits_and_not_for_ever() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    let mut waits = Vec::new();
    for attempt in 1..=8 {
        assert_eq!(world.done.last(), Some(&Act::Take(attempt)));
        world.take = Some((attempt, failed(&Cause::Unreachable, world.now)));
        let failed_at = world.now;
        if let Answer::Wait(pause) = world.pass(false) {
            world.is(ConditionType::Ready, "False", ConditionReason::Unreachable);
            world.is(ConditionType::Reconciling, "True", ConditionReason::Progressing);
            let until = pause.until.unwrap();
            waits.push(until.duration_since(failed_at).as_secs());
            world.now = until.checked_sub(SignedDuration::from_secs(1)).unwrap();
            assert!(matches!(world.pass(false), Answer::Wait(_)), "too early");
            world.now = until;
            world.settle();
        }
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920]);
    world.is(ConditionType::Stalled, "True", ConditionReason::Unreachable);
    assert!(world.said(ConditionType::Stalled).2.contains("8 attempts have failed"));
}

#[test]
fn what_is_in_the_way_is_said_with_its_class_and_nothing_is_made() {
    let no_secret = Obstacle::SecretMissing { cluster: "handbook".into(), field: "spec.x".into(), name: "key".into() };
    let no_claim = Obstacle::ClaimMissing { destination: "near".into(), name: "archive".into() };
    let not_made = Obstacle::Servers(Unusable::NotMade { cluster: "handbook".into() });
    let embedded = Obstacle::Servers(Unusable::Embedded { cluster: "handbook".into() });
    let nowhere = Archive::of("handbook", None, None).unwrap_err();
    for (obstacle, reason, stalls) in [
        (Obstacle::ClusterMissing("handbook".into()), ConditionReason::ClusterMissing, true),
        (Obstacle::NoDestination(nowhere), ConditionReason::NoDestination, true),
        (no_secret, ConditionReason::SecretMissing, true),
        (no_claim, ConditionReason::ClaimMissing, true),
        (embedded, ConditionReason::Unsupported, true),
        (not_made, ConditionReason::Starting, false),
        (Obstacle::Paused("handbook".into()), ConditionReason::Paused, false),
    ] {
        let mut world = World::new(ArchivePolicy::Delete);
        world.way = Err(obstacle.clone());
        world.settle();
        assert_eq!(world.done, [], "{obstacle}");
        world.is(ConditionType::Ready, "False", reason);
        assert_eq!(world.said(ConditionType::Stalled).0, if stalls { "True" } else { "False" }, "{obstacle}");
        let both = [ConditionType::Reconciling, ConditionType::Stalled].map(|type_| world.said(type_).0 == "True");
        assert_ne!(both, [true, true], "kstatus reads one of them");
        // And gone, it goes on by itself.
        world.way = Ok(way());
        world.settle();
        assert_eq!(world.done, [Act::Hold, Act::Take(1)]);
    }
}

#[test]
fn the_second_snapshot_of_a_destination_waits_and_says_for_which() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.sooner = Some("weekly".into());
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::WaitsForTurn);
    assert!(world.said(ConditionType::Ready).2.contains("RagSnapshot weekly"));
    assert_eq!(world.done, []);
    world.sooner = None;
    world.settle();
    assert_eq!(world.done, [Act::Take(1)]);
    // What has begun is overtaken by nobody.
    world.sooner = Some("weekly".into());
    world.take = Some((1, Looked::Running));
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::Taking);
}

#[test]
fn of_the_snapshots_of_a_destination_one_is_first_and_the_others_know_it() {
    let named = |name: &str, created: &str, destination: Option<&str>, step: Option<&str>| {
        let mut made = snapshot(ArchivePolicy::Retain);
        made.metadata.name = Some(name.into());
        made.metadata.uid = Some(format!("uid-of-{name}"));
        made.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(created)));
        made.spec.destination = destination.map(str::to_owned);
        let step = step.map(|state| json!([{"number": 2, "name": "take", "state": state}]));
        made.status = step.map(|steps| serde_json::from_value(json!({"steps": steps})).unwrap());
        made
    };
    let early = "2026-11-21T07:00:00Z";
    let sooner = |all: &[RagSnapshot], of: &RagSnapshot| observe::sooner_of(all.iter(), of, Some("offsite"));
    let (old, new) = (named("old", early, None, None), named("new", CREATED, Some("offsite"), None));
    let all = [old.clone(), new.clone()];
    assert_eq!((sooner(&all, &old), sooner(&all, &new).as_deref()), (None, Some("old")));
    // One that is being taken is first, however young.
    let all = [old.clone(), named("new", CREATED, None, Some("Running"))];
    assert_eq!(sooner(&all, &old).as_deref(), Some("new"));
    for ended in ["Done", "Failed"] {
        let all = [named("old", early, None, Some(ended)), new.clone()];
        assert_eq!(sooner(&all, &new), None, "{ended}");
    }
    let all = [named("old", early, Some("near"), Some("Running")), new.clone()];
    assert_eq!(sooner(&all, &new), None, "another destination");
}

/// A taken one with the policy, as it is when somebody deletes it.
fn taken_and_deleted() -> World {
    let mut world = World::new(ArchivePolicy::Delete);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    world.settle();
    assert_eq!(world.done, [Act::Hold, Act::Take(1), Act::Forget]);
    (world.done, world.told) = (Vec::new(), Vec::new());
    world
}

fn departed(world: &mut World) {
    while !world.is_gone && matches!(world.depart(), Answer::Record | Answer::Do { .. }) {}
}

#[test]
fn a_copy_that_goes_with_its_object_is_removed_before_it() {
    let mut world = taken_and_deleted();
    departed(&mut world);
    assert_eq!(world.done, [Act::Remove(1)]);
    assert!(!world.is_gone);
    world.is(ConditionType::Reconciling, "True", ConditionReason::Removing);
    world.is(ConditionType::Ready, "True", ConditionReason::Taken);
    world.removal = Some((1, of_report(json!({"outcome": "done", "removed": ["nightly"], "freed_bytes": 4096}))));
    departed(&mut world);
    assert_eq!((world.done.last(), world.is_gone), (Some(&Act::Release), true));
    assert_eq!(world.told, [(Severity::Normal, "CopyRemoved".to_owned())]);
}

#[test]
fn a_copy_that_nobody_can_remove_any_more_is_told_and_holds_nothing_up() {
    let mut world = taken_and_deleted();
    world.way = Err(Obstacle::ClusterMissing("handbook".into()));
    departed(&mut world);
    assert!(world.is_gone);
    assert_eq!(world.done, [Act::Release]);
    assert_eq!(world.told, [(Severity::Warning, "CopyKept".to_owned())]);
    // Also where it was being tried.
    let mut world = taken_and_deleted();
    departed(&mut world);
    world.removal = Some((1, failed(&Cause::Unreachable, world.now)));
    world.way = Err(Obstacle::ClusterMissing("handbook".into()));
    departed(&mut world);
    assert!(world.is_gone);
}

#[test]
fn a_copy_that_cannot_be_removed_now_is_tried_again_and_a_person_is_told_the_way_out() {
    let mut world = taken_and_deleted();
    departed(&mut world);
    world.removal = Some((1, failed(&Cause::AuthFailed, world.now)));
    departed(&mut world);
    world.is(ConditionType::Stalled, "True", ConditionReason::RemovalFailed);
    assert!(world.said(ConditionType::Stalled).2.contains(FINALIZER));
    assert_eq!(world.told, [(Severity::Warning, "RemovalFailed".to_owned())]);
    world.now = world.now.checked_add(SignedDuration::from_secs(30)).unwrap();
    departed(&mut world);
    assert_eq!(world.done, [Act::Remove(1), Act::Remove(2)]);
    world.removal = Some((2, failed(&Cause::None, world.now)));
    departed(&mut world);
    assert!(world.is_gone, "it is not there any more");
}

#[test]
fn nothing_is_removed_that_is_not_known_to_be_its_own() {
    let mut world = World::new(ArchivePolicy::Delete);
    world.settle();
    world.take = Some((1, Looked::Running));
    departed(&mut world);
    assert!(!world.is_gone, "its Job may be about to finish");
    world.take = Some((1, failed(&Cause::Exists, world.now)));
    departed(&mut world);
    assert!(world.is_gone);
    assert!(!world.done.iter().any(|act| matches!(act, Act::Remove(_))), "{:?}", world.done);
}

#[test]
fn a_job_that_ended_while_nobody_looked_is_known_when_its_object_is_deleted() {
    let mut world = World::new(ArchivePolicy::Delete);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    departed(&mut world);
    assert_eq!(world.done.last(), Some(&Act::Remove(1)));
}

/// The acts and the final status, where the process dies before its `death`-th effect.
fn to_the_end(death: Option<usize>) -> (BTreeSet<String>, RagSnapshotStatus, usize) {
    let mut world = World::new(ArchivePolicy::Delete);
    let mut effects = 0;
    for _ in 0..100 {
        let answer = world.pass(death == Some(effects));
        if matches!(answer, Answer::Do { .. }) {
            effects += 1;
        }
        match &world.take {
            Some((1, Looked::Pending { .. })) => world.take = Some((1, failed(&Cause::Held, world.now))),
            Some((2, Looked::Pending { .. })) => world.take = Some((2, done("nightly", true))),
            Some(_) | None => {}
        }
        if let Answer::Wait(pause) = answer {
            world.now = pause.until.unwrap_or(world.now);
        }
    }
    let acts = world.done.iter().map(|act| format!("{act:?}")).collect();
    (acts, world.snapshot.status.unwrap(), effects)
}

#[test]
fn a_process_that_dies_before_any_effect_changes_nothing_but_time() {
    let (acts, expected, effects) = to_the_end(None);
    assert_eq!(effects, 4, "{acts:?}");
    assert!(is_taken(&expected.steps));
    for death in 0..effects {
        let (found, status, _) = to_the_end(Some(death));
        assert_eq!(found, acts, "death {death}");
        assert_eq!(status.archive, expected.archive, "death {death}");
        let reasons = |status: &RagSnapshotStatus| {
            status.conditions.iter().map(|found| (found.type_.clone(), found.reason.clone())).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&status), reasons(&expected), "death {death}");
    }
}

#[test]
fn a_status_that_was_lost_is_made_again_by_the_same_job() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    world.settle();
    let expected = world.snapshot.status.clone().unwrap().archive;
    world.snapshot.status = None;
    world.settle();
    // Its owner's id finds the same snapshot in the archive.
    world.take = Some((1, done("nightly", true)));
    world.settle();
    assert_eq!(world.snapshot.status.unwrap().archive, expected);
}

/// What may happen between two passes.
#[derive(Clone, Debug)]
enum Happens {
    Runs,
    Ends(bool),
    Fails(usize),
    Vanishes,
    Time(i64),
    Barred,
    Free,
    Dies,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::Runs),
        proptest::bool::ANY.prop_map(Happens::Ends),
        (0..Cause::KNOWN.len()).prop_map(Happens::Fails),
        Just(Happens::Vanishes),
        (-7200..7200_i64).prop_map(Happens::Time),
        Just(Happens::Barred),
        Just(Happens::Free),
        Just(Happens::Dies),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_one_job_is_at_it_and_a_taken_snapshot_stays_taken(
        happenings in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut world = World::new(ArchivePolicy::Retain);
        let mut is_in_archive = false;
        for happening in happenings {
            let mut dies = false;
            let is_under_way = |looked: &Looked| matches!(looked, Looked::Pending { .. } | Looked::Running);
            let running = world.take.clone().filter(|(_, looked)| is_under_way(looked)).map(|(number, _)| number);
            match (&happening, running) {
                (Happens::Runs, Some(number)) => world.take = Some((number, Looked::Running)),
                (Happens::Ends(verified), Some(number)) => {
                    world.take = Some((number, done("nightly", *verified)));
                    is_in_archive = true;
                }
                (Happens::Fails(cause), Some(number)) => {
                    world.take = Some((number, failed(&Cause::KNOWN[*cause], world.now)));
                }
                (Happens::Vanishes, _) => world.take = None,
                (Happens::Time(seconds), _) => {
                    world.now = world.now.checked_add(SignedDuration::from_secs(*seconds)).unwrap();
                }
                (Happens::Barred, _) => world.way = Err(Obstacle::ClusterMissing("handbook".into())),
                (Happens::Free, _) => world.way = Ok(way()),
                (Happens::Dies, _) => dies = true,
                (Happens::Runs | Happens::Ends(_) | Happens::Fails(_), None) => {}
            }
            let (before, acts) = (world.snapshot.status.clone(), world.done.len());
            let had_ended = has_ended(recorded(&world.snapshot));
            let under_way = world.take.as_ref().is_some_and(|(_, looked)| is_under_way(looked));
            world.pass(dies);
            let new: Vec<Act> = world.done[acts..].to_vec();
            prop_assert!(!(under_way && new.iter().any(|act| matches!(act, Act::Take(_)))), "a second Job");
            if had_ended {
                prop_assert_eq!(&world.snapshot.status, &before);
                prop_assert!(new.is_empty());
            }
            let status = world.snapshot.status.clone().unwrap();
            prop_assert!(!is_taken(&status.steps) || is_in_archive, "taken out of nothing");
            prop_assert_eq!(is_taken(&status.steps), status.archive.is_some());
            let is = |type_| find(&status.conditions, type_).is_some_and(|found| found.status == "True");
            prop_assert_eq!(is(ConditionType::Ready), is_taken(&status.steps));
            prop_assert!(!(is(ConditionType::Stalled) && is(ConditionType::Reconciling)));
        }
    }
}
