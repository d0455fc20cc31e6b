//! Why a snapshot was not made, verified or restored.

use jiff::Timestamp;

use super::Name;
use crate::{
    corpus::CorpusError,
    model::DocumentId,
    ports::{ArchiveError, ModelIdentity, StoreError},
};

/// Why a snapshot was not made, verified or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive did not do what it was asked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The corpus is somebody else's, or its record is damaged.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Nothing was ever ingested here.
    #[error("there is nothing to take a snapshot of: the vector store has no active epoch; ingest documents first")]
    Empty,
    /// There is a snapshot of this name.
    #[error("the archive has a snapshot {0} already, and a snapshot never changes; choose another name")]
    Exists(Name),
    /// There is no snapshot of this name.
    #[error("the archive has no snapshot {0}; `rag-server snapshot list` names those that it has")]
    Unknown(Name),
    /// The archive has no snapshot at all.
    #[error("the archive has no snapshot yet; `rag-server snapshot create` makes one")]
    None,
    /// The manifest is not what a manifest looks like.
    #[error("the manifest of snapshot {name} is damaged: {cause}; use another snapshot")]
    Unreadable {
        /// Of which snapshot.
        name: Name,
        /// What is wrong with it.
        cause: String,
    },
    /// A later version of this program wrote it.
    #[error("snapshot {name} is of format {found} and this rag-server reads up to {readable}; use a newer one")]
    Newer {
        /// Which snapshot.
        name: Name,
        /// Its format.
        found: u32,
        /// The newest that is read here.
        readable: u32,
    },
    /// A signature is asked for, and there is none.
    #[error(
        "the manifest of snapshot {0} is not signed, and snapshots.signing_key_file asks for a signature; unset it to trust whoever may write to the archive"
    )]
    Unsigned(Name),
    /// The signature is of another key, or of another manifest.
    #[error(
        "the signature of snapshot {0} does not fit: its manifest was changed, or signed with another key than snapshots.signing_key_file holds"
    )]
    Forged(Name),
    /// It is encrypted, and what decrypts it is not here.
    #[error(
        "snapshot {name} is encrypted for {}, and {}; name the file with its identity in snapshots.encryption.identity_file",
        keys(.recipients), held(.identities)
    )]
    NoKey {
        /// Which snapshot.
        name: Name,
        /// Fingerprints of the recipients that it is encrypted for.
        recipients: Vec<String>,
        /// Fingerprints of the recipients whose identities are here.
        identities: Vec<String>,
    },
    /// A part is not there.
    #[error("snapshot {name} is incomplete: its part {part} is not in the archive; use another snapshot")]
    Missing {
        /// Which snapshot.
        name: Name,
        /// The part's name.
        part: String,
    },
    /// A part is not what the manifest says.
    #[error("snapshot {name} is damaged: its part {part} {cause}; use another snapshot")]
    Damaged {
        /// Which snapshot.
        name: Name,
        /// The part's name.
        part: String,
        /// What is wrong with it, as the end of a sentence.
        cause: String,
    },
    /// An object of a part's name is not that part.
    #[error(
        "the archive holds an object {0} that is not what its name says; every snapshot that names it is damaged: move it away and take the snapshot again"
    )]
    Spoiled(String),
    /// It holds vectors of another model.
    #[error(
        "snapshot {name} holds vectors of {} ({} numbers) and this server embeds with {} ({} numbers); configure that model, and change it afterwards with `rag-server reindex`",
        .found.name, .found.dimension, .expected.name, .expected.dimension
    )]
    Model {
        /// Which snapshot.
        name: Name,
        /// The model of its vectors.
        found: ModelIdentity,
        /// The configured one.
        expected: ModelIdentity,
    },
    /// The stores hold something.
    #[error(
        "the stores hold {0} documents, and a restore fills empty stores only; name another folder or collection, or remove the documents first"
    )]
    NotEmpty(u64),
    /// Another snapshot's restore was begun here.
    #[error(
        "the stores hold a part of snapshot {0}, whose restore was cut short; restore that one to its end, or empty the stores"
    )]
    Begun(String),
    /// Another process works on it.
    #[error(
        "another process restores into these stores just now, and has the sole right to until {until:.0}, which it prolongs while it works; wait until it is done, or, if it died, until that time"
    )]
    Held {
        /// When its right ends, unless it prolongs it.
        until: Timestamp,
    },
    /// Another process goes on with the work.
    #[error(
        "this process was silent for so long that another one may go on with the restore; run it again to see how far it is"
    )]
    TakenOver,
    /// A document changed at each look.
    #[error("the document {} changes too often to be read whole; try again when less is written", .0.as_str())]
    Unsteady(DocumentId),
    /// Another process removes parts, and may remove those that this one relies on.
    #[error(
        "another process removes snapshots from this archive just now; try again when it is done, or, if it died, after {until:.0}"
    )]
    Removing {
        /// When its right ends.
        until: Timestamp,
    },
    /// Parts that it relied on may have been removed meanwhile.
    #[error(
        "the snapshot was not finished: parts that were there are gone, or may be, since this process was silent for hours; begin again"
    )]
    Overdue,
    /// No snapshot would be left.
    #[error("no snapshot would be left in the archive, so none was removed; say --last to remove the last one, too")]
    Last,
    /// What was restored does not find itself.
    #[error(
        "{missed} of {asked} chunks that snapshot {name} names as proof are not found in what was restored; nothing was activated"
    )]
    NotFound {
        /// Which snapshot.
        name: Name,
        /// Chunks that were not found.
        missed: usize,
        /// Chunks that were looked for.
        asked: usize,
    },
    /// What was restored is not as much as was read.
    #[error(
        "{documents} documents with {chunks} chunks are there in the place of {} with {}: the store did not keep what was written; nothing was activated",
        .expected.0, .expected.1
    )]
    Counts {
        /// Documents that are there.
        documents: u64,
        /// Chunks that are there.
        chunks: u64,
        /// Documents and chunks that were written.
        expected: (u64, u64),
    },
    /// What was restored is not what was read.
    #[error("{what} is not in the stores as it is in snapshot {name}: the store did not keep what was written")]
    Differs {
        /// Which snapshot.
        name: Name,
        /// Which document or record.
        what: String,
    },
    /// Too few chunks find themselves.
    #[error(
        "{found} of {asked} chunks that snapshot {name} names as proof are found in what was restored, and at least {least} of them are to be; take another snapshot, and look at the log of the vector store"
    )]
    Recall {
        /// Which snapshot.
        name: Name,
        /// Chunks that were found.
        found: usize,
        /// Chunks that were looked for.
        asked: usize,
        /// The share that must be found, 0 to 1, as a text such as `0.95`.
        least: String,
    },
    /// A drill is at work.
    #[error(
        "another drill is at work over these stores until {until:.0}, unless it prolongs that; wait until it is done"
    )]
    Drilling {
        /// When its right ends.
        until: Timestamp,
    },
    /// Something else changes the searched epoch.
    #[error(
        "{by} changes the searched epoch just now, until {until:.0} unless it prolongs that; wait until it is done"
    )]
    Moving {
        /// What it says that it is.
        by: String,
        /// When its right ends.
        until: Timestamp,
    },
    /// Jobs are not done.
    #[error(
        "{jobs} jobs that were accepted before are not done, and {writing} documents are being written; a restore does not take them over: wait until they are done, or end them, and run it again"
    )]
    Pending {
        /// Jobs that are not finished.
        jobs: u64,
        /// Documents in work.
        writing: u64,
    },
    /// Somebody wrote although writes were refused.
    #[error(
        "{0} documents were written or deleted while the restore was at work, by a server of an older version or from the command line; nothing was activated: stop whoever writes, and run it again"
    )]
    Written(u64),
    /// No restore stands that could be confirmed or undone.
    #[error("no restore stands that could be {0}: there is one after `rag-server snapshot restore --replace`")]
    NothingRestored(&'static str),
    /// No snapshot is so old.
    #[error(
        "no snapshot of the archive that can be read began before {0}; `rag-server snapshot list` tells when each began"
    )]
    NoneBefore(Timestamp),
    /// Somebody stopped it.
    #[error("stopped; what was written is kept, and the same command goes on with it")]
    Stopped,
}

/// Recipients by their fingerprints, in the midst of a sentence.
fn keys(fingerprints: &[String]) -> String {
    match fingerprints {
        [one] => format!("the recipient with the fingerprint {one}"),
        several => format!("the recipients with the fingerprints {}", several.join(", ")),
    }
}

/// What is here, in the midst of a sentence.
fn held(fingerprints: &[String]) -> String {
    match fingerprints {
        [] => "no identity is configured".to_owned(),
        some => format!("the identity here is that of {}", keys(some)),
    }
}
