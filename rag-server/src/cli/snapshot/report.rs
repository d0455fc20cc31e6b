//! What a command came to, as one JSON object in a file: for whoever started it as a Job and reads the container's termination message.

use std::{error::Error, fs, io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    app::{AppError, SnapshotSetupError},
    corpus::CorpusError,
    ports::{ArchiveError, StoreError},
    snapshot::{Manifest, SnapshotError},
};

/// Most bytes of a sentence, so that a report stays below what a kubelet reads of a termination message.
const MOST_MESSAGE: usize = 1024;

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
    /// Of `restore`.
    Restored(Restored),
    /// Of `drill`.
    Drilled(Drilled),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Trouble {
    /// The class of the cause.
    pub(super) cause: Cause,
    /// A sentence for people, without secrets.
    pub(super) message: String,
}

/// A snapshot as it stands in its archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Snapshot {
    name: String,
    place: String,
    began: Timestamp,
    ended: Timestamp,
    last_write: Option<Timestamp>,
    documents: u64,
    chunks: u64,
    left_out: u64,
    bytes: u64,
    format: u32,
}

impl Snapshot {
    /// What a report says of the snapshot of this manifest in an archive at this place.
    pub(super) fn of(manifest: &Manifest, place: &str) -> Self {
        Self {
            name: manifest.name.to_string(),
            place: place.to_owned(),
            began: manifest.began,
            ended: manifest.ended,
            last_write: manifest.last_write,
            documents: manifest.documents,
            chunks: manifest.chunks,
            left_out: manifest.left_out,
            bytes: manifest.bytes(),
            format: manifest.format,
        }
    }
}

/// What `restore` did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Restored {
    /// The snapshot.
    pub(super) snapshot: Snapshot,
    /// The epoch that is searched now.
    pub(super) epoch: u64,
    /// The epoch that was searched before; null where there was none.
    pub(super) previous_epoch: Option<u64>,
    /// Golden chunks that found themselves.
    pub(super) proven: usize,
    /// Golden chunks that were asked for.
    pub(super) asked: usize,
    /// What became of the documents.
    pub(super) documents: Changed,
    /// How long it took.
    pub(super) seconds: f64,
}

/// Documents, by what a restore does to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Changed {
    /// Those that come back.
    pub(super) added: u64,
    /// Those that become what they were.
    pub(super) changed: u64,
    /// Those that go.
    pub(super) removed: u64,
    /// Those that are the same.
    pub(super) unchanged: u64,
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

/// Why something was not done, by what whoever started it does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cause {
    Exists,
    None,
    NotEmpty,
    Damaged,
    Incomplete,
    NewerFormat,
    Unsigned,
    Forged,
    Model,
    Empty,
    Held,
    Stopped,
    NoRoom,
    NotFound,
    Recall,
    Unreachable,
    AuthFailed,
    NoPlace,
    Failed,
    StoreUnreachable,
    Configuration,
}

impl Report {
    /// That a command failed with this error.
    pub(super) fn failed(error: &(dyn Error + 'static)) -> Self {
        let mut message = super::super::sentence(error);
        if let Some((end, _)) = message.char_indices().nth(MOST_MESSAGE) {
            message.truncate(end);
        }
        Self::Failed(Trouble { cause: cause(error), message })
    }

    /// Whether the program ends with 0: it was done, or skipped for a reason that is no failure.
    pub(super) fn succeeded(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped(_))
    }

    /// Writes it to a file in one piece.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        fs::write(file, serde_json::to_vec(self)?)
    }
}

/// The class of any error of a command.
fn cause(error: &(dyn Error + 'static)) -> Cause {
    if let Some(error) = error.downcast_ref::<SnapshotError>() {
        return of_snapshot(error);
    }
    if let Some(error) = error.downcast_ref::<AppError>() {
        return match error {
            AppError::VectorStore(error) | AppError::Records(error) => of_store(error),
            AppError::Corpus(error) => of_corpus(error),
            _ => Cause::Failed,
        };
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    if error.is::<SnapshotSetupError>() { Cause::Configuration } else { Cause::Failed }
}

fn of_snapshot(error: &SnapshotError) -> Cause {
    match error {
        SnapshotError::Store(error) => of_store(error),
        SnapshotError::Archive(error) => of_archive(error),
        SnapshotError::Corpus(error) => of_corpus(error),
        SnapshotError::Empty => Cause::Empty,
        SnapshotError::Exists(_) => Cause::Exists,
        SnapshotError::Unknown(_) | SnapshotError::None | SnapshotError::NoneBefore(_) => Cause::None,
        SnapshotError::Unreadable { .. } | SnapshotError::Damaged { .. } | SnapshotError::Spoiled(_) => Cause::Damaged,
        SnapshotError::Newer { .. } => Cause::NewerFormat,
        SnapshotError::Unsigned(_) => Cause::Unsigned,
        SnapshotError::Forged(_) => Cause::Forged,
        SnapshotError::Missing { .. } => Cause::Incomplete,
        SnapshotError::Model { .. } => Cause::Model,
        SnapshotError::NotEmpty(_) | SnapshotError::Begun(_) => Cause::NotEmpty,
        SnapshotError::Held { .. }
        | SnapshotError::TakenOver
        | SnapshotError::Drilling { .. }
        | SnapshotError::Moving { .. }
        | SnapshotError::Pending { .. } => Cause::Held,
        SnapshotError::Unsteady(_)
        | SnapshotError::Counts { .. }
        | SnapshotError::Differs { .. }
        | SnapshotError::Written(_) => Cause::Failed,
        SnapshotError::NotFound { .. } => Cause::NotFound,
        SnapshotError::Recall { .. } => Cause::Recall,
        SnapshotError::NothingRestored(_) => Cause::Configuration,
        SnapshotError::Stopped => Cause::Stopped,
    }
}

fn of_store(error: &StoreError) -> Cause {
    match error {
        error if error.is_full() => Cause::NoRoom,
        StoreError::Unreachable { .. } | StoreError::Timeout { .. } | StoreError::RateLimited { .. } => {
            Cause::StoreUnreachable
        }
        StoreError::AuthFailed { .. } | StoreError::NoKey { .. } => Cause::AuthFailed,
        StoreError::InUse { .. } => Cause::Held,
        StoreError::Corrupt { .. } | StoreError::Refused { .. } | StoreError::Failed { .. } => Cause::Failed,
    }
}

fn of_archive(error: &ArchiveError) -> Cause {
    match error {
        ArchiveError::Unreachable { .. } => Cause::Unreachable,
        ArchiveError::AuthFailed { .. } => Cause::AuthFailed,
        ArchiveError::NoPlace { .. } => Cause::NoPlace,
        ArchiveError::Failed { .. } => Cause::Failed,
    }
}

fn of_corpus(error: &CorpusError) -> Cause {
    match error {
        CorpusError::Store(error) => of_store(error),
        CorpusError::Model { .. } => Cause::Model,
        CorpusError::Foreign { .. } | CorpusError::Lexical { .. } => Cause::Configuration,
        CorpusError::Restoring { .. } => Cause::Held,
        CorpusError::Unrecorded(_) | CorpusError::VectorsLost(_) => Cause::Failed,
    }
}
