//! What is said of a full drill where it differs from what is said of the others. Pure.

use super::super::decide::{self, min_recall_percent, source, step};
use super::super::observed::{Recovery, Seen};
use crate::api::ConditionReason;
use crate::api::restore::{RagRestore, RestoreResult};

/// What it came to so far: the figures of the whole, or at least of which snapshot it is.
pub(super) fn result(restore: &RagRestore, seen: &Seen) -> Option<RestoreResult> {
    let asked = source(&restore.spec, decide::created_at(restore), seen).ok();
    let there = seen.elsewhere.as_ref()?;
    let recovery = there.recovery.as_ref().filter(|found| found.is_ours);
    if let Some(Recovery::Done(result)) = recovery.map(|found| &found.state) {
        return Some((**result).clone());
    }
    let asked = asked.filter(|_| seen.recorded.is_none() && there.cluster.is_some())?;
    Some(RestoreResult { snapshot: asked.name?, destination: asked.destination, ..RestoreResult::default() })
}

/// The class of the cause for which its step failed.
pub(super) fn failure(restore: &RagRestore, seen: &Seen, failed: &str) -> ConditionReason {
    let obstacle = source(&restore.spec, decide::created_at(restore), seen).err().map(|obstacle| obstacle.reason);
    let Some(there) = &seen.elsewhere else { return obstacle.unwrap_or(ConditionReason::Timeout) };
    let has_lost_cluster = there.cluster.as_ref().is_none_or(|found| found.is_going);
    match failed {
        step::CLUSTER => match &there.cluster {
            Some(found) if !found.is_ours => ConditionReason::NameTaken,
            Some(found) if found.is_going => ConditionReason::Failed,
            Some(_) => ConditionReason::Timeout,
            None => obstacle.unwrap_or(ConditionReason::Timeout),
        },
        step::RECOVER => match &there.recovery {
            Some(found) if !found.is_ours => ConditionReason::NameTaken,
            Some(found) => match &found.state {
                Recovery::Failed { reason, .. } => *reason,
                Recovery::Done(result) => of_figures(result, min_recall_percent(&restore.spec, seen)),
                Recovery::UnderWay(_) if found.is_going => ConditionReason::Failed,
                Recovery::UnderWay(_) => ConditionReason::Timeout,
            },
            None if has_lost_cluster => obstacle.unwrap_or(ConditionReason::Failed),
            None => obstacle.unwrap_or(ConditionReason::Timeout),
        },
        step::REMOVE => ConditionReason::RemovalFailed,
        _ => obstacle.unwrap_or(ConditionReason::Timeout),
    }
}

fn of_figures(result: &RestoreResult, min_recall_percent: i32) -> ConditionReason {
    match result.recall_percent {
        Some(found) if found >= f64::from(min_recall_percent) => ConditionReason::Timeout,
        Some(_) | None => ConditionReason::RecallTooLow,
    }
}

/// What a person can do about it. Most of it has been said by whoever it was found out by.
pub(super) fn remedy(reason: ConditionReason, failed: &str) -> Option<&'static str> {
    match (reason, failed) {
        (ConditionReason::RemovalFailed, _) => Some("see what holds what is left of it there; it is tried on"),
        (ConditionReason::Timeout, step::CLUSTER) => {
            Some("see the events of the other namespace, and create another RagRestore")
        }
        _ => None,
    }
}
