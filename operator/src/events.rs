//! What is worth telling about an object of our own kinds. Pure.
//!
//! An event is the difference of two statuses: a steady object has none and emits nothing; a repeat needs a lost status write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{ConditionReason, ConditionType};

/// The API server refuses longer notes.
const NOTE_MAX_BYTES: usize = 1024;

/// The same event of the same object within this time is one event: a pass that was cut off after publishing repeats it.
pub const REPEATED_SECONDS: i64 = 10;

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

impl Event {
    /// An event with as much of the note as the API server takes.
    pub fn new(severity: Severity, reason: &str, action: &str, note: &str) -> Self {
        let end = note.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NOTE_MAX_BYTES).last();
        let note = note[..end.unwrap_or(0)].to_owned();
        let (reason, action) = (reason.to_owned(), action.to_owned());
        Self { severity, reason, action, note, same_within_seconds: REPEATED_SECONDS }
    }
}

/// A condition is told when it turns bad, when its bad reason changes, and when it turns good again.
pub fn transition(type_: ConditionType, before: Option<&Condition>, after: Option<&Condition>) -> Option<Event> {
    let was_bad = before.is_some_and(|before| is_bad(type_, before));
    let Some(after) = after else {
        let over = format!("{type_} no longer applies");
        return was_bad.then(|| Event::new(Severity::Normal, &format!("{type_}Over"), "Report", &over));
    };
    if is_bad(type_, after) {
        let is_told = was_bad && before.is_some_and(|before| before.reason == after.reason);
        let kind = match type_ {
            ConditionType::ReadOnly => Severity::Normal,
            _ => Severity::Warning,
        };
        return (!is_told).then(|| Event::new(kind, &after.reason, "Report", &format!("{type_}: {}", after.message)));
    }
    let is_good = is_good(type_, after);
    let becomes_ready =
        type_ == ConditionType::Ready && is_good && before.is_none_or(|before| !self::is_good(type_, before));
    let is_paused_now = is_paused(after) && !before.is_some_and(is_paused);
    (becomes_ready || was_bad && is_good || is_paused_now)
        .then(|| Event::new(Severity::Normal, &after.reason, "Report", &format!("{type_}: {}", after.message)))
}

/// Reconciling is an ordinary state, and so is what has never been up.
fn is_bad(type_: ConditionType, condition: &Condition) -> bool {
    let is_ordinary = [
        ConditionReason::Starting,
        ConditionReason::Scaling,
        ConditionReason::NoneReady,
        ConditionReason::SomeReady,
        ConditionReason::Taking,
        ConditionReason::WaitsForTurn,
    ]
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
