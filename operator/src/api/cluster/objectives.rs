//! What the service has to reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a loss may cost. Neither changes what is done: what misses them is said, in SnapshotsHealthy and RestoreVerified.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// Recovery point: how much of what was written last may be lost, in seconds. No snapshot may be older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub rpo_seconds: Option<i64>,

    /// Recovery time: how long a restore may take, in seconds, as drills measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub rto_seconds: Option<i64>,
}
