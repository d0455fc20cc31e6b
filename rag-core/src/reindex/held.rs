//! The change of the searched epoch, on which one process at a time works: a server that changes over, or the command line.

use serde_json::{Value, json};

use super::ReindexError;
use crate::ports::{Hold, Holds, Kind};

/// What the process holds that works on it.
const NAME: &str = "move";
/// The field of its note that names the process.
const BY: &str = "by";

/// Takes the change in the name of `by`, which is what others are told meanwhile.
pub async fn hold(holds: &Holds, by: &str) -> Result<Hold, ReindexError> {
    holds.take_or_holder(Kind::Lease, NAME, |_| json!({ BY: by })).await?.map_err(|holder| {
        let by = holder.note.get(BY).and_then(Value::as_str).unwrap_or("another server").to_owned();
        ReindexError::Held { by, until: holder.until }
    })
}
