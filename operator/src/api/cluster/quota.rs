//! What a service outside allows within a minute: two fields of each such service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a service outside allows within a minute, divided among all servers.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// The requests that it allows within a minute, to all servers together. Absent: as many as are asked; of one that writes
    /// answers, what it says with them is kept all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<i32>,

    /// The tokens that it allows within a minute, read and written, to all servers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<i32>,
}
