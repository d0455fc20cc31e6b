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
fn says_full(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    ["no space left", "disk is full", "is the disk full"].iter().any(|words| cause.contains(words))
}

impl StoreError {
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
            Self::Failed { .. } => "failed",
        }
    }
}
