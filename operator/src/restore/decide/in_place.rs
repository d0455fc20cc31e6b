//! A restore of what is served: what is there is kept in a snapshot first, the restore is one switch, and where what is searched
//! since is not what the snapshot holds, the former state is searched again.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::names::before_name;
use super::super::observed::{Act, Seen, SnapshotState, Task};
use super::{Asked, Deed, check, in_turn, min_recall_percent, refusal, settle, source, step, task};
use crate::api::ConditionReason;
use crate::api::restore::{RestoreChanges, RestoreResult};
use crate::api::steps::StepState;
use crate::steps::{Disruption, Look, Pause, Step};

/// The Jobs of a RagSnapshot have a deadline of their own; this is for one that nobody takes.
const SNAPSHOT_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Each Job ends by itself after [`super::super::build::JOB_WITHIN`], and a store that comes back is worth another attempt.
const RESTORE_WITHIN: SignedDuration = SignedDuration::from_hours(12);

/// Servers follow a switch within seconds, and are asked every few; one that starts meanwhile loads its model first.
const VERIFY_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// It moves a pointer back; the rest of the time is for a store that is away.
const REVERT_WITHIN: SignedDuration = SignedDuration::from_hours(2);

pub(super) fn steps(asked: &Arc<Asked>) -> Vec<Step<Seen, Deed>> {
    vec![check(asked), snapshot(asked), restore(asked), verify(asked), revert(asked), settle(asked)]
}

pub(super) fn preview(asked: &Arc<Asked>) -> Vec<Step<Seen, Deed>> {
    vec![check(asked), look_ahead(asked), settle(asked)]
}

/// A snapshot of what is served. Where there is nothing to take, there is nothing to lose.
fn snapshot(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::new(step::SNAPSHOT, Disruption::None, SNAPSHOT_WITHIN, move |seen: &Seen, _| {
        let Some(before) = &seen.before else {
            return in_turn(&asked, seen, step::SNAPSHOT, || Deed::Snapshot { name: before_name(&asked.name) });
        };
        let name = &before.name;
        if before.asked_by.as_deref() != Some(asked.uid.as_str()) {
            let why = format!(
                "RagSnapshot {name} exists and was not taken for this restore; delete it (its archive stays), and create another \
                 RagRestore"
            );
            return Look::Failed(why);
        }
        match &before.state {
            SnapshotState::Taken(archived) => Look::Done(format!(
                "what was served is snapshot {} of destination {}",
                archived.name, archived.destination
            )),
            SnapshotState::Taking(why) => Look::UnderWay(Pause::for_change(format!("RagSnapshot {name}: {why}"))),
            SnapshotState::Failed { reason, .. } if *reason == ConditionReason::NothingToTake.as_str() => {
                Look::Done("there is nothing that a restore could overwrite".to_owned())
            }
            SnapshotState::Failed { why, .. } => Look::Failed(format!("RagSnapshot {name} was not taken: {why}")),
        }
    })
}

/// Begins with this deed, unless something is in the way.
fn if_ready(asked: &Asked, seen: &Seen, deed: impl FnOnce() -> Deed) -> Look<Deed> {
    match source(&asked.spec, asked.created_at, seen) {
        Ok(_) => Look::Begin(deed()),
        Err(obstacle) => refusal(obstacle),
    }
}

fn restore(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::new(step::RESTORE, Disruption::Urgent, RESTORE_WITHIN, move |seen: &Seen, at| {
        let begin = || if_ready(&asked, seen, || asked.start(Task::Restore, 1));
        let done =
            |result: &RestoreResult| Look::Done(format!("snapshot {} is searched{}", result.snapshot, epochs(result)));
        task::look((&asked, Task::Restore), (seen, at.now), begin, done)
    })
}

/// What a restore would change. The same command with another flag, and without the lock.
fn look_ahead(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::new(step::PREVIEW, Disruption::None, RESTORE_WITHIN, move |seen: &Seen, at| {
        let begin = || if_ready(&asked, seen, || asked.start(Task::Restore, 1));
        let done = |result: &RestoreResult| Look::Done(changes(result));
        task::look((&asked, Task::Restore), (seen, at.now), begin, done)
    })
}

fn epochs(result: &RestoreResult) -> String {
    match (result.epoch, result.previous_epoch) {
        (Some(epoch), Some(previous)) => format!(" as epoch {epoch}; epoch {previous} is kept"),
        (Some(epoch), None) => format!(" as epoch {epoch}"),
        (None, _) => String::new(),
    }
}

