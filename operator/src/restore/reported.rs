//! What a Job of a restore reports, in the words of its status. Pure.

use jiff::SignedDuration;

use super::observed::{Act, Fault, Task};
use crate::api::ConditionReason;
use crate::api::restore::{RestoreChanges, RestoreResult};
use crate::api::text::cut;
use crate::job::{Failure, Looked};
use crate::snapshot::report::{Cause, Drilled, Outcome, Report, Restored, Unreadable};

/// Longer than any that can be measured; what says more is no figure, and would not fit into the status.
const MOST_SECONDS: f64 = 1e9;

/// The longest name of a snapshot in an archive, in characters.
const NAME_MAX_CHARS: usize = 63;

/// How a Job of a task stands; nothing where there is none. `is_complete`: it has ended with exit code 0, which is all that is
/// asked of a way back: it has no figures to report.
pub(super) fn act(task: Task, looked: Looked, (is_going, is_complete): (bool, bool)) -> Option<Act> {
    Some(match looked {
        Looked::NotThere => return None,
        _ if task == Task::Revert && is_complete => Act::Done(RestoreResult::default()),
        Looked::Pending { .. } | Looked::Running if is_going => Act::Stopping,
        Looked::Pending { why, .. } => Act::Pending(why),
        Looked::Running => Act::Running,
        Looked::Done { report, at } if report.outcome == Outcome::Skipped => {
            Act::Failed(Fault { reason: ConditionReason::Skipped, why: words(&report), may_pass: false, at })
        }
        Looked::Done { report, at } => match result(task, &report) {
            Ok(result) => Act::Done(result),
            Err(why) => Act::Failed(Fault { reason: ConditionReason::Failed, why, may_pass: false, at }),
        },
        Looked::Failed { failure, at } => {
            Act::Failed(Fault { reason: reason(&failure), why: failure.words(), may_pass: failure.may_pass(), at })
        }
    })
}

fn words(report: &Report) -> String {
    match (&report.cause, report.message.as_str()) {
        (Some(cause), "") => cause.to_string(),
        (_, message) => message.to_owned(),
    }
}

/// What came of it. A drill says how much it found, a restore which epoch is searched, and a way back nothing but that it is done.
fn result(task: Task, report: &Report) -> Result<RestoreResult, String> {
    let unreadable = |unreadable: Unreadable| unreadable.to_string();
    match task {
        Task::Drill => report.read().map_err(unreadable).and_then(drilled),
        Task::Restore => report.read().map_err(unreadable).and_then(restored),
        Task::Revert => Ok(RestoreResult::default()),
    }
}

fn drilled(drilled: Drilled) -> Result<RestoreResult, String> {
    let seconds = |figure| within("a time", figure, MOST_SECONDS);
    let (recall, rto) = (within("the recall", drilled.recall, 1.0)?, seconds(drilled.rto_seconds)?);
    Ok(RestoreResult {
        snapshot: cut(&drilled.snapshot.name, NAME_MAX_CHARS),
        documents: Some(drilled.documents),
        chunks: Some(drilled.chunks),
        recall_percent: Some(rounded(recall * 100.0)),
        rto_seconds: Some(rounded(rto)),
        rto: Some(time(rto)),
        rpo_seconds: Some(rounded(seconds(drilled.rpo_seconds)?)),
        ..RestoreResult::default()
    })
}

fn restored(restored: Restored) -> Result<RestoreResult, String> {
    let share = |(proven, asked)| if asked == 0 { 1.0 } else { figure(proven) / figure(asked) };
    let found = restored.proven.zip(restored.asked).map(share);
    let found = found.map(|found| within("the share of what was found", found, 1.0)).transpose()?;
    let seconds = restored.seconds.map(|seconds| within("a time", seconds, MOST_SECONDS)).transpose()?;
    Ok(RestoreResult {
        documents: Some(restored.snapshot.documents),
        chunks: Some(restored.snapshot.chunks),
        snapshot: cut(&restored.snapshot.name, NAME_MAX_CHARS),
        recall_percent: found.map(|found| rounded(found * 100.0)),
        rto_seconds: seconds.map(rounded),
        rto: seconds.map(time),
        changes: restored.documents.map(|changes| RestoreChanges {
            added: changes.added,
            changed: changes.changed,
            removed: changes.removed,
            unchanged: changes.unchanged,
        }),
        epoch: restored.epoch,
        previous_epoch: restored.previous_epoch,
        ..RestoreResult::default()
    })
}

