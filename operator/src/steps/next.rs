//! What the operator does next for a cluster, as its status shows it.

use jiff::Timestamp;

use super::lock::{Current, Standing};
use super::step::Rank;
use crate::api::cluster::NextStep;
use crate::api::steps::StepState;
use crate::api::text::cut;

/// As much as the field holds, in characters.
const WHAT_MAX_CHARS: usize = 512;

/// What comes next of every procedure that has not ended: first who is at the disruptive step, then the queue in its order,
/// then those that wait for something else.
pub fn next(standings: &[Standing], now: Timestamp) -> Vec<NextStep> {
    let mut ahead: Vec<(&Standing, &Current)> =
        standings.iter().filter_map(|standing| Some((standing, standing.current.as_ref()?))).collect();
    ahead.sort_by(|one, two| place(one).cmp(&place(two)));
    ahead.into_iter().map(|(standing, current)| words(standing, current, now)).collect()
}

fn place<'a>((standing, current): &(&'a Standing, &'a Current)) -> (u8, Rank<'a>) {
    let group = match current.step.state {
        _ if standing.has_lock() => 0,
        StepState::Queued => 1,
        StepState::Pending
        | StepState::Waiting
        | StepState::Running
        | StepState::Done
        | StepState::Failed
        | StepState::Skipped => 2,
    };
    (group, standing.rank())
}

fn words(standing: &Standing, current: &Current, now: Timestamp) -> NextStep {
    let step = &current.step;
    let verb = match step.started_at {
        None => "begin",
        Some(_) => "finish",
    };
    let why = if step.message.is_empty() { String::new() } else { format!(": {}", step.message) };
    let what = format!("{}: {verb} step {} of {} ({}){why}", standing.name, step.number, current.of, step.name);
    NextStep { at: step.until.clone().filter(|until| until.0 > now), what: cut(&what, WHAT_MAX_CHARS) }
}
