//! The words for how far a Job is, as every kind that has Jobs shows it in its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a Job is. It is asked twice a minute, and absent where it does not say.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProgress {
    /// What is counted.
    pub unit: ProgressUnit,

    /// So many are done.
    pub done: i64,

    /// How many there are, as it was known when the Job began: what is written meanwhile is not counted.
    pub of: i64,

    /// The same in percent, rounded down.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,

    /// Bytes that were written to the archive. Absent: none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,

    /// Since when it is known to be so.
    pub at: Time,
}

/// What a Job counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ProgressUnit {
    /// Documents that are taken or restored.
    Documents,
    /// Parts of a snapshot that are read back.
    Parts,
}
