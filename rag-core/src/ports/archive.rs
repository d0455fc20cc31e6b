//! Where snapshots are kept: objects with names, written once.
//!
//! Guarantees: an object that is there is whole; of two writers of one name one wins and the other learns so; what was written changes never, and goes only when it is removed.

use async_trait::async_trait;

use super::error::says_full;

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
    /// Whether there is no room left where it is.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Failed { cause, .. } if says_full(cause))
    }
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its name, the folder's among it.
    pub name: String,
    /// How large it is.
    pub bytes: u64,
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

    /// Objects whose names begin with a folder's, such as `manifests/`, in the byte order of the names. What was written or removed before is seen.
    async fn list(&self, folder: &str) -> Result<Vec<Object>, ArchiveError>;

    /// Removes an object; that there is none is no failure. Whoever lists or reads afterwards does not see it.
    async fn remove(&self, name: &str) -> Result<(), ArchiveError>;

    /// Where it is, for people: a folder, or a bucket with its prefix.
    fn place(&self) -> &str;
}
