//! How often the snapshots that are kept are read again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often each snapshot that is kept is read again, whole, in its own destination.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// A snapshot that was last read, or restored, so many days ago is read again; up to a tenth of that time earlier, so that
    /// not all come at once.
    #[serde(default = "default_days")]
    #[schemars(range(min = 1, max = 366))]
    pub every_days: i32,

    /// Reads none again while this is true.
    #[serde(default)]
    pub suspend: bool,
}

impl Default for Verification {
    fn default() -> Self {
        Self { every_days: default_days(), suspend: false }
    }
}

/// Storage that rots does so within years, and whoever pays for each byte that is read pays for it once a month.
fn default_days() -> i32 {
    30
}
