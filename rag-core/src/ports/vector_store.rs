//! Where chunks and their vectors live.
//!
//! A corpus is a series of epochs; exactly one is active and searched. A new epoch is filled beside the active one and then activated in one step.
//! Guarantees: a write is durable when it returns, and repeating it changes nothing (ids are deterministic). Searches see every acknowledged write of every process.
//! Caveat: a search may return chunks whose document is not committed; the caller drops those by the document's record.

use async_trait::async_trait;

use super::{Epoch, StoreError};
use crate::model::{Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Embedded, Legs, Point, SparseVector, Tenant};

/// What is searched for. At least one leg is set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Search {
    /// The epoch that is searched; none: the active one.
    pub epoch: Option<Epoch>,
    /// Vector of the dense leg, length 1.
    pub dense: Option<Vec<f32>>,
    /// Term weights of the lexical leg (1 for each term of the question; the store multiplies the inverse document frequency in).
    pub lexical: Option<SparseVector>,
    /// Hits wanted from each leg.
    pub limit: usize,
    /// Which chunks are looked at.
    pub only: Only,
}

/// Which chunks a search looks at, before the best are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Only {
    /// Those of one tenant; none: of all, for a corpus that has but one.
    pub tenant: Option<Tenant>,
    /// Those that have one label of each group. No group is empty.
    pub labels: Vec<Vec<String>>,
}

/// One page of what an epoch holds, ordered by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The chunks.
    pub held: Vec<ChunkPlace>,
    /// Pass this as `after` for the next page, which may be empty; none at the end.
    pub next: Option<ChunkId>,
}

/// How the index of an epoch is, as far as its store tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Index {
    /// Parts that a search looks through one after the other; many make it slow.
    pub segments: u64,
    /// Vectors that an index finds. The others are compared one by one, which is right for a small corpus and slow for a large one.
    pub indexed_vectors: u64,
    /// Whether nothing waits to be optimised.
    pub is_optimized: Option<bool>,
}

/// Stores points and finds them again.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// The active epoch, or none before the first activation.
    async fn active(&self) -> Result<Option<Epoch>, StoreError>;

    /// Makes an empty epoch for vectors of `dimension`; does nothing when it exists.
    async fn create_epoch(&self, epoch: Epoch, dimension: usize) -> Result<(), StoreError>;

    /// Makes `epoch` the searched one, in one step. Refused when it does not exist.
    async fn activate(&self, epoch: Epoch) -> Result<(), StoreError>;

    /// The epochs that exist, the oldest first; one that was recorded may never have been made.
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError>;

    /// Removes an epoch with all that it holds; nothing happens when it does not exist. A later write to it is refused.
    ///
    /// Refused for the active one. Caveat: the look and the removal are two steps, so the caller makes sure that nobody activates the epoch meanwhile.
    async fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError>;

    /// Writes points to an epoch.
    async fn upsert(&self, epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError>;

    /// Removes the chunks of one version of a document from an epoch. Others stay, whoever writes them.
    async fn purge(&self, epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError>;

    /// Replaces the labels of a document's chunks in an epoch.
    async fn relabel(&self, epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError>;

    /// Those of the chunks that an epoch holds, in any order, with their dense vectors: what is not changed need not be embedded again.
    async fn embedded(&self, epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError>;

    /// Searches an epoch, each leg best first. Empty before the first activation; an epoch that is asked for by its number must exist.
    ///
    /// Only ids and scores: what a chunk says is worth reading for the few that are shown.
    async fn search(&self, search: &Search) -> Result<Legs, StoreError>;

    /// Those of the chunks that an epoch holds, in any order; none: the active one.
    async fn chunks(&self, epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError>;

    /// What an epoch holds, by id, those after `after`, at most `limit` and as many as the store likes to give at once.
    ///
    /// Pages are read one after the other while others write: what stood before the first page and stays is in one of them, once; of what comes or goes meanwhile nothing is promised.
    async fn scan(&self, epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError>;

    /// How many chunks an epoch holds, the uncommitted ones included.
    async fn count(&self, epoch: Epoch) -> Result<u64, StoreError>;

    /// How the index of an epoch is; none where the store has nothing to tell.
    async fn index(&self, _epoch: Epoch) -> Result<Option<Index>, StoreError> {
        Ok(None)
    }

    /// Flushes and lets go; nothing is lost without it.
    async fn close(&self) -> Result<(), StoreError>;
}
