//! What a person reads about a restore: what is seen and where its steps are become the new status. Pure.
//!
//! A restore that has ended keeps its status: its Jobs may be gone by then, and what they found stays said.

mod full_drill;

use jiff::Timestamp;

use super::decide::{self, changes, min_recall_percent, source, step};
use super::observed::{Act, Fault, Seen, Task};
use crate::api::restore::{RagRestore, RagRestoreStatus, RestoreMode, RestoreResult};
use crate::api::steps::{StepState, StepStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::{Finding, State, find, merge};
use crate::steps::{Advance, Answer};

/// The status after a pass.
pub fn status(restore: &RagRestore, seen: &Seen, advance: &Advance<decide::Deed>, now: Timestamp) -> RagRestoreStatus {
    let previous = restore.status.clone().unwrap_or_default();
    let generation = restore.metadata.generation;
    let result = result(restore, seen).or_else(|| previous.result.clone());
    let findings = match &advance.answer {
        Answer::Done => done(restore, result.as_ref()),
        Answer::Failed { why } => {
            let reason = failure(restore, seen, &advance.steps);
            let remedy = remedy_for(restore, &advance.steps, reason);
            failed(reason, &remedy.map_or_else(|| why.clone(), |remedy| format!("{why}; {remedy}")))
        }
        Answer::Wait(_) | Answer::Record | Answer::Do { .. } => under_way(restore, seen, &advance.steps),
    };
    RagRestoreStatus {
        observed_generation: generation,
        result,
        progress: seen.progress.clone(),
        steps: advance.steps.clone(),
        conditions: merge(&previous.conditions, findings, generation, now),
    }
}

/// Whether it has ended: nothing of its status changes any more.
pub fn has_ended(restore: &RagRestore) -> bool {
    let Some(status) = &restore.status else { return false };
    let settled = find(&status.conditions, ConditionType::Reconciling).is_some_and(|found| found.status == "False");
    settled && status.observed_generation == restore.metadata.generation
}

/// What it came to so far: what a Job reported, or at least of which snapshot it is.
fn result(restore: &RagRestore, seen: &Seen) -> Option<RestoreResult> {
    if restore.spec.in_namespace.is_some() {
        return full_drill::result(restore, seen);
    }
    let task = match restore.spec.mode {
        RestoreMode::Drill => Task::Drill,
        RestoreMode::InPlace => Task::Restore,
    };
    let asked = source(&restore.spec, decide::created_at(restore), seen).ok();
    match seen.last(task).map(|tried| &tried.act) {
        Some(Act::Done(result)) => {
            // What is recorded of the destination stands: the cluster may name another one by now.
            let recorded = seen.recorded.as_ref().map(|recorded| recorded.destination.clone());
            let destination = recorded.filter(|named| !named.is_empty()).or(asked.map(|asked| asked.destination));
            let result = RestoreResult { destination: destination.unwrap_or_default(), ..result.clone() };
            Some(if restore.spec.dry_run { of_preview(result) } else { result })
        }
        Some(_) if seen.recorded.is_none() => {
            let asked = asked?;
            Some(RestoreResult { snapshot: asked.name?, destination: asked.destination, ..RestoreResult::default() })
        }
        Some(_) | None => None,
    }
}

/// Nothing was built, searched or measured.
fn of_preview(result: RestoreResult) -> RestoreResult {
    let (epoch, previous_epoch, recall_percent) = (None, None, None);
    RestoreResult { epoch, previous_epoch, recall_percent, rto_seconds: None, rto: None, ..result }
}

fn done(restore: &RagRestore, result: Option<&RestoreResult>) -> Vec<Finding> {
    let snapshot = result.map_or("the newest snapshot", |result| result.snapshot.as_str());
    let (reason, message) = match (restore.spec.mode, restore.spec.dry_run) {
        (_, true) => (
            ConditionReason::Previewed,
            result.filter(|result| result.changes.is_some()).map_or_else(
                || "everything that is needed is there; nothing was done, as spec.dryRun asks".to_owned(),
                |result| format!("{}; nothing was done, as spec.dryRun asks", changes(result)),
            ),
        ),
        (RestoreMode::Drill, false) => (ConditionReason::Passed, passed(restore, snapshot, result)),
        (RestoreMode::InPlace, false) => {
            let cluster = &restore.spec.cluster;
            (ConditionReason::Restored, format!("RagCluster {cluster} answers from snapshot {snapshot}"))
        }
    };
    let settled = "it has been done, and is not done again: create another RagRestore";
    vec![
        Finding::new(ConditionType::Ready, State::True, reason, message),
        Finding::new(ConditionType::Reconciling, State::False, ConditionReason::Settled, settled),
        Finding::new(ConditionType::Stalled, State::False, ConditionReason::Unhindered, "nothing is in the way"),
    ]
}

fn passed(restore: &RagRestore, snapshot: &str, result: Option<&RestoreResult>) -> String {
    let namespace = restore.spec.in_namespace.as_ref();
    let place = namespace.map(|there| format!(" into a cluster of its own in namespace {there}")).unwrap_or_default();
    let figures = result.and_then(|result| Some((result.rto.as_deref()?, result.recall_percent?)));
    match figures {
        Some((rto, found)) => format!(
            "snapshot {snapshot} was restored{place} in {rto}; {found:.1}% of the recorded passages were found again"
        ),
        None => format!("snapshot {snapshot} was restored{place}"),
    }
}

fn failed(reason: ConditionReason, message: &str) -> Vec<Finding> {
    vec![
        Finding::new(ConditionType::Ready, State::False, reason, message),
        Finding::new(
            ConditionType::Reconciling,
            State::False,
            ConditionReason::Settled,
            "stalled; see condition Stalled",
        ),
        Finding::new(ConditionType::Stalled, State::True, reason, message),
    ]
}

/// How it goes on. After a failure the reason is that of the failure, while what cleans up is taken.
fn under_way(restore: &RagRestore, seen: &Seen, steps: &[StepStatus]) -> Vec<Finding> {
    let current = steps.iter().find(|step| !step.state.is_final());
    let message = current.map_or_else(String::new, |step| {
        let (number, of, name) = (step.number, steps.len(), &step.name);
        format!("step {number} of {of} ({name}): {}", step.message)
    });
    let reason = if steps.iter().any(|step| step.state == StepState::Failed) {
        failure(restore, seen, steps)
    } else {
        current.map_or(ConditionReason::Progressing, |step| progress(restore, seen, step))
    };
    vec![
        Finding::new(ConditionType::Ready, State::False, reason, message.clone()),
        Finding::new(ConditionType::Reconciling, State::True, ConditionReason::Progressing, message),
        Finding::new(ConditionType::Stalled, State::False, ConditionReason::Unhindered, "nothing is in the way"),
    ]
}

/// What is being done, in a word.
fn progress(restore: &RagRestore, seen: &Seen, current: &StepStatus) -> ConditionReason {
    match current.state {
        StepState::Running => match current.name.as_str() {
            step::VERIFY => ConditionReason::Verifying,
            step::SNAPSHOT => ConditionReason::Snapshotting,
            step::RESTORE | step::PREVIEW => ConditionReason::Restoring,
            step::DRILL | step::CLUSTER | step::RECOVER | step::REMOVE => ConditionReason::Drilling,
            _ => ConditionReason::Progressing,
        },
        StepState::Pending
        | StepState::Waiting
        | StepState::Queued
        | StepState::Done
        | StepState::Failed
        | StepState::Skipped => {
            let obstacle = source(&restore.spec, decide::created_at(restore), seen).err();
            obstacle.map_or(ConditionReason::WaitsForTurn, |obstacle| obstacle.reason)
        }
    }
}

/// The class of the cause for which it failed. What was said when the step failed stays said, whatever has gone since, but for
/// what became of the way back.
fn failure(restore: &RagRestore, seen: &Seen, steps: &[StepStatus]) -> ConditionReason {
    let Some(failed) = steps.iter().find(|step| step.state == StepState::Failed) else {
        return ConditionReason::Failed;
    };
    let state = |name: &str| steps.iter().find(|step| step.name == name).map(|step| step.state);
    if failed.name == step::VERIFY {
        return match (seen.last(Task::Revert).map(|tried| &tried.act), state(step::REVERT)) {
            // Though it came after the step's time.
            (Some(Act::Done(_)), _) => ConditionReason::Reverted,
            (_, Some(StepState::Failed)) => ConditionReason::RevertFailed,
            _ => ConditionReason::NotVerified,
        };
    }
    if seen.recorded_state(&failed.name) == StepState::Failed
        && let Some(said) = said_before(restore)
    {
        return said;
    }
    if restore.spec.in_namespace.is_some() {
        return full_drill::failure(restore, seen, &failed.name);
    }
    match failed.name.as_str() {
        step::CHECK => source(&restore.spec, decide::created_at(restore), seen)
            .err()
            .map_or(ConditionReason::Timeout, |obstacle| obstacle.reason),
        step::SNAPSHOT => ConditionReason::SnapshotFailed,
        step::DRILL => of_job(seen, Task::Drill, Some(min_recall_percent(&restore.spec, seen))),
        step::RESTORE | step::PREVIEW => of_job(seen, Task::Restore, None),
        step::REVERT => ConditionReason::RevertFailed,
        _ => ConditionReason::Failed,
    }
}

/// Why the step of a Job failed: for what the Job says, or for its deadline.
fn of_job(seen: &Seen, task: Task, min_recall_percent: Option<i32>) -> ConditionReason {
    match seen.last(task).map(|tried| &tried.act) {
        Some(Act::Failed(Fault { reason, .. })) => *reason,
        Some(Act::Done(_)) if min_recall_percent.is_some() => ConditionReason::RecallTooLow,
        Some(Act::Pending(_) | Act::Running | Act::Stopping | Act::Done(_)) | None => ConditionReason::Timeout,
    }
}

/// The reason that stands in Ready, if it is one of ours.
fn said_before(restore: &RagRestore) -> Option<ConditionReason> {
    let conditions = &restore.status.as_ref()?.conditions;
    let ready = find(conditions, ConditionType::Ready)?;
    ConditionReason::ALL.iter().copied().find(|reason| reason.as_str() == ready.reason)
}

/// What a person can do about a failure; nothing where that has been said.
fn remedy_for(restore: &RagRestore, steps: &[StepStatus], reason: ConditionReason) -> Option<&'static str> {
    if restore.spec.in_namespace.is_some() {
        let failed = steps.iter().find(|step| step.state == StepState::Failed)?;
        return full_drill::remedy(reason, &failed.name);
    }
    remedy(reason, switch_is_open(steps, reason))
}

