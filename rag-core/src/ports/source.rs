//! What a snapshot is taken of: stores that this process has open, or a server that reads those which it alone may open.
//!
//! Reading only. All that a snapshot asks for goes through here, so that whoever lends its stores for one lends nothing else.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;

use super::{Epoch, Kind, Page, Record, Records, StoreError, VectorStore};
use crate::model::{ChunkId, ContentHash, DocumentId, Embedded};

/// Kinds of records that a snapshot holds beside documents. Jobs, claims and leases are work of the moment; what is derived from documents is made again.
pub const KEPT: [Kind; 3] = [Kind::Session, Kind::Feedback, Kind::Budget];

/// Most records of a page that is asked for.
pub const MOST_LISTED: usize = 256;
/// Most chunks that are asked for at once; it bounds the memory of a run beside its part.
pub const MOST_CHUNKS: u32 = 64;

/// Gives what a snapshot is made of, a piece at a time.
#[async_trait]
pub trait Source: Send + Sync {
    /// The epoch that is searched; none while nothing is.
    async fn active(&self) -> Result<Option<Epoch>, StoreError>;

    /// A record, if there is one.
    async fn record(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError>;

    /// Records of a kind by id in byte order, those after `after`, at most `limit`, which is at most [`MOST_LISTED`]. A page may be shorter; [`Page::next`] says whether it is the last.
    async fn records(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// How many records of a kind there are.
    async fn count(&self, kind: Kind) -> Result<u64, StoreError>;

    /// Those chunks of a version of a document that an epoch holds, of these places in it, which are at most [`MOST_CHUNKS`], in their order.
    async fn chunks(
        &self,
        epoch: Epoch,
        of: (&DocumentId, &ContentHash),
        places: Range<u32>,
    ) -> Result<Vec<Embedded>, StoreError>;
}

/// Stores that this process has open.
#[derive(Clone)]
pub struct OpenStores {
    /// Where the chunks are.
    pub vectors: Arc<dyn VectorStore>,
    /// Where the records are.
    pub records: Arc<dyn Records>,
}

#[async_trait]
impl Source for OpenStores {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        self.vectors.active().await
    }

    async fn record(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.records.get(kind, id).await
    }

    async fn records(&self, kind: Kind, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.records.list(kind, "", after, limit).await
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.records.count(kind).await
    }

    async fn chunks(
        &self,
        epoch: Epoch,
        (document, version): (&DocumentId, &ContentHash),
        places: Range<u32>,
    ) -> Result<Vec<Embedded>, StoreError> {
        let ids: Vec<_> = places.map(|place| ChunkId::new(document, version, place)).collect();
        let mut found = self.vectors.embedded(epoch, &ids).await?;
        found.sort_unstable_by_key(|embedded| embedded.chunk.ordinal);
        Ok(found)
    }
}
