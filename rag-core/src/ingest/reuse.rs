//! Which passages are embedded already: those of the version that stands, and those of a document with the same content.
//!
//! Guarantee: a vector is taken over only for a passage that is equal byte for byte, so that it is the vector which the model would give. What was removed meanwhile is embedded again.
//! Caveat: equal in the form that the embedder is given now. A chunk that was embedded when there was none keeps its vector until its text changes, or until `rag-server reindex`.
//! Memory is bounded: of a document with more chunks than [`MOST`] only the first are remembered.

use std::collections::HashMap;

use super::{Ingest, passage::passage};
use crate::{
    model::{Chunk, ChunkId, DocumentRecord},
    ports::StoreError,
};

/// Passages that are remembered, of 40 bytes each: those of a text of a hundred megabytes.
const MOST: usize = 200_000;
/// Chunks that are read at once.
const PAGE: u32 = 128;

type Key = [u8; 16];

/// Passages by what they say, and the chunks that have their vectors.
#[derive(Default)]
pub(super) struct Known(HashMap<Key, ChunkId>);

impl Known {
    /// The chunk that has the vector of a passage.
    pub(super) fn chunk(&self, passage: &str) -> Option<ChunkId> {
        self.0.get(&key(passage)).copied()
    }
}

impl Ingest {
    /// The passages of documents as they stand.
    pub(super) async fn known(&self, documents: &[&DocumentRecord]) -> Result<Known, StoreError> {
        let mut known = Known::default();
        for document in documents {
            let mut from = 0;
            while from < document.chunks && known.0.len() < MOST {
                let to = document.chunks.min(from.saturating_add(PAGE));
                let ids: Vec<_> =
                    (from..to).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect();
                for chunk in self.patiently(|| self.store.chunks(Some(self.epoch), &ids)).await? {
                    known.0.insert(key(&self.passage(&chunk)), chunk.id);
                }
                from = to;
            }
        }
        Ok(known)
    }

    /// Vectors of stored chunks.
    pub(super) async fn stored_vectors(&self, ids: &[ChunkId]) -> Result<HashMap<ChunkId, Vec<f32>>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let dimension = self.embedder.model().dimension;
        let stored = self.patiently(|| self.store.embedded(self.epoch, ids)).await?;
        let fitting = stored.into_iter().filter(|stored| stored.dense.len() == dimension);
        Ok(fitting.map(|stored| (stored.chunk.id, stored.dense)).collect())
    }

    /// What the embedder is given for a chunk.
    pub(super) fn passage(&self, chunk: &Chunk) -> String {
        let embedder = &self.embedder;
        let count = |text: &str| embedder.count_tokens(text);
        passage(&chunk.title, &chunk.headings, &chunk.text, embedder.max_tokens(), &count)
    }
}

fn key(passage: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(passage.as_bytes()).as_bytes()[..16]);
    key
}