/// Whether nobody knows if the switch was made: the Job was to make it, and has left no word of how it ended.
fn switch_is_open(steps: &[StepStatus], reason: ConditionReason) -> bool {
    let failed = steps.iter().find(|step| step.state == StepState::Failed);
    failed.is_some_and(|step| step.name == step::RESTORE)
        && matches!(reason, ConditionReason::Timeout | ConditionReason::Failed)
}

/// What a person can do about it; nothing where that has been said.
fn remedy(reason: ConditionReason, switch_is_open: bool) -> Option<&'static str> {
    Some(match reason {
        _ if switch_is_open => {
            "the switch may have been made: see in /ops/status of the servers which epoch they search, before you create another \
             RagRestore"
        }
        ConditionReason::Skipped | ConditionReason::NoRoom => "give the store room for a second copy of the corpus",
        ConditionReason::RecallTooLow | ConditionReason::Damaged => {
            "do not rely on this snapshot: take another one, and drill it"
        }
        ConditionReason::Untrusted => "find out who writes to the archive, and restore an older snapshot",
        ConditionReason::KeyMissing => {
            "put the identity with which the snapshot was encrypted into the Secret of spec.snapshots.encryption"
        }
        ConditionReason::ModelMismatch => "give the RagCluster the embedding of the snapshot",
        ConditionReason::Unsupported => return None,
        ConditionReason::AuthFailed => "correct the Secret of the destination",
        ConditionReason::SnapshotFailed => {
            "nothing was restored; see the RagSnapshot, and create another RagRestore when one can be taken"
        }
        ConditionReason::Reverted => "what was served before is served again; try another snapshot",
        ConditionReason::RevertFailed | ConditionReason::NotVerified => {
            "what is served is not proven: see the servers' log, and go back with: rag-server snapshot revert"
        }
        _ => "nothing that is served was changed; create another RagRestore when the cause is gone",
    })
}
