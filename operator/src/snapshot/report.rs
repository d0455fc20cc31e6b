//! What a Job of the servers' program says of itself when it ends: one JSON object in its container's termination message.
//!
//! Whoever may run a pod may write one, so nothing is believed of its form: what is cut off, too large or of another shape is an
//! unreadable report and no crash. Fields that this operator does not know are left alone. Pure.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::api::text::cut;

/// The kubelet keeps no more of a message.
const MAX_BYTES: usize = 4096;

/// As much of the sentence as a report may have, in characters.
const MESSAGE_MAX_CHARS: usize = 1024;

/// A report: how the command ended, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The class of what went wrong; nothing where nothing did.
    pub cause: Option<Cause>,
    /// A sentence for people, where it is not done.
    pub message: String,
    fields: Map<String, Value>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it was meant to.
    Done,
    /// It could not be done.
    Failed,
    /// It was not tried, and nothing was found out.
    Skipped,
}

/// Why a report is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the report cannot be read: {0}")]
pub struct Unreadable(String);

#[derive(Deserialize)]
struct Beginning {
    outcome: Outcome,
    #[serde(default)]
    cause: Option<Cause>,
    #[serde(default)]
    message: String,
}

impl Report {
    /// Reads a termination message.
    pub fn parse(message: &str) -> Result<Self, Unreadable> {
        if message.len() > MAX_BYTES {
            return Err(Unreadable(format!("it has {} bytes, and {MAX_BYTES} at most are kept", message.len())));
        }
        let fields: Map<String, Value> = serde_json::from_str(message.trim()).map_err(|error| unreadable(&error))?;
        let Beginning { outcome, cause, message } = read(&fields)?;
        Ok(Self { outcome, cause, message: cut(&message, MESSAGE_MAX_CHARS), fields })
    }

    /// What came of it, as the command that ran reports it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        read(&self.fields)
    }
}

fn read<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, Unreadable> {
    T::deserialize(Value::Object(fields.clone())).map_err(|error| unreadable(&error))
}

/// The parser quotes what it found: as much of it as a person reads.
fn unreadable(error: &serde_json::Error) -> Unreadable {
    Unreadable(cut(&error.to_string(), 200))
}

/// Declares the causes, each of which is spelled as it is named here.
macro_rules! causes {
    ($($(#[$meaning:meta])+ $name:ident = $text:literal,)+) => {
        /// The class of what went wrong.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Cause {
            $($(#[$meaning])+ $name,)+
            /// One that this operator does not know, as it is spelled.
            Other(String),
        }

        impl Cause {
            /// Every cause that this operator knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$name),+];

            /// The cause as it stands in a report.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other(text) => text,
                }
            }

            fn of(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)+
                    other => Self::Other(cut(other, 64)),
                }
            }
        }
    };
}

causes! {
    /// The archive has a snapshot of that name that was taken for somebody else.
    Exists = "exists",
    /// The archive has no snapshot, or none of that name.
    None = "none",
    /// The stores hold documents, and were to be filled.
    NotEmpty = "not_empty",
    /// A part is not what the manifest says.
    Damaged = "damaged",
    /// A part is missing.
    Incomplete = "incomplete",
    /// Written by a newer program.
    NewerFormat = "newer_format",
    /// The manifest is not signed, and should be.
    Unsigned = "unsigned",
    /// The manifest's signature does not fit.
    Forged = "forged",
    /// It is encrypted, and the key is missing or another one.
    NoKey = "no_key",
    /// It was embedded by another model.
    Model = "model",
    /// There is nothing to take.
    Empty = "empty",
    /// No snapshot would be left in the archive.
    Last = "last",
    /// Another process is at it.
    Held = "held",
    /// It was asked to stop.
    Stopped = "stopped",
    /// There is no room for it.
    NoRoom = "no_room",
    /// Recorded passages are not found again.
    NotFound = "not_found",
    /// Fewer recorded passages are found again than should be.
    Recall = "recall",
    /// The archive does not answer.
    Unreachable = "unreachable",
    /// The archive does not accept the key.
    AuthFailed = "auth_failed",
    /// There is no such bucket or folder.
    NoPlace = "no_place",
    /// Something else.
    Failed = "failed",
    /// The store or the database does not answer.
    StoreUnreachable = "store_unreachable",
    /// The configuration is not accepted.
    Configuration = "configuration",
}

