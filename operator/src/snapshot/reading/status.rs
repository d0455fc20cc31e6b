//! What a reading has found out about a snapshot becomes its condition Verified. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::status::reason_of;
use super::decide::{Found, Seen, Unread, ended, found, recorded};
use crate::api::snapshot::{RagSnapshot, RagSnapshotStatus, ReadingFailure};
use crate::api::steps::{StepState, StepStatus};
use crate::api::text::cut;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::{Finding, State, update};
use crate::job::Looked;

/// As much as its field holds, in characters.
const MESSAGE_MAX_CHARS: usize = 512;

/// What a reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The snapshot is what was taken.
    Whole,
    /// It is not.
    Damaged,
    /// There is none.
    Gone,
    /// Nothing was found out.
    Failed,
}

impl Outcome {
    /// As a figure has it in its label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Damaged => "damaged",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

/// The status after a pass over a reading, and what it came to where this pass has seen its end.
pub fn status(snapshot: &RagSnapshot, seen: &Seen, steps: Vec<StepStatus>) -> (RagSnapshotStatus, Option<Outcome>) {
    let mut after = snapshot.status.clone().unwrap_or_default();
    let mut reading = after.reading.take().unwrap_or_default();
    // A reading that begins anew has another end than the one before.
    let had_ended = ended(recorded(snapshot)).is_some() && !super::decide::is_over(recorded(snapshot));
    let end = ended(&steps).filter(|_| !had_ended).cloned();
    let outcome = end.map(|end| match (end.state, found_out(&after, seen)) {
        (StepState::Done, Some(Ok((what, at)))) => {
            reading.last_at = Some(Time(at));
            reading.failure = None;
            if what == Found::Whole {
                after.archive.iter_mut().for_each(|archive| archive.verified_at = Some(Time(at)));
            }
            let (finding, outcome) = finding(&what, at);
            after.conditions = update(&after.conditions, vec![finding], snapshot.metadata.generation, seen.now);
            outcome
        }
        (_, found) => {
            let unread = found.and_then(Result::err);
            reading.failure = Some(ReadingFailure {
                at: Time(whole(seen.now)),
                reason: reason(unread.as_ref(), seen).to_string(),
                message: cut(&end.message, MESSAGE_MAX_CHARS),
            });
            Outcome::Failed
        }
    });
    reading.steps = steps;
    after.reading = Some(reading);
    (after, outcome)
}

/// The status of a snapshot whose reading is given up before it has begun: it is not due any more.
pub fn given_up(snapshot: &RagSnapshot) -> RagSnapshotStatus {
    let mut after = snapshot.status.clone().unwrap_or_default();
    after.reading.iter_mut().for_each(|reading| reading.steps.clear());
    after
}

/// What the newest attempt found, and when; no later than now, whatever clock its node has.
fn found_out(status: &RagSnapshotStatus, seen: &Seen) -> Option<Result<(Found, Timestamp), Unread>> {
    let (_, looked) = seen.read.as_ref()?;
    let at = match looked {
        Looked::Done { at, .. } | Looked::Failed { at, .. } => at.unwrap_or(seen.now).min(seen.now),
        Looked::NotThere | Looked::Pending { .. } | Looked::Running => return None,
    };
    Some(found(status.archive.as_ref(), looked).map(|found| (found, whole(at))))
}

fn finding(found: &Found, at: Timestamp) -> (Finding, Outcome) {
    let (state, reason, message, outcome) = match found {
        Found::Whole => {
            let message = format!("all of it was read back at {at} and is what was taken");
            (State::True, ConditionReason::ReadBack, message, Outcome::Whole)
        }
        Found::Damaged(why) => {
            let message = format!("what was read of it at {at} is not what was taken: {why}; do not rely on it");
            (State::False, ConditionReason::Damaged, message, Outcome::Damaged)
        }
        Found::Gone(why) => {
            let message = format!("at {at} its copy was not in the archive any more: {why}; do not rely on it");
            (State::False, ConditionReason::CopyGone, message, Outcome::Gone)
        }
    };
    (Finding::new(ConditionType::Verified, state, reason, message), outcome)
}

/// The class of what kept it from being read.
fn reason(unread: Option<&Unread>, seen: &Seen) -> ConditionReason {
    match (unread.and_then(|unread| unread.failure.as_ref()), &seen.way) {
        (Some(failure), _) => match reason_of(failure) {
            ConditionReason::TakeFailed => ConditionReason::NotReadBack,
            reason => reason,
        },
        (None, Err(obstacle)) => obstacle.reason(),
        (None, Ok(_)) => ConditionReason::NotReadBack,
    }
}

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
