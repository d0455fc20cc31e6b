//! How the record is written. It names its format, so that a server never misreads what a newer one wrote.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FleetState;

/// The format of this program. It is raised with every change that an older server would misread.
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Row {
    format: u64,
    state: Value,
}

/// Why a record tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// A newer server wrote it; this one must not write over it.
    #[error(
        "it is of format {0}, and this server knows formats up to {FORMAT}; let a server of the newer version change it"
    )]
    Newer(u64),
    /// It is no such record.
    #[error("it is damaged: {0}; the next change writes it anew from what this server knows")]
    Damaged(String),
}

impl Unread {
    /// The class, in a word.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Newer(_) => "newer_format",
            Self::Damaged(_) => "damaged",
        }
    }
}

/// The body of the record.
pub fn body(state: &FleetState) -> Result<Value, serde_json::Error> {
    serde_json::to_value(Row { format: FORMAT, state: serde_json::to_value(state)? })
}

/// What a record says.
pub fn read(body: &Value) -> Result<FleetState, Unread> {
    let damaged = |error: serde_json::Error| Unread::Damaged(error.to_string());
    let Row { format, state } = Row::deserialize(body).map_err(damaged)?;
    match format {
        FORMAT => FleetState::deserialize(&state).map_err(damaged),
        0 => Err(Unread::Damaged("there is no format 0".to_owned())),
        newer => Err(Unread::Newer(newer)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::fleet::Change;

    #[test]
    fn a_state_reads_back_as_itself() {
        let mut state = FleetState::default();
        let until = Some(Timestamp::from_second(100).unwrap());
        for change in [
            Change::ReadOnly(true),
            Change::Reset("far".to_owned()),
            Change::Block { subject: "api-key.a".to_owned(), reason: "floods".to_owned(), until },
            Change::Deny("0123456789ab".to_owned()),
        ] {
            state = state.changed(&change, "admin", Timestamp::UNIX_EPOCH).unwrap().unwrap();
        }
        assert_eq!(read(&body(&state).unwrap()), Ok(state));
    }

    #[test]
    fn what_is_no_such_record_is_told_from_what_a_newer_server_wrote() {
        let sound = body(&FleetState::default()).unwrap();
        for damage in [
            json!(null),
            json!({}),
            json!({"format": 0, "state": sound["state"]}),
            json!({"format": 1, "state": {"revision": 1}}),
            json!({"format": 1, "state": {"revision": "one"}}),
        ] {
            assert_eq!(read(&damage).unwrap_err().cause(), "damaged", "{damage}");
        }
        let mut extended = sound.clone();
        extended["state"]["novelty"] = json!(1);
        assert_eq!(read(&extended).unwrap_err().cause(), "damaged", "a part that is not understood would be lost");
        assert_eq!(read(&json!({"format": 2, "state": {"novelty": 1}})), Err(Unread::Newer(2)));
    }
}
