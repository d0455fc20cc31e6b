//! Which chunks may be shown: those whose document is committed at the version that they belong to, is the asking tenant's, and passes the question's filter.
//!
//! The document's record is the commit point. A store may return chunks that were written before their record, or that outlived it; both are dropped here, and nowhere else. Tenant and
//! filter are looked at a second time: what the store was told is there to find the right ones quickly, what the record says decides.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    model::{Chunk, ContentHash, DocumentId, Query},
    ports::{Kind, Records, StoreError, stands},
};

/// The part of a document's record that decides.
#[derive(Deserialize)]
struct Committed {
    version: ContentHash,
    #[serde(default)]
    metadata: Value,
}

/// The chunks that may be shown to whoever asks, in their order.
pub(super) async fn visible(
    records: &dyn Records,
    query: &Query,
    chunks: Vec<Chunk>,
) -> Result<Vec<Chunk>, StoreError> {
    let documents = chunks.iter().map(|chunk| &chunk.document);
    let own = documents.filter(|document| document.tenant() == query.tenant);
    let ids: BTreeSet<&str> = own.map(DocumentId::key).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut shown = HashMap::with_capacity(ids.len());
    for record in records.get_many(Kind::Document, &ids).await?.into_iter().filter(stands) {
        let committed: Committed = serde_json::from_value(record.body).map_err(|error| StoreError::Corrupt {
            what: format!("the record of document {}", record.id),
            cause: error.to_string(),
        })?;
        if query.filter.passes(|key| committed.metadata.get(key)?.as_str()) {
            shown.insert(record.id, committed.version);
        }
    }
    let is_shown = |chunk: &Chunk| shown.get(chunk.document.key()) == Some(&chunk.version);
    Ok(chunks.into_iter().filter(is_shown).collect())
}