/// What a restore changes, in words.
pub(in super::super) fn changes(result: &RestoreResult) -> String {
    let snapshot = &result.snapshot;
    result.changes.as_ref().map_or_else(
        || format!("snapshot {snapshot} can be restored; what it would change is not known"),
        |RestoreChanges { added, changed, removed, unchanged }| {
            format!(
                "snapshot {snapshot} would add {added} documents, change {changed}, remove {removed}, and leave {unchanged} as \
                 they are"
            )
        },
    )
}

/// What is known of what is searched since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is what the snapshot holds, and every server that answers searches it.
    Yes(String),
    /// Not yet: a server has not followed.
    NotYet(String),
    /// It is not, and why.
    No(String),
}

/// What the last restore came to: by its Job, or as it is recorded.
fn result(seen: &Seen) -> Option<&RestoreResult> {
    match seen.last(Task::Restore).map(|tried| &tried.act) {
        Some(Act::Done(result)) => Some(result),
        Some(_) => None,
        None => seen.recorded.as_ref().filter(|recorded| recorded.epoch.is_some()),
    }
}

/// Whether what is searched since is what the snapshot holds.
pub fn verified(seen: &Seen, min_recall_percent: i32) -> Verified {
    let Some(result) = result(seen) else {
        return Verified::No("the Job of the restore is gone, and what it reported with it".to_owned());
    };
    match result.recall_percent {
        Some(found) if found >= f64::from(min_recall_percent) => {}
        Some(found) => {
            let why = format!("only {found:.1}% of the recorded passages are found, and {min_recall_percent}% must be");
            return Verified::No(why);
        }
        None => return Verified::No("the report does not say how many of the recorded passages are found".to_owned()),
    }
    let Some(epoch) = result.epoch else { return Verified::No("the report names no epoch".to_owned()) };
    let mut answering = seen.servers.iter().filter(|server| server.has_answered).peekable();
    if answering.peek().is_none() {
        return Verified::NotYet(format!("no server has said yet that it searches epoch {epoch}"));
    }
    match answering.find(|server| server.epoch != Some(epoch)) {
        Some(lagging) => {
            let searched = lagging.epoch.map_or_else(|| "no epoch".to_owned(), |searched| format!("epoch {searched}"));
            Verified::NotYet(format!("pod {} searches {searched}, not epoch {epoch}", lagging.pod))
        }
        None => Verified::Yes(format!("every server that answers searches epoch {epoch}")),
    }
}

/// The switch is done when it is verified: the lock is kept from the one to the other.
fn verify(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::new(step::VERIFY, Disruption::Urgent, VERIFY_WITHIN, move |seen: &Seen, _| {
        match verified(seen, min_recall_percent(&asked.spec, seen)) {
            Verified::Yes(words) => Look::Done(words),
            Verified::NotYet(why) => Look::UnderWay(Pause::for_change(why)),
            Verified::No(why) => Look::Failed(why),
        }
    })
}

/// Back to what was searched before, where the switch was made and what is searched since was found wrong. It begins where the
/// verification ends, so that nobody else gets the lock between them.
fn revert(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    let step = Step::new(step::REVERT, Disruption::Urgent, REVERT_WITHIN, move |seen: &Seen, at| {
        let restores = seen.last(Task::Restore).filter(|tried| tried.act.is_active());
        if let Some(look) = restores.and_then(|_| task::stopped(&asked, seen)) {
            return look;
        }
        let begin = || taken_back(&asked, seen);
        let done = |_: &RestoreResult| Look::Done("what was searched before is searched again".to_owned());
        task::look((&asked, Task::Revert), (seen, at.now), begin, done)
    });
    step.that_cleans_up()
}

fn taken_back(asked: &Asked, seen: &Seen) -> Look<Deed> {
    let has_switched = |result: &&RestoreResult| result.epoch.is_some() && result.epoch != result.previous_epoch;
    let Some(switched) = result(seen).filter(has_switched) else {
        return Look::Done("no Job has reported a switch: there is nothing to take back".to_owned());
    };
    if switched.previous_epoch.is_none() {
        return Look::Done("nothing of what was served before is kept: there is nothing to go back to".to_owned());
    }
    let stays = || Look::Done(format!("snapshot {} stays", switched.snapshot));
    match seen.recorded_state(step::VERIFY) {
        StepState::Failed => Look::Continue(asked.start(Task::Revert, 1)),
        StepState::Done | StepState::Skipped => stays(),
        // It has ended in this very pass, and has seen the same: servers that follow after it had failed change nothing.
        StepState::Pending | StepState::Waiting | StepState::Queued | StepState::Running => {
            match verified(seen, min_recall_percent(&asked.spec, seen)) {
                Verified::Yes(_) => stays(),
                Verified::NotYet(_) | Verified::No(_) => Look::Continue(asked.start(Task::Revert, 1)),
            }
        }
    }
}
