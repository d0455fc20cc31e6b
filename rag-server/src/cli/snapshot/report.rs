//! What a command came to, as one JSON object in a file: for whoever started it as a Job and reads the container's termination message.
//!
//! The causes are a closed set, made in one place. What is done has the fields of its command; what is not has a cause and a sentence.

mod cause;

use std::{error::Error, fs, io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

pub(super) use self::cause::Cause;
use crate::snapshot::{Act, Difference, Manifest, Verdict};

/// Most bytes of a report: what a kubelet reads of a termination message.
const MOST_BYTES: usize = 4096;
/// Most characters of its sentence.
const MOST_MESSAGE: usize = 1024;
/// Snapshots that a list reports, the newest: with the longest names they fit into a report.
pub(super) const MOST_LISTED: usize = 20;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Report {
    /// All that was asked for.
    Done(Done),
    /// Nothing that counts.
    Failed(Trouble),
    /// A drill for which there is no room.
    Skipped(Trouble),
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Done {
    /// Of `create`, `verify`, `download` and `attached`.
    Kept(Kept),
    /// Of `remove`.
    Removed(Removed),
    /// Of `list`.
    Listed(Listed),
    /// Of `restore`.
    Restored(Restored),
    /// Of `drill`.
    Drilled(Drilled),
    /// Of `evidence`.
    Evidence(Findings),
    /// Of `confirm` and `revert`.
    Settled(Settled),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Trouble {
    /// The class of the cause.
    pub(super) cause: Cause,
    /// A sentence for people, without secrets.
    pub(super) message: String,
    /// Of a list: those that can be used, where another one cannot.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) listed: Option<Listed>,
}

/// A snapshot as it stands in its archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Snapshot {
    /// Its name.
    pub(super) name: String,
    /// The archive, for people.
    pub(super) place: String,
    /// SHA-256 of the manifest's object, in hex.
    pub(super) sha256: String,
    /// What was acknowledged before is in it.
    pub(super) began: Timestamp,
    /// When its last part was written.
    pub(super) ended: Timestamp,
    /// When the latest of its documents was committed; null without documents.
    pub(super) last_write: Option<Timestamp>,
    /// Documents.
    pub(super) documents: u64,
    /// Their chunks.
    pub(super) chunks: u64,
    /// Documents that are not in it, because the store had lost some of their chunks.
    pub(super) left_out: u64,
    /// Bytes of its objects, those among them that it shares with others.
    pub(super) bytes: u64,
    /// Whether it is encrypted.
    pub(super) encrypted: bool,
    /// Whether it bears the signature of the configured key.
    pub(super) signed: bool,
    /// Its format.
    pub(super) format: u32,
}

impl Snapshot {
    /// What a report says of the snapshot of this manifest in an archive at this place.
    pub(super) fn of(manifest: &Manifest, place: &str) -> Self {
        Self {
            name: manifest.name.to_string(),
            place: place.to_owned(),
            sha256: manifest.seal.sha256.clone(),
            began: manifest.began,
            ended: manifest.ended,
            last_write: manifest.last_write,
            documents: manifest.documents,
            chunks: manifest.chunks,
            left_out: manifest.left_out,
            bytes: manifest.bytes(),
            encrypted: manifest.seal.encrypted,
            signed: manifest.seal.signed,
            format: manifest.format,
        }
    }
}

/// What `create` took, `verify` read, `download` copied, or the files were of that `attached` wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Kept {
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// Bytes that this run wrote to the archive.
    pub(super) written_bytes: u64,
    /// Whether this run read every part of it and found it whole.
    pub(super) verified: bool,
}

/// What `remove` removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Removed {
    /// Snapshots that were named, none of which is in the archive any more.
    pub(super) removed: Vec<String>,
    /// Bytes of the objects that were removed.
    pub(super) freed_bytes: u64,
    /// Why parts that nothing names were left, if they were; the next removal takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<String>,
}

