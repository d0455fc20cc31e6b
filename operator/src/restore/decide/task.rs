//! How a task goes on: its Jobs one after the other, with pauses, as long as another one makes sense.

use jiff::{SignedDuration, Timestamp};

use super::super::names::job_name;
use super::super::observed::{Act, Fault, Seen, Task};
use super::{Asked, Deed, source};
use crate::api::restore::RestoreResult;
use crate::api::steps::StepState;
use crate::job::progress::runs;
use crate::steps::{Look, Pause};

/// The pause before each further attempt. A store that restarts is back after the first, what somebody else holds is free after the
/// last, and what still fails then needs a person.
const PAUSES: [SignedDuration; 4] = [
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(8),
    SignedDuration::from_mins(30),
];

/// The most attempts of a task.
pub const MAX_ATTEMPTS: u32 = 5;

/// How a task stands.
pub(super) enum Going<'a> {
    /// There is no Job of it.
    Absent,
    /// It is under way, or between two attempts.
    UnderWay(Pause),
    /// This attempt comes next.
    Next(u32),
    /// It is done.
    Done(&'a RestoreResult),
    /// It failed for good.
    Failed(&'a Fault),
}

/// How a task stands now.
pub(super) fn going<'a>(asked: &Asked, seen: &'a Seen, task: Task, now: Timestamp) -> Going<'a> {
    let Some(last) = seen.last(task) else { return Going::Absent };
    let job = job_name(&asked.name, task, last.number);
    match &last.act {
        Act::Pending(why) if why.is_empty() => Going::UnderWay(Pause::for_change(format!("Job {job} starts"))),
        Act::Pending(why) => Going::UnderWay(Pause::for_change(format!("Job {job} has not started: {why}"))),
        Act::Running => Going::UnderWay(Pause::for_change(runs(&job, seen.progress.as_ref()))),
        Act::Stopping => Going::UnderWay(Pause::for_change(format!("Job {job} is being stopped"))),
        Act::Done(result) => Going::Done(result),
        Act::Failed(fault) => match pause_after(last.number).filter(|_| fault.may_pass) {
            None => Going::Failed(fault),
            Some(pause) => {
                // Of whom it is not known when it failed, that is long ago.
                let at = fault.at.map_or(now, |failed| failed.checked_add(pause).unwrap_or(now));
                if at <= now {
                    return Going::Next(last.number + 1);
                }
                let why = format!("attempt {} failed and is repeated: {}", last.number, fault.why);
                Going::UnderWay(Pause::until(why, at))
            }
        },
    }
}

/// The pause after this attempt; nothing after the last.
fn pause_after(number: u32) -> Option<SignedDuration> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    PAUSES.get(index).copied()
}

/// A look at a task. `begin` is asked where nothing of it is there yet, `done` what its result means.
pub(super) fn look(
    (asked, task): (&Asked, Task),
    (seen, now): (&Seen, Timestamp),
    begin: impl FnOnce() -> Look<Deed>,
    done: impl FnOnce(&RestoreResult) -> Look<Deed>,
) -> Look<Deed> {
    match going(asked, seen, task, now) {
        Going::Absent => begin(),
        Going::UnderWay(pause) => Look::UnderWay(pause),
        Going::Next(number) => match source(&asked.spec, asked.created_at, seen) {
            // The way back needs no snapshot.
            Err(obstacle) if task != Task::Revert => Look::UnderWay(Pause::for_change(obstacle.why)),
            Ok(_) | Err(_) => Look::Continue(asked.start(task, number)),
        },
        Going::Done(result) => done(result),
        Going::Failed(fault) => Look::Failed(fault.why.clone()),
    }
}

/// Whether the last Job of each task did what it was to, and no step has failed.
pub(super) fn have_succeeded(seen: &Seen) -> bool {
    let is_done = |task: &Task| seen.last(*task).is_none_or(|last| matches!(last.act, Act::Done(_)));
    Task::ALL.iter().all(is_done) && seen.steps.iter().all(|step| step.state != StepState::Failed)
}

/// What stops the Jobs that have not ended; nothing where none is left.
pub(super) fn stopped(asked: &Asked, seen: &Seen) -> Option<Look<Deed>> {
    let (task, tried) = seen.active().find(|(_, tried)| tried.act != Act::Stopping).or_else(|| seen.active().next())?;
    if tried.act == Act::Stopping {
        let job = job_name(&asked.name, task, tried.number);
        return Some(Look::UnderWay(Pause::for_change(format!("Job {job} is being stopped"))));
    }
    Some(Look::Continue(asked.stop(task, tried.number)))
}
