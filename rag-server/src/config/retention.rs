//! The keys of `[retention]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long is kept what is no document. What is over is removed by one server at a time, a bounded number in each pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days after its last question after which a session is removed, whatever `sessions.ttl_seconds` was when it was asked; the shorter of both counts.
    #[schemars(range(min = 1, max = 3650))]
    pub session_days: u32,
    /// Days for which feedback is kept.
    #[schemars(range(min = 1, max = 3650))]
    pub feedback_days: u32,
    /// Days for which a job can be asked for after it ended, and its idempotency key finds it; of more than 1000 jobs, the oldest that ended are removed sooner.
    #[schemars(range(min = 1, max = 365))]
    pub job_days: u32,
}

impl Default for Retention {
    /// A year of conversations, which is as long as `sessions.ttl_seconds` can be, so that by default it alone decides; a year of feedback, so that the same season can be compared; a day of jobs, since whoever sends a
    /// request again does so within minutes.
    fn default() -> Self {
        Self { session_days: 365, feedback_days: 365, job_days: 1 }
    }
}