/// What `list` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Listed {
    /// The newest [`MOST_LISTED`], the oldest of them first.
    pub(super) snapshots: Vec<Entry>,
    /// How many there are.
    pub(super) total: usize,
}

/// A snapshot of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// What was acknowledged before is in it.
    pub(super) began: Timestamp,
    /// Documents; absent where it is encrypted and the key is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) documents: Option<u64>,
    /// Bytes of its objects.
    pub(super) bytes: u64,
}

/// What `restore` did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Restored {
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// The epoch that is searched now; 0 where none is.
    pub(super) epoch: u64,
    /// The epoch that was searched before; null where there was none.
    pub(super) previous_epoch: Option<u64>,
    /// Golden chunks that found themselves.
    pub(super) proven: usize,
    /// Golden chunks that were asked for.
    pub(super) asked: usize,
    /// What became of the documents.
    pub(super) documents: Difference,
    /// How long it took.
    pub(super) seconds: f64,
}

/// What `drill` measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Drilled {
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// Golden chunks that were found, of those that were asked for: 0 to 1.
    pub(super) recall: f64,
    /// Golden chunks that were asked for.
    pub(super) asked: usize,
    /// Golden chunks that were found.
    pub(super) found: usize,
    /// From reading the manifest to the last answer.
    pub(super) rto_seconds: f64,
    /// From the snapshot's beginning to the drill's.
    pub(super) rpo_seconds: f64,
    /// Documents that were restored.
    pub(super) documents: u64,
    /// Their chunks.
    pub(super) chunks: u64,
}

/// What `evidence` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Findings {
    /// The newest of those that are believed, as many as fit, the newest first.
    pub(super) evidence: Vec<Finding>,
    /// How many there are, those among them that are not believed.
    pub(super) total: usize,
}

/// What was found out about a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    /// When.
    pub(super) at: Timestamp,
    /// By what.
    pub(super) act: Act,
    /// The snapshot's name.
    pub(super) snapshot: String,
    /// SHA-256 of its manifest's object, in hex; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest_sha256: Option<String>,
    /// What.
    pub(super) verdict: Verdict,
    /// The class of the cause, where it is not passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
}

/// That what was restored is taken for good, or undone; there is nothing more to say of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Settled {}

impl Report {
    /// That a command failed with this error.
    pub(super) fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::Failed(Trouble { cause: cause::of(error), message: super::super::sentence(error), listed: None })
    }

    /// Whether the program ends with 0: it was done, or skipped for a reason that is no failure.
    pub(super) fn succeeded(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped(_))
    }

    /// Writes it to a file in one piece; one that is there is written over, since a container's termination message cannot be replaced.
    pub(super) fn write(self, file: &Path) -> io::Result<()> {
        fs::write(file, self.bytes()?)
    }

    /// Its bytes, which are at most [`MOST_BYTES`]: what is too much of a list or a sentence is left out.
    fn bytes(mut self) -> io::Result<Vec<u8>> {
        self.shorten_message(MOST_MESSAGE);
        loop {
            let bytes = serde_json::to_vec(&self)?;
            if bytes.len() <= MOST_BYTES || !self.shorten() {
                return Ok(bytes);
            }
        }
    }

    /// Makes it shorter, if it can be.
    fn shorten(&mut self) -> bool {
        match self {
            Self::Done(Done::Removed(Removed { removed, .. })) => removed.pop().is_some(),
            Self::Done(Done::Listed(listed)) => listed.shorten(),
            Self::Done(Done::Evidence(found)) => found.evidence.pop().is_some(),
            Self::Done(Done::Kept(_) | Done::Restored(_) | Done::Drilled(_) | Done::Settled(_)) => false,
            Self::Failed(trouble) | Self::Skipped(trouble) => {
                if trouble.listed.as_mut().is_some_and(Listed::shorten) {
                    return true;
                }
                let characters = trouble.message.chars().count();
                self.shorten_message(characters / 2);
                characters > 0
            }
        }
    }

    fn shorten_message(&mut self, most: usize) {
        if let Self::Failed(Trouble { message, .. }) | Self::Skipped(Trouble { message, .. }) = self
            && let Some((end, _)) = message.char_indices().nth(most)
        {
            message.truncate(end);
        }
    }
}

