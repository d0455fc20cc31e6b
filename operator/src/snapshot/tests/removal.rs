//! What becomes of a copy in the archive when its object is deleted.

use jiff::SignedDuration;
use serde_json::json;

use super::{World, done, failed, of_report};
use crate::api::snapshot::ArchivePolicy;
use crate::api::{ConditionReason, ConditionType};
use crate::events::Severity;
use crate::job::Looked;
use crate::snapshot::decide::{Act, FINALIZER};
use crate::snapshot::observed::Obstacle;
use crate::snapshot::report::Cause;
use crate::steps::Answer;

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
