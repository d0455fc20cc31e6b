//! Why a store did not do what it was asked, by the class of the cause.

use crate::key_file::NoKey;

/// A failure of a store, classed by what a person would do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No connection; worth another try.
    #[error("{store} at {address} cannot be reached: {cause}")]
    Unreachable {
        /// What was asked, for example `the vector store`.
        store: &'static str,
        /// Where.
        address: String,
        /// What the network said.
        cause: String,
    },
    /// The credential was refused; another try needs another credential.
    #[error("{store} at {address} refused the credential; check its file")]
    AuthFailed {
        /// What was asked.
        store: &'static str,
        /// Where.
        address: String,
    },
    /// There is no credential to show; another try needs another file.
    #[error("{store} cannot be asked, because of its credential: {cause}")]
    NoKey {
        /// What was to be asked.
        store: &'static str,
        /// What is wrong with the file.
        cause: NoKey,
    },
    /// No answer within the deadline; worth another try.
    #[error("{store} did not answer within {seconds} s")]
    Timeout {
        /// What was asked.
        store: &'static str,
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The store asks to be left alone for a while.
    #[error("{store} is overloaded; try again in {retry_after_seconds} s")]
    RateLimited {
        /// What was asked.
        store: &'static str,
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// Another process holds the data.
    #[error("{path} is in use by another process; stop it, or ask it over HTTP with --server")]
    InUse {
        /// The folder or the file.
        path: String,
    },
    /// What is stored cannot be read.
    #[error("{what} cannot be read: {cause}; restore it from a snapshot, or remove it and ingest again")]
    Corrupt {
        /// Which file or record.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The request makes no sense to the store; another try will not help.
    #[error("{store} refused the request: {cause}")]
    Refused {
        /// What was asked.
        store: &'static str,
        /// Why.
        cause: String,
    },
    /// The store failed in a way that has no class of its own, such as a full disk.
    #[error("{store} failed: {cause}")]
    Failed {
        /// What was asked.
        store: &'static str,
        /// What it said.
        cause: String,
    },
}

/// Whether a cause is that the disk is full, as the kernel, SQLite and the adapter of the engine say it.
pub(super) fn says_full(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    ["no space left", "disk is full", "is the disk full"].iter().any(|words| cause.contains(words))
}

/// Whether a cause is that what is stored may not be changed, as the kernel and SQLite say it.
fn says_read_only(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    ["read-only file system", "readonly database", "permission denied"].iter().any(|words| cause.contains(words))
}

impl StoreError {
    /// Whether there is no room left on its disk: what is stored can be read, and it heals by itself when there is room again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Failed { cause, .. } if says_full(cause))
    }

    /// Whether its disk, or this user, may read and not write.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Failed { cause, .. } if !says_full(cause) && says_read_only(cause))
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::RateLimited { .. } | Self::Failed { .. } => true,
            Self::AuthFailed { .. }
            | Self::NoKey { .. }
            | Self::InUse { .. }
            | Self::Corrupt { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// What is the matter, for whoever may not see addresses and files.
    pub fn in_short(&self) -> String {
        match self {
            Self::Unreachable { store, .. } | Self::Timeout { store, .. } => format!("{store} does not answer"),
            Self::AuthFailed { store, .. } | Self::NoKey { store, .. } => {
                format!("{store} cannot be asked for want of a credential that it takes")
            }
            Self::RateLimited { store, .. } => format!("{store} is overloaded"),
            Self::InUse { .. } => "the data is in use by another process".to_owned(),
            Self::Corrupt { .. } => "something that is stored cannot be read".to_owned(),
            Self::Refused { store, .. } => format!("{store} refuses a request of the server"),
            Self::Failed { store, cause } if says_full(cause) => match *store {
                // It is one of those that are spoken of as several.
                "the records" => "the records have no room left on their disk".to_owned(),
                store => format!("{store} has no room left on its disk"),
            },
            Self::Failed { store, .. } if self.is_read_only() => {
                format!("what {store} stored may be read and not written")
            }
            Self::Failed { store, .. } => format!("{store} fails; the log has more"),
        }
    }

    /// The class, as a metric label: a closed set.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::AuthFailed { .. } | Self::NoKey { .. } => "auth_failed",
            Self::Timeout { .. } => "timeout",
            Self::RateLimited { .. } => "rate_limited",
            Self::InUse { .. } => "in_use",
            Self::Corrupt { .. } => "corrupt",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } if self.is_full() => "disk_full",
            Self::Failed { .. } if self.is_read_only() => "read_only",
            Self::Failed { .. } => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: &str) -> StoreError {
        StoreError::Failed { store: "the records", cause: cause.to_owned() }
    }

    #[test]
    fn a_full_disk_and_one_that_may_not_be_written_are_told_from_other_failures() {
        for (cause, class, says) in [
            ("/data/e1: No space left on device (os error 28)", "disk_full", "no room left"),
            ("/data/r: error returned from database: (code: 13) database or disk is full", "disk_full", "no room left"),
            ("/data/lock cannot be locked: Read-only file system (os error 30)", "read_only", "not written"),
            (
                "/data/r: error returned from database: (code: 8) attempt to write a readonly database",
                "read_only",
                "not written",
            ),
            ("/data/lock cannot be locked: Permission denied (os error 13)", "read_only", "not written"),
            ("/data/r: error returned from database: (code: 1) no such table", "failed", "the log has more"),
        ] {
            let error = failed(cause);
            assert_eq!((error.cause(), error.is_transient()), (class, true), "{cause}");
            assert!(error.in_short().contains(says) && !error.in_short().contains("/data"), "{}", error.in_short());
        }
    }
}