impl Cause {
    /// Whether it may be gone when the same is tried again, without anybody doing something about it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable | Self::StoreUnreachable | Self::Held | Self::Stopped | Self::Failed => true,
            Self::Exists
            | Self::None
            | Self::NotEmpty
            | Self::Damaged
            | Self::Incomplete
            | Self::NewerFormat
            | Self::Unsigned
            | Self::Forged
            | Self::NoKey
            | Self::Model
            | Self::Empty
            | Self::Last
            | Self::NoRoom
            | Self::NotFound
            | Self::Recall
            | Self::AuthFailed
            | Self::NoPlace
            | Self::Configuration
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::of(&text))
    }
}

/// A snapshot in an archive.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Where the archive is.
    pub place: String,
    /// The SHA-256 of its manifest's object, in hexadecimal.
    pub sha256: String,
    /// What was acknowledged before is in it.
    pub began: Timestamp,
    /// When its last part was written.
    pub ended: Timestamp,
    /// When the latest of its documents was committed; nothing where it has none.
    #[serde(default)]
    pub last_write: Option<Timestamp>,
    /// Documents in it.
    pub documents: i64,
    /// Their passages.
    pub chunks: i64,
    /// Documents that the store had lost a part of.
    #[serde(default)]
    pub left_out: i64,
    /// Bytes of all its parts.
    pub bytes: i64,
    /// Whether it is encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// Whether its manifest is signed.
    #[serde(default)]
    pub signed: bool,
    /// The version of its format.
    #[serde(default)]
    pub format: i64,
}

/// What `create` and `verify` report.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Taken {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Bytes that were written for it.
    #[serde(default)]
    pub written_bytes: i64,
    /// Whether all of it was read back and is what was taken.
    #[serde(default)]
    pub verified: bool,
}

/// What `remove` reports.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Removed {
    /// The snapshots that are gone.
    pub removed: Vec<String>,
    /// Bytes of the parts that went with them.
    #[serde(default)]
    pub freed_bytes: i64,
}

/// What `list` reports: the newest of them.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Listed {
    /// The newest twenty.
    pub snapshots: Vec<ListedSnapshot>,
    /// How many there are.
    #[serde(default)]
    pub total: i64,
}

/// A snapshot of a list.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ListedSnapshot {
    /// Its name.
    pub name: String,
    /// What was acknowledged before is in it.
    pub began: Timestamp,
    /// Documents in it.
    #[serde(default)]
    pub documents: i64,
    /// Bytes of all its parts.
    #[serde(default)]
    pub bytes: i64,
}

/// What `restore` reports.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Restored {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The epoch that is searched now; nothing where nothing was done.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// The epoch that was searched before.
    #[serde(default)]
    pub previous_epoch: Option<i64>,
    /// Recorded passages that were found again.
    #[serde(default)]
    pub proven: Option<i64>,
    /// Those that were asked for.
    #[serde(default)]
    pub asked: Option<i64>,
    /// What it changed, or would.
    #[serde(default)]
    pub documents: Option<Changes>,
    /// How long it took.
    #[serde(default)]
    pub seconds: Option<f64>,
}

/// What a restore does to the documents that are there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Changes {
    /// Documents that come back.
    #[serde(default)]
    pub added: i64,
    /// Documents that become what they were.
    #[serde(default)]
    pub changed: i64,
    /// Documents that go.
    #[serde(default)]
    pub removed: i64,
    /// Documents that stay as they are.
    #[serde(default)]
    pub unchanged: i64,
}

