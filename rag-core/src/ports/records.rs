//! Where documents, jobs and everything else that is not a vector is recorded.
//!
//! Only operations that SQLite, Postgres and Qdrant's payload collections can all keep: put if absent, compare and set on a version, remove, get, list. There is no read-modify-write.
//! Guarantees: a write is durable when it returns; of two racing writers exactly one wins, and the other learns what stands there; the version of a record only ever grows, also after it was removed and put again, so that
//! what was read before a removal never writes after it.

use async_trait::async_trait;
use serde_json::Value;

use super::StoreError;

/// What kind of thing a record describes; records of different kinds never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A committed document.
    Document,
    /// An ingestion job.
    Job,
    /// A job that is not finished, and how much it keeps.
    Waiting,
    /// Parts of the documents that a job has yet to ingest.
    Pending,
    /// The claim on a document that is being written, and the versions whose chunks are removed if its writer dies.
    Claim,
    /// What a corpus was built with, and whose it is.
    Corpus,
    /// Who works on something just now.
    Lease,
    /// A pair of a content hash and a document that has the content.
    Content,
    /// The job that a request with an idempotency key was answered with.
    Idempotency,
    /// What a month's answers cost.
    Budget,
    /// A conversation.
    Session,
    /// What somebody thinks of an answer.
    Feedback,
    /// That a document was deleted, for what was accepted before.
    Deletion,
    /// How much of a vendor's quota was handed out to the replicas.
    Quota,
    /// What a process spent on a day.
    Cost,
    /// What administrators decided for all servers of a corpus at once.
    Fleet,
    /// When a document is found no more, by time.
    Expiry,
    /// A committed document of the second edition, see `Edition`.
    SecondDocument,
    /// What [`Kind::Content`] is in the second edition.
    SecondContent,
    /// What [`Kind::Claim`] is in the second edition.
    SecondClaim,
    /// What [`Kind::Expiry`] is in the second edition.
    SecondExpiry,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Document,
        Self::Job,
        Self::Waiting,
        Self::Pending,
        Self::Claim,
        Self::Corpus,
        Self::Lease,
        Self::Content,
        Self::Idempotency,
        Self::Budget,
        Self::Session,
        Self::Feedback,
        Self::Deletion,
        Self::Quota,
        Self::Cost,
        Self::Fleet,
        Self::Expiry,
        Self::SecondDocument,
        Self::SecondContent,
        Self::SecondClaim,
        Self::SecondExpiry,
    ];

    /// The name that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Job => "job",
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            // The name that it had at first: claims of servers that run while one of them is updated must meet.
            Self::Claim => "purge",
            Self::Corpus => "corpus",
            Self::Lease => "lease",
            Self::Content => "content",
            Self::Idempotency => "idempotency",
            Self::Budget => "budget",
            Self::Session => "session",
            Self::Feedback => "feedback",
            Self::Deletion => "deletion",
            Self::Quota => "quota",
            Self::Cost => "cost",
            Self::Fleet => "fleet",
            Self::Expiry => "expiry",
            Self::SecondDocument => "document_2",
            Self::SecondContent => "content_2",
            Self::SecondClaim => "claim_2",
            Self::SecondExpiry => "expiry_2",
        }
    }
}

/// A record as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id, unique within its kind; 1 to 1024 bytes.
    pub id: String,
    /// Grows by 1 with each write, and by more when the record is put again after a removal: no version of an id ever comes back.
    pub version: u64,
    /// Its content, at most about a megabyte.
    pub body: Value,
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// The record is new.
    Created(Record),
    /// Another stood there and still does.
    Existing(Record),
}

/// What became of a compare-and-set or a removal.
#[derive(Debug, Clone, PartialEq)]
pub enum Swap {
    /// It was done. After a removal this holds what was removed.
    Done(Record),
    /// The version was another one, or there is no such record; this is what stands there.
    Conflict(Option<Record>),
}

/// One page of a listing, ordered by id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Pass this as `after` for the next page; none at the end.
    pub next: Option<String>,
}

/// Keeps records.
#[async_trait]
pub trait Records: Send + Sync {
    /// Whether no other process can write here for as long as this one has it open: what an earlier process left in work is then nobody's.
    fn exclusive(&self) -> bool;

    /// The record, if there is one.
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError>;

    /// Those of the records that exist, in any order.
    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError>;

    /// Writes a record that does not exist. Its version is above every one that this id ever had.
    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError>;

    /// Replaces a record if its version still is `expected`.
    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError>;

    /// Removes a record if its version still is `expected`.
    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError>;

    /// Records whose id begins with `prefix`, by id in byte order, those after `after`, at most `limit`.
    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// How many records of a kind there are.
    async fn count(&self, kind: Kind) -> Result<u64, StoreError>;

    /// Flushes and lets go; nothing is lost without it.
    async fn close(&self) -> Result<(), StoreError>;
}
