//! How it stands with reading a snapshot again that is kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::steps::StepStatus;

/// What is known of reading a snapshot again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadingStatus {
    /// When it was last read whole, or restored, whatever was found: Verified says what. Absent: not since it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,

    /// Why it could not be read when its time had come. Absent once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReadingFailure>,

    /// The steps of the last reading, or of the one that is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub steps: Vec<StepStatus>,
}

/// A reading that came to nothing. It says nothing about the snapshot.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadingFailure {
    /// When.
    pub at: Time,
    /// The class of the cause.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The sentence for people.
    #[schemars(length(max = 512))]
    pub message: String,
}
