//! One pass over a procedure: what it waits for, what it does, or how it ended.

use jiff::SignedDuration;

use super::lock::{self, Turn};
use super::record;
use super::step::{At, Effect, Look, Pause, Procedure, Step};
use crate::api::steps::{StepState, StepStatus};

/// What a pass comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Advance<E> {
    /// The record as it is to be written, where it differs from the one that was read.
    pub steps: Vec<StepStatus>,
    /// What is to be done then.
    pub answer: Answer<E>,
}

/// What a procedure is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<E> {
    /// Nothing, before this time or before something changes.
    Wait(Pause),
    /// Write the record and ask again: nothing is done that is not announced.
    Record,
    /// Carry this out.
    Do {
        /// What.
        effect: E,
        /// The step fails when it is not done in this time; an answer that takes longer is not waited for.
        within: SignedDuration,
    },
    /// Nothing any more: every step is done.
    Done,
    /// Nothing any more: a step failed, and what cleans up after it has been taken.
    Failed {
        /// Which step, and why.
        why: String,
    },
}

/// Takes the procedure as far as it comes by looking, up to the first step that waits or acts.
pub fn advance<S, E: Effect>(
    procedure: &Procedure<S, E>,
    recorded: &[StepStatus],
    seen: &S,
    turn: &Turn<'_>,
) -> Advance<E> {
    let mut steps = record::aligned(procedure, recorded);
    let mut has_failed = record::first_failure(&steps).is_some();
    let mut answer = None;
    for (step, status) in procedure.steps.iter().zip(steps.iter_mut()) {
        if record::is_ahead(step, status, has_failed) {
            answer = take(procedure, step, status, seen, turn);
        } else if !status.state.is_final() {
            record::skip(status, "an earlier step failed");
        }
        if answer.is_some() {
            break;
        }
        has_failed |= status.state == StepState::Failed;
    }
    let answer = answer.unwrap_or_else(|| ended(&steps));
    Advance { steps, answer }
}

/// Looks, and takes the step as far as it comes now. No answer: it has ended, and the next one is looked at.
fn take<S, E: Effect>(
    procedure: &Procedure<S, E>,
    step: &Step<S, E>,
    status: &mut StepStatus,
    seen: &S,
    turn: &Turn<'_>,
) -> Option<Answer<E>> {
    let since = record::since(status, turn.now);
    let at = At { now: turn.now, since, elapsed: turn.now.duration_since(since).min(turn.awake) };
    let left = step.deadline.saturating_sub(at.elapsed);
    match step.look(seen, &at) {
        // What is done is done, however late.
        Look::Done(words) => record::end(status, StepState::Done, &words, &at),
        Look::Failed(why) => record::end(status, StepState::Failed, &why, &at),
        late if left <= SignedDuration::ZERO => {
            let why = format!("not done within {:#}: {}", step.deadline, late.words());
            record::end(status, StepState::Failed, &why, &at);
        }
        Look::Wait(pause) => return Some(rest(status, StepState::Waiting, pause, &at, left)),
        Look::UnderWay(pause) => return Some(rest(status, StepState::Running, pause, &at, left)),
        Look::Continue(effect) => return Some(act(status, effect, &at, left)),
        Look::Begin(effect) => {
            let is_running = status.state == StepState::Running;
            return Some(match lock::permit(procedure, step, is_running, turn) {
                Ok(()) => act(status, effect, &at, left),
                Err(pause) => {
                    record::queue(status, &pause);
                    Answer::Wait(pause)
                }
            });
        }
    }
    None
}

fn rest<E>(status: &mut StepStatus, state: StepState, pause: Pause, at: &At, left: SignedDuration) -> Answer<E> {
    record::rest(status, state, &pause, at);
    let deadline = at.now.checked_add(left).ok();
    Answer::Wait(Pause { until: [pause.until, deadline].into_iter().flatten().min(), ..pause })
}

/// An effect follows its record: whoever comes after a crash, and every other procedure, knows that it may have been made.
fn act<E: Effect>(status: &mut StepStatus, effect: E, at: &At, left: SignedDuration) -> Answer<E> {
    let was_announced = status.state == StepState::Running;
    record::run(status, &effect.name(), at);
    if was_announced { Answer::Do { effect, within: left } } else { Answer::Record }
}

fn ended<E>(steps: &[StepStatus]) -> Answer<E> {
    record::first_failure(steps).map_or(Answer::Done, |failed| Answer::Failed {
        why: format!("step {} of {} ({}): {}", failed.number, steps.len(), failed.name, failed.message),
    })
}
