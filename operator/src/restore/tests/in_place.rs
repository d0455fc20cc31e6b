//! Restores of what is served, case by case.

use super::{Told, after};
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType};
use crate::restore::decide::procedure;
use crate::restore::fixtures::{ASKED_AT, fault, in_place, restore, seen, server, switched, taken, tried};
use crate::restore::observed::{Act, Seen, SnapshotSeen, SnapshotState, Task};
use crate::steps::{Answer, Priority, Standing};
use serde_json::json;

fn before(state: SnapshotState) -> Option<SnapshotSeen> {
    Some(SnapshotSeen { asked_by: Some("u-undo".into()), state, ..taken("undo-before", "2026-11-28T08:00:10Z") })
}

/// What is served has been kept.
fn kept() -> Seen {
    let taken = taken("undo-before", "2026-11-28T08:00:10Z").state;
    Seen { before: before(taken), ..seen() }
}

/// The switch has been made.
fn restored(recall_percent: f64, epoch: i64) -> Seen {
    let seen = tried(kept(), Task::Restore, 1, Act::Done(switched(recall_percent)));
    Seen { servers: vec![server("a", Some(4)), server("b", Some(epoch))], ..seen }
}

/// Up to its Job.
fn begun() -> Told {
    let mut told = Told::of(in_place());
    assert_eq!(told.deed(&kept(), ASKED_AT), "create Job undo-restore");
    told
}

#[test]
fn what_is_served_is_kept_first_then_it_is_restored_and_verified() {
    let mut told = Told::of(in_place());
    assert_eq!(told.deed(&seen(), ASKED_AT), "create RagSnapshot undo-before");
    assert_eq!(told.condition(ConditionType::Ready).1, "Snapshotting");
    let taking = Seen { before: before(SnapshotState::Taking("it runs".into())), ..seen() };
    assert_eq!(told.waits(&taking, ASKED_AT), "RagSnapshot undo-before: it runs");
    assert_eq!(told.deed(&kept(), ASKED_AT), "create Job undo-restore");
    assert_eq!(told.condition(ConditionType::Ready).1, "Restoring");
    told.waits(&tried(kept(), Task::Restore, 1, Act::Running), ASKED_AT);
    assert_eq!(told.waits(&restored(100.0, 3), ASKED_AT), "pod b searches epoch 3, not epoch 4");
    assert_eq!(told.condition(ConditionType::Ready).1, "Verifying");
    assert_eq!(told.ended(&restored(100.0, 4), ASKED_AT), ("True".into(), "Restored".into()));
    assert_eq!(told.state("revert"), StepState::Done);
    let result = told.status().result.clone().unwrap();
    assert_eq!((result.epoch, result.previous_epoch, result.destination.as_str()), (Some(4), Some(3), "bucket"));
    assert_eq!(told.events, ["Snapshotting", "Restoring", "Restored"]);
}

#[test]
fn what_cannot_be_kept_is_not_overwritten_and_where_there_is_nothing_nothing_is_lost() {
    let failed = |reason: &str| {
        let state = SnapshotState::Failed { reason: reason.into(), why: "no key".into() };
        Seen { before: before(state), ..seen() }
    };
    let mut told = Told::of(in_place());
    told.deed(&seen(), ASKED_AT);
    assert_eq!(told.ended(&failed("AuthFailed"), ASKED_AT), ("False".into(), "SnapshotFailed".into()));
    assert_eq!(told.state("restore"), StepState::Skipped);
    let mut told = Told::of(in_place());
    told.deed(&seen(), ASKED_AT);
    assert_eq!(told.deed(&failed("NothingToTake"), ASKED_AT), "create Job undo-restore");
    // One of the same name that somebody else took proves nothing about now.
    let mut told = Told::of(in_place());
    let foreign = Seen { before: Some(taken("undo-before", "2026-11-28T08:00:10Z")), ..seen() };
    assert_eq!(told.ended(&foreign, ASKED_AT), ("False".into(), "SnapshotFailed".into()));
}

