//! The record of a procedure's steps: how it is read, and the changes that it goes through.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::step::{At, Pause, Procedure, Step};
use crate::api::steps::{STEP_MESSAGE_MAX_CHARS, StepState, StepStatus};
use crate::api::text::cut;

/// A record for each step of the procedure, by its name: an operator of another version may have written it. A step that this
/// operator knows and that one did not is skipped where a later one has begun: its place has passed.
pub(super) fn aligned<S, E>(procedure: &Procedure<S, E>, recorded: &[StepStatus]) -> Vec<StepStatus> {
    let of_step = |(number, step): (i32, &Step<S, E>)| {
        let known = recorded.iter().find(|status| status.name == step.name).cloned();
        StepStatus { number, ..known.unwrap_or_else(|| fresh(&step.name)) }
    };
    let mut steps: Vec<StepStatus> = (1..).zip(&procedure.steps).map(of_step).collect();
    let begun = steps.iter().rposition(has_begun).unwrap_or(0);
    for status in steps.iter_mut().take(begun).filter(|status| !has_begun(status)) {
        skip(status, "a later step had begun before this one was known");
    }
    steps
}

fn fresh(name: &str) -> StepStatus {
    StepStatus {
        number: 0,
        name: name.to_owned(),
        state: StepState::Pending,
        started_at: None,
        finished_at: None,
        until: None,
        message: String::new(),
    }
}

fn has_begun(status: &StepStatus) -> bool {
    status.state == StepState::Running || status.state.is_final()
}

/// The step that failed, if one did.
pub(super) fn first_failure(steps: &[StepStatus]) -> Option<&StepStatus> {
    steps.iter().find(|status| status.state == StepState::Failed)
}

/// Whether the step is still to be taken.
pub(super) fn is_ahead<S, E>(step: &Step<S, E>, status: &StepStatus, has_failed: bool) -> bool {
    !status.state.is_final() && (step.cleans_up || !has_failed)
}

/// When the step began. A record from the future was written by a clock that went ahead and was put right.
pub(super) fn since(status: &StepStatus, now: Timestamp) -> Timestamp {
    status.started_at.as_ref().map_or_else(|| whole(now), |started| started.0.min(now))
}

/// A status keeps whole seconds.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time).min(time)
}

/// Nothing of the step is under way, or nothing is to be done for it but wait.
pub(super) fn rest(status: &mut StepStatus, state: StepState, pause: &Pause, at: &At) {
    status.state = state;
    status.started_at = Some(Time(at.since));
    status.until = pause.until.map(Time);
    status.message = cut(&pause.why, STEP_MESSAGE_MAX_CHARS);
}

/// It could begin, and has not: its time does not run.
pub(super) fn queue(status: &mut StepStatus, pause: &Pause) {
    status.state = StepState::Queued;
    status.started_at = None;
    status.until = pause.until.map(Time);
    status.message = cut(&pause.why, STEP_MESSAGE_MAX_CHARS);
}

/// It acts.
pub(super) fn run(status: &mut StepStatus, effect: &str, at: &At) {
    status.state = StepState::Running;
    status.started_at = Some(Time(at.since));
    status.until = None;
    status.message = cut(effect, STEP_MESSAGE_MAX_CHARS);
}

/// Nothing changes it any more.
pub(super) fn end(status: &mut StepStatus, state: StepState, words: &str, at: &At) {
    status.state = state;
    status.started_at = Some(Time(at.since));
    status.finished_at = Some(Time(whole(at.now)));
    status.until = None;
    status.message = cut(words, STEP_MESSAGE_MAX_CHARS);
}

/// It will not be done.
pub(super) fn skip(status: &mut StepStatus, why: &str) {
    status.state = StepState::Skipped;
    status.until = None;
    status.message = cut(why, STEP_MESSAGE_MAX_CHARS);
}
