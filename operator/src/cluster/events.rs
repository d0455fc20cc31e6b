//! What is worth telling: the difference of two statuses.
//!
//! Pure. A steady cluster has no difference and emits nothing; a repeat needs a lost status write. Each event says what
//! happened and, where a person has to act, what to do.

use crate::api::{ConditionType, RagClusterStatus};
use crate::conditions::find;
use crate::events::transition;
pub use crate::events::{Event, Severity};

/// A tool that goes on changing the same fields would fill the namespace with events; the status says when it was last.
const PUT_BACK_SECONDS: i64 = 600;

/// What happened between two statuses, in the order of the conditions.
pub fn events(old: Option<&RagClusterStatus>, new: &RagClusterStatus) -> Vec<Event> {
    let mut events = Vec::new();
    events.extend(rollout(old, new));
    for type_ in ConditionType::ALL {
        let before = old.and_then(|old| find(&old.conditions, type_));
        events.extend(transition(type_, before, find(&new.conditions, type_)));
    }
    events.extend(correction(old, new));
    events
}

fn rollout(old: Option<&RagClusterStatus>, new: &RagClusterStatus) -> Option<Event> {
    let before = old.and_then(|old| old.revision.as_deref());
    let after = new.revision.as_deref().filter(|after| before != Some(after))?;
    let note = match before {
        Some(before) => {
            format!("revision {after} replaces {before}; each server is replaced once its successor is ready")
        }
        None => format!("first revision {after}"),
    };
    Some(Event::new(Severity::Normal, "RolloutStarted", "Apply", &note))
}

fn correction(old: Option<&RagClusterStatus>, new: &RagClusterStatus) -> Option<Event> {
    let after = new.last_correction.as_ref()?;
    let before = old.and_then(|old| old.last_correction.as_ref());
    (before != Some(after)).then(|| {
        let note = format!(
            "{} was changed by {} and has been put back: {}; change the RagCluster instead",
            after.object, after.by, after.fields
        );
        let told = Event::new(Severity::Warning, "ChangePutBack", "Apply", &note);
        Event { same_within_seconds: PUT_BACK_SECONDS, ..told }
    })
}
