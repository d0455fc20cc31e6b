//! What is stored, read back: documents page by page, and the chunks of one.

use std::collections::HashSet;

use super::{Ingest, document_of};
use crate::{
    model::{Chunk, ChunkId, DocumentRecord, Tenant},
    ports::{StoreError, documents_of},
};

/// Chunks that are read together.
const CHUNKS: u32 = 100;
/// Chunks that are asked for together to see whether they are there.
const ENDS: usize = 256;

impl Ingest {
    /// Documents of a tenant whose name begins with a prefix, at most `limit` and at least 1, in the order of their names; with the name after which the next page begins.
    pub async fn documents_below(
        &self,
        tenant: &Tenant,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DocumentRecord>, Option<String>), StoreError> {
        let page = self.patiently(|| documents_of(&*self.records, tenant, prefix, after, limit)).await?;
        let documents = page.records.iter().map(document_of).collect::<Result<_, _>>()?;
        Ok((documents, page.next))
    }

    /// The chunks of a document from the one with this number on, in their order, at most 100; and the number of the next one.
    pub async fn chunks(&self, document: &DocumentRecord, from: u32) -> Result<(Vec<Chunk>, Option<u32>), StoreError> {
        let to = document.chunks.min(from.saturating_add(CHUNKS));
        let ids: Vec<_> = (from..to).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect();
        let mut chunks = self.patiently(|| self.store.chunks(Some(self.epoch), &ids)).await?;
        chunks.sort_by_key(|chunk| chunk.ordinal);
        Ok((chunks, (to < document.chunks).then_some(to)))
    }

    /// Whether the epoch that is written to has the chunks that a record promises.
    pub(super) async fn is_whole(&self, document: &DocumentRecord) -> Result<bool, StoreError> {
        Ok(self.whole(std::iter::once(document)).await?.contains(document.id.key()))
    }

    /// The keys of those documents of which the epoch that is written to has the first and the last chunk. What is in one epoch and not in another lacks one of them: an epoch is filled in order.
    pub(super) async fn whole<'d>(
        &self,
        documents: impl Iterator<Item = &'d DocumentRecord>,
    ) -> Result<HashSet<String>, StoreError> {
        let documents: Vec<_> = documents.collect();
        let ends = |document: &DocumentRecord| {
            let last = document.chunks.saturating_sub(1);
            [0, last].map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal))
        };
        let ids: Vec<ChunkId> = documents.iter().flat_map(|document| ends(document)).collect();
        let mut there = HashSet::new();
        for some in ids.chunks(ENDS) {
            let found = self.patiently(|| self.store.chunks(Some(self.epoch), some)).await?;
            there.extend(found.into_iter().map(|chunk| chunk.id));
        }
        let whole = documents.into_iter().filter(|document| ends(document).iter().all(|id| there.contains(id)));
        Ok(whole.map(|document| document.id.key().to_owned()).collect())
    }
}
