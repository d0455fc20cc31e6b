//! What is worth telling: the difference of two statuses.
//!
//! Pure. A steady cluster has no difference and emits nothing; a repeat needs a lost status write. Each event says what
//! happened and, where a person has to act, what to do.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{ConditionReason, ConditionType, RagClusterStatus};

/// The API server refuses longer notes.
const NOTE_MAX_BYTES: usize = 1024;

/// The same event of the same object within this time is one event: a pass that was cut off after publishing repeats it.
pub const REPEATED_SECONDS: i64 = 10;

/// A tool that goes on changing the same fields would fill the namespace with events; the status says when it was last.
const PUT_BACK_SECONDS: i64 = 600;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look.
    pub severity: Severity,
    /// The class of what happened, for machines.
    pub reason: String,
    /// What the operator was doing.
    pub action: String,
    /// What happened and what to do, for people.
    pub note: String,
    /// Time is cut into windows this long; within one of them, the same about the same object is told once.
    pub same_within_seconds: i64,
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// No.
    Normal,
    /// Yes.
    Warning,
}

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
    Some(event(Severity::Normal, "RolloutStarted", "Apply", &note))
}

/// A condition is told when it turns bad, when its bad reason changes, and when it turns good again.
fn transition(type_: ConditionType, before: Option<&Condition>, after: Option<&Condition>) -> Option<Event> {
    let was_bad = before.is_some_and(|before| is_bad(type_, before));
    let Some(after) = after else {
        let over = format!("{type_} no longer applies");
        return was_bad.then(|| event(Severity::Normal, &format!("{type_}Over"), "Report", &over));
    };
    if is_bad(type_, after) {
        let is_told = was_bad && before.is_some_and(|before| before.reason == after.reason);
        let kind = match type_ {
            ConditionType::ReadOnly => Severity::Normal,
            _ => Severity::Warning,
        };
        return (!is_told).then(|| event(kind, &after.reason, "Report", &format!("{type_}: {}", after.message)));
    }
    let is_good = is_good(type_, after);
    let becomes_ready =
        type_ == ConditionType::Ready && is_good && before.is_none_or(|before| !self::is_good(type_, before));
    let is_paused_now = is_paused(after) && !before.is_some_and(is_paused);
    (becomes_ready || was_bad && is_good || is_paused_now)
        .then(|| event(Severity::Normal, &after.reason, "Report", &format!("{type_}: {}", after.message)))
}

/// Reconciling is an ordinary state, and so is what has never been up.
fn is_bad(type_: ConditionType, condition: &Condition) -> bool {
    let is_ordinary =
        [ConditionReason::Starting, ConditionReason::Scaling, ConditionReason::NoneReady, ConditionReason::SomeReady]
            .iter()
            .any(|reason| reason.as_str() == condition.reason);
    type_ != ConditionType::Reconciling && condition.status == type_.bad_status() && !is_ordinary
}

fn is_good(type_: ConditionType, condition: &Condition) -> bool {
    condition.status != type_.bad_status() && condition.status != "Unknown"
}

fn is_paused(condition: &Condition) -> bool {
    condition.reason == ConditionReason::Paused.as_str()
}

fn correction(old: Option<&RagClusterStatus>, new: &RagClusterStatus) -> Option<Event> {
    let after = new.last_correction.as_ref()?;
    let before = old.and_then(|old| old.last_correction.as_ref());
    (before != Some(after)).then(|| {
        let note = format!(
            "{} was changed by {} and has been put back: {}; change the RagCluster instead",
            after.object, after.by, after.fields
        );
        let told = event(Severity::Warning, "ChangePutBack", "Apply", &note);
        Event { same_within_seconds: PUT_BACK_SECONDS, ..told }
    })
}

fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

fn event(severity: Severity, reason: &str, action: &str, note: &str) -> Event {
    let end = note.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NOTE_MAX_BYTES).last();
    let note = note[..end.unwrap_or(0)].to_owned();
    let (reason, action) = (reason.to_owned(), action.to_owned());
    Event { severity, reason, action, note, same_within_seconds: REPEATED_SECONDS }
}
