//! Where snapshots are kept: objects with names, written once.
//!
//! Guarantees: an object that is there is whole; of two writers of one name one wins and the other learns so; nothing that was written changes.

use async_trait::async_trait;

/// Why an archive did not do what it was asked, by what a person would do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// No connection, or no answer in time.
    #[error("the archive at {place} cannot be reached: {cause}")]
    Unreachable {
        /// Where.
        place: String,
        /// What the network said.
        cause: String,
    },
    /// The credential was refused.
    #[error("the archive at {place} refused the credential; check its files and what they may do there")]
    AuthFailed {
        /// Where.
        place: String,
    },
    /// The place itself is not there.
    #[error("there is no archive at {place}; make the folder or the bucket first, or name another one")]
    NoPlace {
        /// Where.
        place: String,
    },
    /// It failed in a way that has no class of its own, such as a full disk.
    #[error("the archive at {place} failed: {cause}")]
    Failed {
        /// Where.
        place: String,
        /// What it said.
        cause: String,
    },
}

impl ArchiveError {
    /// The class, as a metric label: a closed set.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::AuthFailed { .. } => "auth_failed",
            Self::NoPlace { .. } => "no_place",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Keeps objects. Names are of letters, digits, `-`, `.` and `/`.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Writes an object unless there is one of this name; tells whether it was written. Durable, and seen whole or not at all, when it returns.
    async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ArchiveError>;

    /// The object, if there is one.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError>;

    /// Bytes of the object, if there is one; it is not read.
    async fn size(&self, name: &str) -> Result<Option<u64>, ArchiveError>;

    /// Names that begin with a folder's, such as `manifests/`, in byte order.
    async fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// Where it is, for people: a folder, or a bucket with its prefix.
    fn place(&self) -> &str;
}
