//! What is worth telling about a restore: the difference of two statuses. Pure.

use super::decide::step;
use crate::api::restore::RagRestoreStatus;
use crate::api::steps::{StepState, StepStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::events::{Event, Severity, transition};

/// What happened between two statuses: what was begun, and how it ended.
pub(super) fn events(old: Option<&RagRestoreStatus>, new: &RagRestoreStatus) -> Vec<Event> {
    let before: &[StepStatus] = old.map(|old| old.steps.as_slice()).unwrap_or_default();
    let mut events: Vec<Event> = new.steps.iter().filter_map(|after| begun(before, after)).collect();
    let ready = |status: &RagRestoreStatus| find(&status.conditions, ConditionType::Ready).cloned();
    let has_ended = |status: &RagRestoreStatus| {
        find(&status.conditions, ConditionType::Reconciling).is_some_and(|found| found.status == "False")
    };
    // What it is about to do, or waits for, is told by the steps.
    if has_ended(new) && !old.is_some_and(has_ended) {
        events.extend(transition(ConditionType::Ready, None, ready(new).as_ref()));
    }
    events
}

/// A step that does something, when it begins to.
fn begun(before: &[StepStatus], after: &StepStatus) -> Option<Event> {
    let was = before.iter().find(|step| step.name == after.name).map_or(StepState::Pending, |step| step.state);
    if after.state != StepState::Running || was == StepState::Running {
        return None;
    }
    let (severity, reason, what) = match after.name.as_str() {
        step::SNAPSHOT => {
            (Severity::Normal, ConditionReason::Snapshotting, "what is served is kept in a snapshot first")
        }
        step::RESTORE => {
            (Severity::Normal, ConditionReason::Restoring, "writes are refused until it is done, and queries answered")
        }
        step::PREVIEW => (Severity::Normal, ConditionReason::Restoring, "only to say what it would change"),
        step::DRILL => (Severity::Normal, ConditionReason::Drilling, "nothing that is served changes"),
        step::REVERT => (Severity::Warning, ConditionReason::Reverting, "what was served before is to be served again"),
        _ => return None,
    };
    Some(Event::new(severity, reason.as_str(), "Restore", &format!("{}: {what}", after.message)))
}
