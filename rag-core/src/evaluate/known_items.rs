//! Reads headings of stored documents for known-item queries.
//!
//! Bounded, whatever the corpus holds: of many documents some are drawn, the same ones each time, and of a long document the headings of evenly spaced chunks are read.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Deserialize;

use super::{
    EvaluateError,
    headings::{Headings, KnownItems},
    query_set::{JudgedQuery, SEED},
};
use crate::{
    model::{ChunkId, ContentHash, DocumentId, Tenant},
    ports::{Records, StoreError, VectorStore, documents_of},
};

/// Documents whose headings are read.
const MAX_DOCUMENTS: usize = 2_000;
/// Chunks of a document whose headings are read.
const MAX_CHUNKS_OF_DOCUMENT: u32 = 200;
/// Chunks that are read in all; each is about two kilobytes on its way.
const MAX_CHUNKS: usize = 20_000;
/// Chunks that are read at once.
const PAGE: usize = 128;
/// Documents that are listed at once.
const DOCUMENTS: usize = 500;

/// The part of a document's record that names its chunks.
#[derive(Deserialize)]
struct Stored {
    id: DocumentId,
    version: ContentHash,
    chunks: u32,
}

impl Stored {
    /// Some of its chunks, evenly spaced.
    fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        let step = self.chunks.div_ceil(MAX_CHUNKS_OF_DOCUMENT).max(1) as usize;
        (0..self.chunks).step_by(step).map(|ordinal| ChunkId::new(&self.id, &self.version, ordinal))
    }
}

/// At most so many questions out of the headings of what a tenant stored.
pub(super) async fn known_items(
    (store, records): (&dyn VectorStore, &dyn Records),
    tenant: &Tenant,
    most: usize,
) -> Result<(Vec<JudgedQuery>, KnownItems), EvaluateError> {
    let mut headings = Headings::default();
    let (some, documents) = documents(records, tenant).await?;
    let mut documents_read = 0;
    if let Some(epoch) = store.active().await? {
        let mut chunks = Vec::new();
        for document in some {
            if chunks.len() >= MAX_CHUNKS {
                break;
            }
            chunks.extend(document.chunks());
            documents_read += 1;
        }
        for page in chunks.chunks(PAGE) {
            for stored in store.embedded(epoch, page).await? {
                if let Some(heading) = stored.chunk.headings.last() {
                    headings.add(&stored.chunk.document, heading);
                }
            }
        }
    }
    let (queries, items) = headings.queries(most);
    Ok((queries, KnownItems { documents, documents_read, ..items }))
}

/// Some of the tenant's documents in no order, and how many there are: a reservoir, so that each has the same chance however many come.
async fn documents(records: &dyn Records, tenant: &Tenant) -> Result<(Vec<Stored>, u64), StoreError> {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut some, mut seen, mut after) = (Vec::new(), 0_u64, None::<String>);
    loop {
        let page = documents_of(records, tenant, "", after.as_deref(), DOCUMENTS).await?;
        for record in page.records {
            let document: Stored = serde_json::from_value(record.body).map_err(|error| StoreError::Corrupt {
                what: format!("the record of document {}", record.id),
                cause: error.to_string(),
            })?;
            seen += 1;
            if some.len() < MAX_DOCUMENTS {
                some.push(document);
            } else if let Some(place) =
                usize::try_from(random.random_range(0..seen)).ok().and_then(|at| some.get_mut(at))
            {
                *place = document;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    some.shuffle(&mut random);
    Ok((some, seen))
}
