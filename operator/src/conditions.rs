//! Conditions of our own kinds: what was found becomes a list in which a transition time changes only with the status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::text::cut;
use crate::api::{ConditionReason, ConditionType};

/// A pod can say much about its trouble; a status is read by people.
const MESSAGE_MAX_CHARS: usize = 1000;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is so.
    True,
    /// It is not.
    False,
    /// Nobody can say now.
    Unknown,
}

impl State {
    /// The status as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a pass found about one aspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The aspect.
    pub type_: ConditionType,
    /// How it is.
    pub state: State,
    /// The class of the cause, for machines.
    pub reason: ConditionReason,
    /// The sentence for people.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(type_: ConditionType, state: State, reason: ConditionReason, message: impl Into<String>) -> Self {
        Self { type_, state, reason, message: message.into() }
    }
}

/// The condition of a type.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// The new list, in which what nothing was found about stays as it was.
pub fn update(
    previous: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = merge(previous, findings, generation, now);
    let is_found = |before: &&Condition| conditions.iter().any(|found| found.type_ == before.type_);
    let kept: Vec<Condition> = previous.iter().filter(|before| !is_found(before)).cloned().collect();
    conditions.extend(kept);
    let place = |of: &Condition| ConditionType::ALL.iter().position(|type_| type_.as_str() == of.type_);
    conditions.sort_by_key(|condition| place(condition).unwrap_or(usize::MAX));
    conditions
}

/// The new list, in the order of [`ConditionType::ALL`]; a type without a finding is absent.
pub fn merge(
    previous: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut merged: Vec<(ConditionType, Condition)> = findings
        .into_iter()
        .map(|finding| {
            let before = find(previous, finding.type_).filter(|before| before.status == finding.state.as_str());
            let condition = Condition {
                type_: finding.type_.as_str().to_owned(),
                status: finding.state.as_str().to_owned(),
                reason: finding.reason.as_str().to_owned(),
                message: cut(&finding.message, MESSAGE_MAX_CHARS),
                last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
                observed_generation: generation,
            };
            (finding.type_, condition)
        })
        .collect();
    merged.sort_by_key(|(type_, _)| *type_);
    merged.into_iter().map(|(_, condition)| condition).collect()
}
