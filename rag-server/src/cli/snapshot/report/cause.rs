//! Why a command of snapshots did not do what it was asked: a closed set, made of every error in one place.

use std::error::Error;

use serde::Serialize;

use super::super::absent::Absent;
use crate::{
    app::{AppError, SnapshotSetupError},
    corpus::CorpusError,
    ports::{ArchiveError, StoreError},
    snapshot::SnapshotError,
};

/// Why something was not done, by what whoever started it does about it. A retry by itself makes sense for `Unreachable`, `StoreUnreachable`, `Held`, `Stopped` and `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli::snapshot) enum Cause {
    /// There is a snapshot of this name already, taken for somebody else.
    Exists,
    /// There is no such snapshot.
    None,
    /// The stores hold something.
    NotEmpty,
    /// The snapshot is not what was taken.
    Damaged,
    /// A part of it is not there.
    Incomplete,
    /// A later program took it.
    NewerFormat,
    /// It bears no signature, and one is asked for.
    Unsigned,
    /// Its signature does not fit.
    Forged,
    /// It is encrypted, and the key is not here.
    NoKey,
    /// It is of another embedding model.
    Model,
    /// There is nothing to take.
    Empty,
    /// No snapshot would be left in the archive.
    Last,
    /// Another process is at it.
    Held,
    /// Somebody stopped it.
    Stopped,
    /// There is no room.
    NoRoom,
    /// Golden chunks of a restore were not found.
    NotFound,
    /// Fewer golden chunks of a drill were found than were to be.
    Recall,
    /// The archive cannot be reached.
    Unreachable,
    /// A credential was refused.
    AuthFailed,
    /// The archive's place is not there.
    NoPlace,
    /// Something else.
    Failed,
    /// The stores cannot be reached.
    StoreUnreachable,
    /// What is configured, or was asked for, cannot be.
    Configuration,
}

/// The class of any error of a command.
pub(super) fn of(error: &(dyn Error + 'static)) -> Cause {
    if let Some(error) = error.downcast_ref::<SnapshotError>() {
        return of_snapshot(error);
    }
    if error.is::<Absent>() {
        return Cause::None;
    }
    if let Some(error) = error.downcast_ref::<SnapshotSetupError>() {
        return match error {
            SnapshotSetupError::NoIdentity => Cause::NoKey,
            error => error.archive().map_or(Cause::Configuration, of_archive),
        };
    }
    if let Some(error) = error.downcast_ref::<AppError>() {
        return of_app(error);
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    if error.is::<crate::config::Problems>() { Cause::Configuration } else { Cause::Failed }
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
        SnapshotError::NoKey { .. } => Cause::NoKey,
        SnapshotError::Missing { .. } => Cause::Incomplete,
        SnapshotError::Model { .. } => Cause::Model,
        SnapshotError::NotEmpty(_) | SnapshotError::Begun(_) => Cause::NotEmpty,
        SnapshotError::Held { .. }
        | SnapshotError::TakenOver
        | SnapshotError::Drilling { .. }
        | SnapshotError::Moving { .. }
        | SnapshotError::Pending { .. }
        | SnapshotError::Removing { .. }
        | SnapshotError::Overdue => Cause::Held,
        SnapshotError::Unsteady(_)
        | SnapshotError::Counts { .. }
        | SnapshotError::Differs { .. }
        | SnapshotError::Written(_) => Cause::Failed,
        SnapshotError::NotFound { .. } => Cause::NotFound,
        SnapshotError::Recall { .. } => Cause::Recall,
        SnapshotError::NothingRestored(_) => Cause::Configuration,
        SnapshotError::Stopped => Cause::Stopped,
        SnapshotError::Last => Cause::Last,
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
        error if error.is_full() => Cause::NoRoom,
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
        // Somebody goes on with it, or has to.
        CorpusError::Restoring { .. } => Cause::Held,
        CorpusError::Unrecorded(_) | CorpusError::VectorsLost(_) => Cause::Failed,
    }
}

fn of_app(error: &AppError) -> Cause {
    match error {
        AppError::VectorStore(error) | AppError::Records(error) => of_store(error),
        AppError::Corpus(error) => of_corpus(error),
        AppError::Provider { .. } | AppError::Cache(_) | AppError::NoEngine | AppError::NoQdrant => {
            Cause::Configuration
        }
        AppError::Model(_)
        | AppError::Embedder(_)
        | AppError::Reranker(_)
        | AppError::Damaged(_)
        | AppError::Thread(_) => Cause::Failed,
    }
}