#[test]
fn what_is_found_wrong_after_the_switch_is_taken_back() {
    let mut told = begun();
    let wrong = restored(94.0, 4);
    assert_eq!(told.deed(&wrong, ASKED_AT), "create Job undo-revert");
    assert_eq!(told.condition(ConditionType::Ready), ("False".into(), "NotVerified".into()));
    assert_eq!(told.condition(ConditionType::Stalled).0, "False", "it goes on by itself");
    told.waits(&tried(wrong.clone(), Task::Revert, 1, Act::Running), ASKED_AT);
    let back = tried(wrong, Task::Revert, 1, Act::Done(switched(0.0)));
    assert_eq!(told.ended(&back, ASKED_AT), ("False".into(), "Reverted".into()));
    assert_eq!(told.events, ["Restoring", "Reverting", "Reverted"]);
}

#[test]
fn servers_that_do_not_follow_have_it_taken_back_and_those_that_come_too_late_do_not_stop_it_half_way() {
    let mut told = begun();
    told.waits(&restored(100.0, 3), ASKED_AT);
    told.waits(&restored(100.0, 3), &after(15 * 60 - 1));
    let deadline = after(15 * 60);
    assert_eq!(told.deed(&restored(100.0, 3), &deadline), "create Job undo-revert");
    assert_eq!(told.deed(&restored(100.0, 4), &deadline), "create Job undo-revert");
    let back = tried(restored(100.0, 3), Task::Revert, 1, Act::Done(switched(0.0)));
    assert_eq!(told.ended(&back, &deadline), ("False".into(), "Reverted".into()));
}

#[test]
fn a_way_back_that_fails_is_said_to_have_failed() {
    let mut told = begun();
    let wrong = restored(94.0, 4);
    told.deed(&wrong, ASKED_AT);
    let stuck = tried(wrong, Task::Revert, 1, fault(ConditionReason::AuthFailed, false, ASKED_AT));
    assert_eq!(told.ended(&stuck, ASKED_AT), ("False".into(), "RevertFailed".into()));
}

#[test]
fn nothing_is_taken_back_where_nothing_was_switched() {
    let failed = tried(kept(), Task::Restore, 1, fault(ConditionReason::Damaged, false, ASKED_AT));
    assert_eq!(begun().ended(&failed, ASKED_AT), ("False".into(), "Damaged".into()));
    let mut same = switched(100.0);
    same.previous_epoch = same.epoch;
    same.recall_percent = Some(0.0);
    let unswitched = tried(kept(), Task::Restore, 1, Act::Done(same));
    assert_eq!(begun().ended(&unswitched, ASKED_AT), ("False".into(), "NotVerified".into()));
}

#[test]
fn where_nothing_was_served_before_there_is_nothing_to_go_back_to() {
    let mut first = switched(0.0);
    first.previous_epoch = None;
    let filled = tried(kept(), Task::Restore, 1, Act::Done(first));
    let mut told = begun();
    assert_eq!(told.ended(&filled, ASKED_AT), ("False".into(), "NotVerified".into()));
    assert_eq!(told.events, ["Restoring", "NotVerified"]);
}

#[test]
fn a_restore_that_is_never_done_is_stopped_before_anybody_else_gets_the_lock() {
    let mut told = begun();
    let runs = tried(kept(), Task::Restore, 1, Act::Running);
    let late = after(12 * 3600);
    assert_eq!(told.deed(&runs, &late), "stop Job undo-restore");
    let standing = Standing::of(&procedure(&told.restore), &told.status().steps);
    assert!(standing.has_lock(), "{standing:?}");
    told.waits(&tried(kept(), Task::Restore, 1, Act::Stopping), &late);
    assert_eq!(told.ended(&kept(), &late), ("False".into(), "Timeout".into()));
}

