//! Which chunks may be shown: those whose document is committed at the version that they belong to, is the asking tenant's, passes the question's filter, and whose time is not over.
//!
//! The document's record is the commit point. A store may return chunks that were written before their record, or that outlived it; both are dropped here, and nowhere else. Tenant and
//! filter are looked at a second time: what the store was told is there to find the right ones quickly, what the record says decides.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
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
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// What may be shown.
#[derive(Debug, Default)]
pub(super) struct Visible {
    /// The chunks, in their order.
    pub(super) chunks: Vec<Chunk>,
    /// When the first of their documents expires; none where none does.
    pub(super) until: Option<Timestamp>,
}

/// The chunks that may be shown now to whoever asks.
pub(super) async fn visible(
    records: &dyn Records,
    query: &Query,
    chunks: Vec<Chunk>,
    now: Timestamp,
) -> Result<Visible, StoreError> {
    let documents = chunks.iter().map(|chunk| &chunk.document);
    let own = documents.filter(|document| document.tenant() == query.tenant);
    let ids: BTreeSet<&str> = own.map(DocumentId::key).collect();
    if ids.is_empty() {
        return Ok(Visible::default());
    }
    let ids: Vec<&str> = ids.into_iter().collect();
    let (mut shown, mut until) = (HashMap::with_capacity(ids.len()), None::<Timestamp>);
    for record in records.get_many(Kind::Document, &ids).await?.into_iter().filter(stands) {
        let committed: Committed = serde_json::from_value(record.body).map_err(|error| StoreError::Corrupt {
            what: format!("the record of document {}", record.id),
            cause: error.to_string(),
        })?;
        let is_over = committed.expires_at.is_some_and(|at| at <= now);
        if !is_over && query.filter.passes(|key| committed.metadata.get(key)?.as_str()) {
            until = until.into_iter().chain(committed.expires_at).min();
            shown.insert(record.id, committed.version);
        }
    }
    let is_shown = |chunk: &Chunk| shown.get(chunk.document.key()) == Some(&chunk.version);
    Ok(Visible { chunks: chunks.into_iter().filter(is_shown).collect(), until })
}
