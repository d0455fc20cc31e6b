//! Why one document failed, and what became of each. A document fails alone: nothing here ends a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::parse;
use crate::model::{DocumentRecord, InvalidDocumentId, Notices, Outcome};

/// Why a document was not ingested; the text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum FailureReason {
    /// The extension is none that can be read.
    #[error("{}", parse::unknown(.extension.as_deref()))]
    UnknownType {
        /// The extension, in lower case.
        extension: Option<String>,
    },
    /// There is no such file.
    #[error("no such file or folder")]
    NotFound,
    /// The process may not read it.
    #[error("no permission to read it; change its mode or owner")]
    NoPermission,
    /// A symbolic link leads back to a folder above it.
    #[error("symlink loop: it leads back to {target}; remove the link")]
    SymlinkLoop {
        /// Where it leads.
        target: String,
    },
    /// It is a device, a pipe or a socket.
    #[error("not a regular file")]
    NotAFile,
    /// Reading failed in another way.
    #[error("cannot be read: {cause}")]
    Unreadable {
        /// What the system said.
        cause: String,
    },
    /// It has no bytes, or only blank ones.
    #[error("empty: there is no text in it")]
    Empty,
    /// It has bytes, but nothing that a reader would see.
    #[error("no text in it that a reader would see")]
    NoText,
    /// It is a document of pictures.
    #[error("no text inside ({pages} pages of images); run OCR first")]
    Scanned {
        /// How many pages it has.
        pages: u32,
    },
    /// It is not UTF-8.
    #[error("invalid UTF-8 at byte {at}{}; save it as UTF-8", .hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
    InvalidUtf8 {
        /// Position of the first wrong byte, from 0.
        at: u64,
        /// What it may be instead.
        hint: Option<String>,
    },
    /// A byte of it means nothing in the encoding that it is in.
    #[error("invalid {encoding} at byte {at}; save it as UTF-8")]
    InvalidEncoding {
        /// The encoding that it says, or looks like.
        encoding: String,
        /// Position of the first wrong byte, from 0.
        at: u64,
    },
    /// It pretends to be text and is something else.
    #[error("binary: {what}")]
    Binary {
        /// How it was told.
        what: String,
    },
    /// It is larger than its format allows.
    #[error("too large: {bytes} bytes, at most {limit} are allowed; split it")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// It has more text than its size explains.
    #[error(
        "its {bytes} bytes hold more than {limit} bytes of text; it may be built to exhaust the reader, otherwise split it"
    )]
    Expands {
        /// Its size.
        bytes: u64,
        /// Text that so many bytes may hold.
        limit: u64,
    },
    /// It changed between two looks.
    #[error("it changed while it was read; ingest it again")]
    Changed,
    /// Its path cannot name a document.
    #[error("{cause}; rename it")]
    BadName {
        /// Why not.
        cause: String,
    },
    /// Another file of the same run has the same name.
    #[error("the name is taken by {by} of the same run; ingest one of them from another folder")]
    NameTaken {
        /// The other file.
        by: String,
    },
    /// Its title or metadata is too large.
    #[error("title and metadata have {bytes} bytes, at most {limit} are allowed")]
    MetadataTooLarge {
        /// Their size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The format's syntax is broken beyond reading.
    #[error("{cause}")]
    Malformed {
        /// What is broken.
        cause: String,
    },
    /// The model failed on it.
    #[error("{cause}")]
    Embedding {
        /// What the model said.
        cause: String,
    },
    /// The provider of the embedding model failed on it, and answered for other texts meanwhile.
    #[error(
        "the provider of the embedding model fails on it and answers for other texts ({cause}; tries: {tries}); ingest it again later, or in parts"
    )]
    Provider {
        /// The class of the failure, and what the provider said.
        cause: String,
        /// How often it was tried.
        tries: u32,
    },
    /// Another writer took the document over while it was written.
    #[error("another process wrote this document at the same time; ingest it again")]
    TakenOver,
    /// Somebody deleted the document after it was accepted and before it stood.
    #[error("the document was deleted after this text of it was accepted; send it again if it shall stand")]
    Deleted,
    /// It was to be found until a time that is over.
    #[error("expires_at is {at}, which is over; send a time that is to come, or none to keep it for good")]
    Expired {
        /// The time.
        at: Timestamp,
    },
    /// Its job was cancelled.
    #[error("its job was cancelled before it was ingested")]
    Cancelled,
    /// A store failed; the run ended with this document unfinished, and nothing of it is visible.
    #[error("{cause}")]
    Store {
        /// What the store said.
        cause: String,
    },
}

impl FailureReason {
    /// The class, as a metric label: a closed set.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UnknownType { .. } => "unknown_type",
            Self::NotFound => "not_found",
            Self::NoPermission => "no_permission",
            Self::SymlinkLoop { .. } => "symlink_loop",
            Self::NotAFile => "not_a_file",
            Self::Unreadable { .. } => "unreadable",
            Self::Empty => "empty",
            Self::NoText => "no_text",
            Self::Scanned { .. } => "scanned",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::InvalidEncoding { .. } => "invalid_encoding",
            Self::Binary { .. } => "binary",
            Self::TooLarge { .. } => "too_large",
            Self::Expands { .. } => "expands",
            Self::Changed => "changed",
            Self::BadName { .. } => "bad_name",
            Self::NameTaken { .. } => "name_taken",
            Self::MetadataTooLarge { .. } => "metadata_too_large",
            Self::Malformed { .. } => "malformed",
            Self::Embedding { .. } => "embedding",
            Self::Provider { .. } => "provider",
            Self::TakenOver => "taken_over",
            Self::Deleted => "deleted",
            Self::Expired { .. } => "expired",
            Self::Cancelled => "cancelled",
            Self::Store { .. } => "store",
        }
    }

    /// Number of the system's "too many levels of symbolic links" on Linux; the standard library has no stable name for it.
    const ELOOP: i32 = 40;

    pub(super) fn of_io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::PermissionDenied => Self::NoPermission,
            _ if error.raw_os_error() == Some(Self::ELOOP) => Self::SymlinkLoop { target: "itself".to_owned() },
            _ => Self::Unreadable { cause: error.to_string() },
        }
    }
}

impl From<InvalidDocumentId> for FailureReason {
    fn from(error: InvalidDocumentId) -> Self {
        Self::BadName { cause: error.to_string() }
    }
}

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentReport {
    /// The document's id, or the path where none could be made of it.
    pub name: String,
    /// What became of it.
    pub result: Result<Outcome, FailureReason>,
    /// Chunks that were written.
    pub chunks: u32,
    /// What is said of the version that stands.
    pub notices: Notices,
}

impl DocumentReport {
    pub(super) fn failed(name: &str, reason: FailureReason) -> Self {
        Self { name: name.to_owned(), result: Err(reason), chunks: 0, notices: Notices::NONE }
    }

    /// What is said of a document that stands as it was sent.
    pub(super) fn unchanged(standing: &DocumentRecord) -> Self {
        let (name, notices) = (standing.id.as_str().to_owned(), standing.notices.clone());
        Self { name, result: Ok(Outcome::Unchanged), chunks: 0, notices }
    }

    /// The outcome as a metric label: a closed set.
    pub fn outcome(&self) -> &'static str {
        match &self.result {
            Ok(Outcome::Created) => "created",
            Ok(Outcome::Updated) => "updated",
            Ok(Outcome::MetadataOnly) => "metadata_only",
            Ok(Outcome::Unchanged) => "unchanged",
            Ok(Outcome::DuplicateOf(_)) => "duplicate_of",
            Err(_) => "failed",
        }
    }
}
