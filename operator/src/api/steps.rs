//! The words for what takes time: its numbered steps, as every kind that has them shows them in its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the message of a step may be, in characters.
pub const STEP_MESSAGE_MAX_CHARS: usize = 512;

/// One step of something that takes time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its place among the steps, from 1.
    pub number: i32,
    /// What it is called.
    #[schemars(length(max = 64))]
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// When it began. Absent while it has not, or waits for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was done, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// When it goes on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What it does, what it waits for, or how it ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StepState {
    /// Its time has not come.
    Pending,
    /// It waits, and nothing of it is under way.
    Waiting,
    /// It could begin, and waits for another procedure or for a maintenance window.
    Queued,
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It failed; only what cleans up comes after it.
    Failed,
    /// It will not be done.
    Skipped,
}

impl StepState {
    /// Whether nothing changes it any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Done | Self::Failed | Self::Skipped => true,
            Self::Pending | Self::Waiting | Self::Queued | Self::Running => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_is_read_back_as_it_was_written_and_what_it_has_not_is_absent() {
        let fresh = json!({"number": 1, "name": "preflight", "state": "Pending"});
        let long_ago = json!({
            "number": 2, "name": "promote", "state": "Done", "message": "revision b7 serves",
            "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:05Z",
        });
        for written in [fresh, long_ago] {
            let step: StepStatus = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(step).unwrap(), written);
        }
    }
}