/// What a full drill came to: what its restore found, and how long the whole lasted, where that is known. Its epochs and changes are
/// of a cluster that goes.
pub(super) fn whole(
    restored: &RestoreResult,
    lasted: Option<SignedDuration>,
    age: Option<SignedDuration>,
) -> RestoreResult {
    let seconds = |of: Option<SignedDuration>| {
        of.map(|of| of.as_secs_f64()).filter(|seconds| (0.0..=MOST_SECONDS).contains(seconds))
    };
    let (rto, rpo) = (seconds(lasted), seconds(age));
    RestoreResult {
        rto_seconds: rto.map(rounded),
        rto: rto.map(time),
        rpo_seconds: rpo.map(rounded),
        changes: None,
        epoch: None,
        previous_epoch: None,
        ..restored.clone()
    }
}

/// A count as a figure: exact up to 2^53, and there are fewer passages.
#[allow(clippy::cast_precision_loss, reason = "counts of passages are far below 2^53")]
fn figure(count: i64) -> f64 {
    count as f64
}

fn within(what: &str, figure: f64, most: f64) -> Result<f64, String> {
    if (0.0..=most).contains(&figure) {
        Ok(figure)
    } else {
        Err(format!("the report cannot be read: {what} is {figure}"))
    }
}

/// Measured figures have two digits behind the point. Downwards, so that a share that is just missed is not rounded up to it.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0 + 1e-6).floor() / 100.0
}

/// For people: seconds, minutes or hours.
fn time(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.1}s"),
        long if long < 7200.0 => format!("{:.0}m{:02.0}s", (long / 60.0).floor(), (long % 60.0).floor()),
        longer => format!("{:.0}h{:02.0}m", (longer / 3600.0).floor(), (longer % 3600.0 / 60.0).floor()),
    }
}

