//! What is worth telling about a snapshot: the difference of two statuses. Pure.

use crate::api::ConditionType;
use crate::api::snapshot::RagSnapshotStatus;
use crate::conditions::find;
use crate::events::{Event, Severity, transition};

/// What happened between two statuses. Ready says what Stalled says, but where its copy cannot be removed.
pub(super) fn events(old: Option<&RagSnapshotStatus>, new: &RagSnapshotStatus, is_going: bool) -> Vec<Event> {
    let told: &[ConditionType] =
        if is_going { &[ConditionType::Stalled] } else { &[ConditionType::Ready, ConditionType::Verified] };
    let between = |type_: &ConditionType| {
        let before = old.and_then(|old| find(&old.conditions, *type_));
        transition(*type_, before, find(&new.conditions, *type_))
    };
    told.iter().filter_map(between).collect()
}

/// Its copy stays although it was to go with it.
pub(super) fn kept(why: &str) -> Event {
    Event::new(Severity::Warning, "CopyKept", "Remove", why)
}

/// Its copy is gone, or there was none.
pub(super) fn removed(what: &str) -> Event {
    Event::new(Severity::Normal, "CopyRemoved", "Remove", what)
}