impl Listed {
    /// Leaves the oldest out.
    fn shorten(&mut self) -> bool {
        let has_some = !self.snapshots.is_empty();
        self.snapshots.drain(..usize::from(has_some));
        has_some
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        app::{AppError, SnapshotSetupError},
        ports::{ArchiveError, StoreError},
        snapshot::SnapshotError,
    };

    fn value(report: Report) -> Value {
        let bytes = report.bytes().unwrap();
        assert!(bytes.len() <= MOST_BYTES, "{}", bytes.len());
        serde_json::from_slice(&bytes).unwrap()
    }

    fn entry(name: String) -> Entry {
        Entry { name, began: Timestamp::UNIX_EPOCH, documents: Some(u64::MAX), bytes: u64::MAX }
    }

    #[test]
    fn what_is_done_stands_beside_the_outcome() {
        let removed = Removed { removed: vec!["one".to_owned()], freed_bytes: 7, left: None };
        let report = value(Report::Done(Done::Removed(removed)));
        assert_eq!(report, json!({ "outcome": "done", "removed": ["one"], "freed_bytes": 7 }));
        let listed = Listed { snapshots: vec![Entry { documents: None, ..entry("one".to_owned()) }], total: 1 };
        let report = value(Report::Done(Done::Listed(listed)));
        assert_eq!(report["snapshots"], json!([{ "name": "one", "began": "1970-01-01T00:00:00Z", "bytes": u64::MAX }]));
    }

    #[test]
    fn an_error_has_a_cause_and_a_sentence() {
        let report = value(Report::failed(&SnapshotError::Empty));
        assert_eq!((&report["outcome"], &report["cause"]), (&json!("failed"), &json!("empty")));
        assert!(report["message"].as_str().unwrap().starts_with("there is nothing to take"), "{report}");
        let full = ArchiveError::Failed { place: "/a".to_owned(), cause: "No space left on device".to_owned() };
        for (error, cause) in [
            (Box::new(SnapshotError::Archive(full)) as Box<dyn Error>, "no_room"),
            (Box::new(SnapshotSetupError::NoArchive), "configuration"),
            (Box::new(StoreError::Timeout { store: "the records", seconds: 3 }), "store_unreachable"),
            (Box::new(StoreError::InUse { path: "/d".to_owned() }), "held"),
            (Box::new(AppError::NoEngine), "configuration"),
            (Box::new(io::Error::other("?")), "failed"),
        ] {
            assert_eq!(value(Report::failed(&*error))["cause"], cause, "{error}");
        }
    }

    #[test]
    fn a_report_is_never_longer_than_what_is_read_of_it() {
        let name = |n: usize| format!("{n:0>63}");
        let listed = Listed { snapshots: (0..MOST_LISTED).map(|n| entry(name(n))).collect(), total: 900 };
        let all = value(Report::Done(Done::Listed(listed.clone())));
        assert_eq!(all["snapshots"].as_array().unwrap().len(), MOST_LISTED, "the longest names fit");
        let message = "\u{1}".repeat(3_000);
        let trouble = Trouble { cause: Cause::Damaged, message, listed: Some(listed) };
        let report = value(Report::Failed(trouble));
        assert_eq!((&report["cause"], &report["total"]), (&json!("damaged"), &json!(900)));
        let removed = Removed { removed: (0..500).map(name).collect(), freed_bytes: 1, left: None };
        assert_eq!(value(Report::Done(Done::Removed(removed)))["freed_bytes"], 1);
    }
}
