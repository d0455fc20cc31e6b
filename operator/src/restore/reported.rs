//! What a Job of a restore reports, in the words of its status. Pure.

use super::observed::{Act, Fault};
use crate::api::ConditionReason;
use crate::api::restore::{RestoreChanges, RestoreResult};
use crate::job::{Failure, Looked};
use crate::snapshot::report::{Cause, Drilled, Outcome, Report, Restored};

/// How a Job stands; nothing where there is none.
pub(super) fn act(looked: Looked, is_going: bool) -> Option<Act> {
    Some(match looked {
        Looked::NotThere => return None,
        Looked::Pending { .. } | Looked::Running if is_going => Act::Stopping,
        Looked::Pending { why, .. } => Act::Pending(why),
        Looked::Running => Act::Running,
        Looked::Done { report, at } if report.outcome == Outcome::Skipped => Act::Failed(Fault {
            reason: ConditionReason::Skipped,
            why: words(&report),
            may_pass: false,
            at,
        }),
        Looked::Done { report, at } => match result(&report) {
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
fn result(report: &Report) -> Result<RestoreResult, String> {
    if report.has("recall") {
        return report.read::<Drilled>().map(drilled).map_err(|unreadable| unreadable.to_string());
    }
    if report.has("snapshot") {
        return report.read::<Restored>().map(restored).map_err(|unreadable| unreadable.to_string());
    }
    Ok(RestoreResult::default())
}

fn drilled(drilled: Drilled) -> RestoreResult {
    RestoreResult {
        snapshot: drilled.snapshot.name,
        documents: Some(drilled.documents),
        chunks: Some(drilled.chunks),
        recall_percent: Some(rounded(drilled.recall * 100.0)),
        rto_seconds: Some(rounded(drilled.rto_seconds)),
        rto: Some(time(drilled.rto_seconds)),
        rpo_seconds: Some(rounded(drilled.rpo_seconds)),
        ..RestoreResult::default()
    }
}

fn restored(restored: Restored) -> RestoreResult {
    let share = |(proven, asked): (i64, i64)| if asked == 0 { 100.0 } else { proven as f64 / asked as f64 * 100.0 };
    RestoreResult {
        documents: Some(restored.snapshot.documents),
        chunks: Some(restored.snapshot.chunks),
        snapshot: restored.snapshot.name,
        recall_percent: restored.proven.zip(restored.asked).map(share).map(rounded),
        rto_seconds: restored.seconds.map(rounded),
        rto: restored.seconds.map(time),
        changes: restored.documents.map(|changes| RestoreChanges {
            added: changes.added,
            changed: changes.changed,
            removed: changes.removed,
            unchanged: changes.unchanged,
        }),
        epoch: restored.epoch,
        previous_epoch: restored.previous_epoch,
        ..RestoreResult::default()
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
        | Cause::Held
        | Cause::Stopped
        | Cause::Failed
        | Cause::Configuration
        | Cause::Other(_) => ConditionReason::Failed,
    }
}