/// What `drill` reports.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Drilled {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The share of the recorded passages that were found again, from 0 to 1.
    pub recall: f64,
    /// Recorded passages that were asked for.
    #[serde(default)]
    pub asked: i64,
    /// Those that were found again.
    #[serde(default)]
    pub found: i64,
    /// From reading the manifest to the last answer.
    pub rto_seconds: f64,
    /// From the snapshot's beginning to the drill's.
    pub rpo_seconds: f64,
    /// Documents that were restored.
    #[serde(default)]
    pub documents: i64,
    /// Their passages.
    #[serde(default)]
    pub chunks: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn snapshot() -> Value {
        json!({
            "name": "nightly", "place": "s3://archive/team-a/handbook", "sha256": "ab".repeat(32),
            "began": "2026-11-21T02:00:00Z", "ended": "2026-11-21T02:00:10Z", "last_write": null,
            "documents": 10, "chunks": 100, "left_out": 0, "bytes": 4096, "encrypted": false, "signed": true, "format": 1,
        })
    }

    #[test]
    fn each_command_says_what_came_of_it() {
        let report = |body: Value| Report::parse(&body.to_string()).unwrap();
        let taken = report(json!({"outcome": "done", "snapshot": snapshot(), "written_bytes": 7, "verified": true}));
        let taken: Taken = taken.read().unwrap();
        assert_eq!((taken.snapshot.documents, taken.written_bytes, taken.verified), (10, 7, true));
        let removed: Removed = report(json!({"outcome": "done", "removed": ["a"], "freed_bytes": 3})).read().unwrap();
        assert_eq!(removed, Removed { removed: vec!["a".into()], freed_bytes: 3 });
        let listed = json!({"name": "a", "began": "2026-11-21T02:00:00Z", "documents": 1, "bytes": 2});
        let listed: Listed = report(json!({"outcome": "done", "snapshots": [listed], "total": 9})).read().unwrap();
        assert_eq!((listed.snapshots[0].name.as_str(), listed.total), ("a", 9));
        let documents = json!({"added": 1, "changed": 2, "removed": 3, "unchanged": 4});
        let restored: Restored = report(json!({
            "outcome": "done", "snapshot": snapshot(), "epoch": 4, "previous_epoch": 3, "proven": 20, "asked": 20,
            "documents": documents, "seconds": 12.3,
        }))
        .read()
        .unwrap();
        assert_eq!(restored.documents, Some(Changes { added: 1, changed: 2, removed: 3, unchanged: 4 }));
        let drilled: Drilled = report(json!({
            "outcome": "done", "snapshot": snapshot(), "recall": 1.0, "asked": 20, "found": 20, "rto_seconds": 12.3,
            "rpo_seconds": 3600.0, "documents": 10, "chunks": 100,
        }))
        .read()
        .unwrap();
        assert_eq!((drilled.recall, drilled.documents), (1.0, 10));
    }

    #[test]
    fn what_failed_names_its_cause_and_one_that_nobody_knows_yet_is_kept_as_it_is_spelled() {
        for known in Cause::KNOWN {
            let body = json!({"outcome": "failed", "cause": known.as_str(), "message": "why", "later": [1]});
            let report = Report::parse(&body.to_string()).unwrap();
            assert_eq!((report.outcome, report.cause.as_ref()), (Outcome::Failed, Some(known)));
        }
        let report = Report::parse(r#"{"outcome": "failed", "cause": "moon_phase"}"#).unwrap();
        assert_eq!(report.cause, Some(Cause::Other("moon_phase".into())));
        assert!(!report.cause.unwrap().may_pass());
    }

    #[test]
    fn what_passes_by_itself_is_what_the_contract_says() {
        let passing: Vec<&str> = Cause::KNOWN.iter().filter(|cause| cause.may_pass()).map(Cause::as_str).collect();
        assert_eq!(passing, ["held", "stopped", "unreachable", "failed", "store_unreachable"]);
    }

    #[test]
    fn hostile_and_cut_off_messages_are_unreadable_and_nothing_else() {
        let whole = json!({"outcome": "done", "snapshot": snapshot(), "verified": true}).to_string();
        for end in 0..whole.len() {
            assert!(Report::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        let deep = "[".repeat(4000);
        for hostile in
            ["", "null", "[]", "{}", "done", &deep, r#"{"outcome": "great"}"#, r#"{"outcome": "done", "cause": 7}"#]
        {
            assert!(Report::parse(hostile).is_err(), "{hostile}");
        }
        let large = json!({"outcome": "failed", "message": "x".repeat(5000)}).to_string();
        assert!(Report::parse(&large).unwrap_err().to_string().contains("4096"));
        let long = json!({"outcome": "failed", "message": "é".repeat(1500)}).to_string();
        assert_eq!(Report::parse(&long).unwrap().message.chars().count(), 1024);
    }

    #[test]
    fn figures_that_cannot_be_are_unreadable() {
        for (field, value) in [
            ("documents", json!(1e300)),
            ("documents", json!(u64::MAX)),
            ("began", json!("yesterday")),
            ("sha256", json!(5)),
            ("name", json!(null)),
        ] {
            let mut snapshot = snapshot();
            snapshot[field] = value;
            let report = Report::parse(&json!({"outcome": "done", "snapshot": snapshot}).to_string()).unwrap();
            assert!(report.read::<Taken>().is_err(), "{field}");
        }
    }
}
