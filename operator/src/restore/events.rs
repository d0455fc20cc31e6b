//! What is worth telling about a restore: the difference of two statuses. Pure.

use super::decide::step;
use crate::api::restore::RagRestoreStatus;
use crate::api::steps::{StepState, StepStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::events::{Event, Severity, transition};

/// The reason of the event that what was found wrong is taken back.
const REVERTING: &str = "Reverting";

/// What happened between two statuses: what was begun, and how it ended.
pub(super) fn events(old: Option<&RagRestoreStatus>, new: &RagRestoreStatus) -> Vec<Event> {
    let before: &[StepStatus] = old.map(|old| old.steps.as_slice()).unwrap_or_default();
    let mut events: Vec<Event> = new.steps.iter().filter_map(|after| begun(before, after, &new.steps)).collect();
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
fn begun(before: &[StepStatus], after: &StepStatus, steps: &[StepStatus]) -> Option<Event> {
    let was = before.iter().find(|step| step.name == after.name).map_or(StepState::Pending, |step| step.state);
    if after.state != StepState::Running || was == StepState::Running {
        return None;
    }
    let was_wrong = || steps.iter().any(|step| step.name == step::VERIFY && step.state == StepState::Failed);
    let (severity, reason, what) = match after.name.as_str() {
        step::SNAPSHOT => {
            (Severity::Normal, ConditionReason::Snapshotting.as_str(), "what is served is kept in a snapshot first")
        }
        step::RESTORE => {
            let what = "writes are refused until it is done, and queries answered";
            (Severity::Normal, ConditionReason::Restoring.as_str(), what)
        }
        step::PREVIEW => (Severity::Normal, ConditionReason::Restoring.as_str(), "only to say what it would change"),
        step::CLUSTER | step::RECOVER => {
            let what = "nothing that is served in this namespace changes";
            (Severity::Normal, ConditionReason::Drilling.as_str(), what)
        }
        step::DRILL => (Severity::Normal, ConditionReason::Drilling.as_str(), "nothing that is served changes"),
        // Otherwise it only stops what was not done in time.
        step::REVERT if was_wrong() => (Severity::Warning, REVERTING, "what was served before is to be served again"),
        _ => return None,
    };
    Some(Event::new(severity, reason, "Restore", &format!("{}: {what}", after.message)))
}
