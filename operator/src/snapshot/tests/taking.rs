//! How a snapshot is taken, and how it is not.

use jiff::SignedDuration;
use serde_json::json;

use super::{World, done, failed, of_report};
use crate::api::snapshot::ArchivePolicy;
use crate::api::{ConditionReason, ConditionType};
use crate::events::Severity;
use crate::job::{Attached, Looked};
use crate::snapshot::decide::Act;
use crate::snapshot::observed::Obstacle;
use crate::snapshot::report::Cause;
use crate::steps::Answer;

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
fn a_cluster_that_does_not_go_along_is_said_and_its_corpus_is_taken() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.way.iter_mut().for_each(|way| way.attached = Attached::LeftOut("it is too large".into()));
    world.settle();
    assert_eq!(world.done, [Act::Take(1)]);
    let check = &world.snapshot.status.as_ref().unwrap().steps[0];
    assert!(check.message.contains("does not go along: it is too large"), "{}", check.message);
}

#[test]
fn how_far_its_job_is_stands_in_the_status_while_it_runs_and_no_longer() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, Looked::Running));
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::Taking);
    assert!(world.said(ConditionType::Ready).2.ends_with("Job nightly-take runs"));
    let progress = json!({
        "unit": "Documents", "done": 12_000, "of": 24_000, "percent": 50, "bytes": 7, "at": "2026-11-21T08:00:00Z",
    });
    world.progress = serde_json::from_value(progress).unwrap();
    world.settle();
    let status = world.snapshot.status.clone().unwrap();
    assert_eq!(status.progress, world.progress);
    assert!(status.steps[1].message.ends_with("12,000 of 24,000 documents"), "{}", status.steps[1].message);
    assert!(world.said(ConditionType::Ready).2.ends_with("12,000 of 24,000 documents"));
    (world.take, world.progress) = (Some((1, done("nightly", true))), None);
    world.settle();
    assert_eq!(world.snapshot.status.unwrap().progress, None);
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
