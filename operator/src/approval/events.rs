//! What is worth telling about an approval: the difference of two statuses. Pure.

use crate::api::approval::ScaleApprovalStatus;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::events::{Event, Severity, transition};

/// What happened between two statuses. Ready says it all; that the end is near is told although it still is.
pub(super) fn events(old: Option<&ScaleApprovalStatus>, new: &ScaleApprovalStatus) -> Vec<Event> {
    let before = old.and_then(|old| find(&old.conditions, ConditionType::Ready));
    let after = find(&new.conditions, ConditionType::Ready);
    let ends_soon = ConditionReason::EndsSoon.as_str();
    let event = match after.filter(|after| after.reason == ends_soon) {
        Some(after) => before.is_none_or(|before| before.reason != ends_soon).then(|| {
            let note = format!("{}: {}", ConditionType::Ready, after.message);
            Event::new(Severity::Warning, ends_soon, "Report", &note)
        }),
        None => transition(ConditionType::Ready, before, after),
    };
    event.into_iter().collect()
}
