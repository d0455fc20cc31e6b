//! How long the servers keep what is no document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the servers keep what is no document. One server at a time removes what is over.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days after its last question for which a conversation is remembered. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub session_days: Option<i32>,

    /// Days for which feedback on answers is kept. Absent: 365.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub feedback_days: Option<i32>,
}

impl Retention {
    /// Whether it asks for anything.
    pub fn is_empty(&self) -> bool {
        self.session_days.is_none() && self.feedback_days.is_none()
    }
}