#[test]
fn the_lock_is_waited_for_and_kept_from_the_restore_until_it_is_verified() {
    let mut other = Told::of(restore("z", json!(in_place().spec)));
    other.deed(&kept_by("u-z"), ASKED_AT);
    let holder = [Standing::of(&procedure(&other.restore), &other.status().steps)];
    let mut told = Told::of(in_place());
    let Answer::Wait(pause) = told.answer_beside(&kept(), ASKED_AT, &holder) else { panic!("it does not wait") };
    assert_eq!(pause.why, "waits for RagRestore z, which is at a step that disrupts");
    assert_eq!(told.state("restore"), StepState::Queued);
    other.waits(&Seen { before: kept_by("u-z").before, ..restored(100.0, 3) }, ASKED_AT);
    let standing = Standing::of(&procedure(&other.restore), &other.status().steps);
    assert!(standing.has_lock() && standing.priority == Priority::Restore, "{standing:?}");
}

fn kept_by(uid: &str) -> Seen {
    let mut seen = kept();
    seen.before.as_mut().unwrap().asked_by = Some(uid.into());
    seen
}

#[test]
fn restores_of_a_cluster_go_one_after_the_other_so_that_each_keeps_what_the_one_before_made() {
    let mut first = begun();
    first.waits(&restored(100.0, 3), ASKED_AT);
    let peers = vec![Standing::of(&procedure(&first.restore), &first.status().steps)];
    let mut second = Told::of(restore("again", json!(in_place().spec)));
    assert_eq!(second.waits(&Seen { peers, ..seen() }, ASKED_AT), "waits for RagRestore undo, which goes first");
    assert_eq!(second.state("snapshot"), StepState::Waiting);
}

#[test]
fn a_dry_run_says_what_would_change_and_takes_no_snapshot_and_no_lock() {
    let mut spec = json!(in_place().spec);
    spec["dryRun"] = json!(true);
    let mut told = Told::of(restore("undo", spec));
    assert_eq!(told.deed(&seen(), ASKED_AT), "create Job undo-restore");
    assert!(!Standing::of(&procedure(&told.restore), &told.status().steps).has_lock());
    // The command reports the epoch that is searched all the while.
    let mut preview = switched(0.0);
    preview.previous_epoch = None;
    let done = tried(seen(), Task::Restore, 1, Act::Done(preview));
    assert_eq!(told.ended(&done, ASKED_AT), ("True".into(), "Previewed".into()));
    let ready = crate::conditions::find(&told.status().conditions, ConditionType::Ready).unwrap();
    let result = told.status().result.clone().unwrap();
    assert_eq!((result.epoch, result.recall_percent, result.rto), (None, None, None), "nothing was done");
    assert!(ready.message.contains("would add 1 documents, change 2, remove 3, and leave 4"), "{}", ready.message);
}

#[test]
fn a_job_that_is_gone_has_left_its_report_in_the_status() {
    let mut told = begun();
    told.waits(&restored(100.0, 3), ASKED_AT);
    let mut gone = restored(100.0, 4);
    gone.attempts.clear();
    assert_eq!(told.ended(&gone, ASKED_AT), ("True".into(), "Restored".into()));
}

#[test]
fn that_nothing_was_changed_is_said_only_where_it_is_known() {
    let said = |act: Act| {
        let mut told = begun();
        told.ended(&tried(kept(), Task::Restore, 1, act), ASKED_AT);
        crate::conditions::find(&told.status().conditions, ConditionType::Ready).unwrap().message.clone()
    };
    let unchanged = "nothing that is served was changed";
    for reason in [ConditionReason::Unreachable, ConditionReason::SnapshotMissing] {
        let message = said(fault(reason, false, ASKED_AT));
        assert!(message.contains(unchanged), "{message}");
    }
    for reason in [ConditionReason::Failed, ConditionReason::Timeout] {
        let message = said(fault(reason, false, ASKED_AT));
        assert!(!message.contains(unchanged) && message.contains("which epoch they search"), "{message}");
    }
}
