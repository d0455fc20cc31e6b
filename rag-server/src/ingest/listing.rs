//! The documents of one tenant, page by page. Whatever other tenants store is stepped over, and neither shown nor counted.

use super::{Ingest, document_of};
use crate::{
    model::{Chunk, ChunkId, DocumentId, DocumentRecord, Tenant, key_prefix},
    ports::{Kind, StoreError},
};

/// The last key that a tenant's documents may have: nothing sorts behind this character.
const LAST: char = char::MAX;

impl Ingest {
    /// Documents of a tenant whose name begins with a prefix, at most `limit` and at least 1, in the order of their names; with the name after which the next page begins.
    pub async fn documents_below(
        &self,
        tenant: &Tenant,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DocumentRecord>, Option<String>), StoreError> {
        let below = key_prefix(tenant, prefix);
        let mut after = after.map(|after| key_prefix(tenant, after));
        let mut documents: Vec<DocumentRecord> = Vec::new();
        loop {
            let left = limit.max(1) - documents.len();
            let page = self.patiently(|| self.records.list(Kind::Document, &below, after.as_deref(), left)).await?;
            for record in &page.records {
                let document = document_of(record)?;
                if document.id.tenant() == *tenant {
                    documents.push(document);
                }
            }
            let Some(next) = page.next else { return Ok((documents, None)) };
            if documents.len() >= limit {
                let last = documents.last().map(|document| document.id.as_str().to_owned());
                return Ok((documents, last));
            }
            after = Some(behind(&next, tenant));
        }
    }
}

/// Chunks that are read together.
const CHUNKS: u32 = 100;

impl Ingest {
    /// The chunks of a document from the one with this number on, in their order, at most 100; and the number of the next one.
    pub async fn chunks(&self, document: &DocumentRecord, from: u32) -> Result<(Vec<Chunk>, Option<u32>), StoreError> {
        let to = document.chunks.min(from.saturating_add(CHUNKS));
        let ids: Vec<_> = (from..to).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect();
        let stored = self.patiently(|| self.store.embedded(self.epoch, &ids)).await?;
        let mut chunks: Vec<_> = stored.into_iter().map(|stored| stored.chunk).collect();
        chunks.sort_by_key(|chunk| chunk.ordinal);
        Ok((chunks, (to < document.chunks).then_some(to)))
    }
}

/// Where to go on after this key: behind all documents of another tenant at once.
fn behind(key: &str, tenant: &Tenant) -> String {
    match DocumentId::of_key(key).map(|id| id.tenant()) {
        Ok(other) if other != *tenant => key_prefix(&other, &LAST.to_string()),
        _ => key.to_owned(),
    }
}