/// The class of a cause. Exhaustive, so that a new cause has to be given one.
fn reason(failure: &Failure) -> ConditionReason {
    let Some(cause) = failure.cause() else {
        return if *failure == Failure::Late { ConditionReason::Timeout } else { ConditionReason::Failed };
    };
    match cause {
        Cause::None => ConditionReason::SnapshotMissing,
        Cause::Damaged | Cause::Incomplete => ConditionReason::Damaged,
        Cause::NewerFormat => ConditionReason::FormatUnsupported,
        Cause::Unsigned | Cause::Forged => ConditionReason::Untrusted,
        Cause::NoKey => ConditionReason::KeyMissing,
        Cause::Model => ConditionReason::ModelMismatch,
        Cause::NoRoom => ConditionReason::NoRoom,
        Cause::NotFound | Cause::Recall => ConditionReason::RecallTooLow,
        Cause::Unreachable | Cause::StoreUnreachable => ConditionReason::Unreachable,
        Cause::AuthFailed => ConditionReason::AuthFailed,
        Cause::NoPlace => ConditionReason::NoDestination,
        Cause::Exists
        | Cause::NotEmpty
        | Cause::Empty
        | Cause::Last
        | Cause::Held
        | Cause::Stopped
        | Cause::Failed
        | Cause::Configuration
        | Cause::Other(_) => ConditionReason::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn snapshot(name: &str) -> Value {
        json!({
            "name": name, "place": "s3://b/p", "sha256": "ab", "began": "2026-11-21T02:00:00Z",
            "ended": "2026-11-21T02:00:10Z", "documents": 10, "chunks": 100, "bytes": 4096,
        })
    }

    fn report(fields: Value) -> Looked {
        let mut all = json!({"outcome": "done", "snapshot": snapshot("nightly")});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Looked::Done { report: Report::parse(&all.to_string()).unwrap(), at: None }
    }

    fn drill(recall: f64, seconds: f64) -> Looked {
        report(json!({
            "recall": recall, "asked": 20, "found": 20, "rto_seconds": seconds, "rpo_seconds": 3600.0, "documents": 10,
            "chunks": 100,
        }))
    }

    fn done(task: Task, looked: Looked) -> RestoreResult {
        match act(task, looked, (false, false)) {
            Some(Act::Done(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    fn fault(task: Task, looked: Looked) -> (ConditionReason, String) {
        match act(task, looked, (false, false)) {
            Some(Act::Failed(fault)) => (fault.reason, fault.why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_drill_and_a_restore_report_figures_that_people_read() {
        let drilled = done(Task::Drill, drill(0.9549, 12.34));
        assert_eq!((drilled.recall_percent, drilled.rto.as_deref()), (Some(95.49), Some("12.3s")));
        assert_eq!((drilled.documents, drilled.rpo_seconds, drilled.epoch), (Some(10), Some(3600.0), None));
        let restored = done(
            Task::Restore,
            report(json!({
                "epoch": 4, "previous_epoch": 3, "proven": 19, "asked": 20, "seconds": 3725.0,
                "documents": {"added": 1, "changed": 2, "removed": 3, "unchanged": 4},
            })),
        );
        assert_eq!((restored.epoch, restored.previous_epoch, restored.recall_percent), (Some(4), Some(3), Some(95.0)));
        assert_eq!((restored.rto.as_deref(), restored.changes.unwrap().removed), (Some("62m05s"), 3));
        assert_eq!(done(Task::Revert, report(json!({}))), RestoreResult::default());
        assert_eq!(time(7300.0), "2h01m");
    }

    #[test]
    fn a_share_that_is_just_missed_is_not_rounded_up_to_what_is_asked_for() {
        assert_eq!(done(Task::Drill, drill(0.949_999_9, 1.0)).recall_percent, Some(94.99));
        assert_eq!(done(Task::Drill, drill(0.95, 1.0)).recall_percent, Some(95.0));
        assert_eq!(done(Task::Drill, drill(0.57, 1.0)).recall_percent, Some(57.0));
    }

    #[test]
    fn figures_that_cannot_be_are_no_result_and_a_long_name_is_cut_to_its_field() {
        for hostile in [drill(1.5, 1.0), drill(-0.1, 1.0), drill(1.0, 1e300), report(json!({"recall": 1.0}))] {
            let (reason, why) = fault(Task::Drill, hostile);
            assert_eq!(reason, ConditionReason::Failed);
            assert!(why.starts_with("the report cannot be read: "), "{why}");
        }
        fault(Task::Restore, report(json!({"proven": 21, "asked": 20})));
        let long = report(json!({"snapshot": snapshot(&"n".repeat(500)), "epoch": 4}));
        assert_eq!(done(Task::Restore, long).snapshot.chars().count(), 63);
    }

    #[test]
    fn what_was_skipped_has_no_result_and_what_failed_has_the_class_of_its_cause() {
        let skipped = json!({"outcome": "skipped", "cause": "no_room", "message": "the disk is full"});
        let report = Report::parse(&skipped.to_string()).unwrap();
        let skipped = Looked::Done { report, at: None };
        assert_eq!(fault(Task::Drill, skipped), (ConditionReason::Skipped, "the disk is full".into()));
        let failed = |cause: Cause| {
            let failure = Failure::Reported { cause, message: String::new() };
            fault(Task::Drill, Looked::Failed { failure, at: None }).0
        };
        assert_eq!(failed(Cause::Recall), ConditionReason::RecallTooLow);
        assert_eq!(failed(Cause::Forged), ConditionReason::Untrusted);
        assert_eq!(fault(Task::Drill, Looked::Failed { failure: Failure::Late, at: None }).0, ConditionReason::Timeout);
    }

    #[test]
    fn a_way_back_is_done_when_its_job_is_whatever_it_says() {
        let silent = || {
            let failure = Failure::Silent { why: "no report".into(), may_pass: true };
            Looked::Failed { failure, at: None }
        };
        assert_eq!(act(Task::Revert, silent(), (false, true)), Some(Act::Done(RestoreResult::default())));
        for (task, is_complete) in [(Task::Revert, false), (Task::Drill, true), (Task::Restore, true)] {
            assert!(matches!(act(task, silent(), (false, is_complete)), Some(Act::Failed(_))), "{task:?}");
        }
    }

    #[test]
    fn what_was_asked_to_end_is_under_way_until_it_has() {
        let pending = || Looked::Pending { reason: None, why: "it is being deleted".into() };
        assert_eq!(act(Task::Drill, pending(), (true, false)), Some(Act::Stopping));
        assert_eq!(act(Task::Drill, pending(), (false, false)), Some(Act::Pending("it is being deleted".into())));
        assert_eq!(act(Task::Drill, Looked::NotThere, (true, false)), None);
    }
}
