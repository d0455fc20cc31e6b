//! The keys of `[cache]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is remembered of questions. An ingestion, a deletion or another configuration makes it void at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Memory for vectors of questions and the passages that were found, in bytes; 0 switches it off.
    #[schemars(range(min = 0, max = 17_179_869_184_u64))]
    pub max_bytes: u64,
}

impl Default for Cache {
    fn default() -> Self {
        // About 5,000 questions with their passages.
        Self { max_bytes: 64 * 1024 * 1024 }
    }
}
