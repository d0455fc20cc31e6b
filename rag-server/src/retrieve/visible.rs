//! Which hits may be shown: those whose document is committed at the version that they belong to.
//!
//! The document's record is the commit point. A store may return chunks that were written before their record, or that outlived it; both are dropped here, and nowhere else.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use crate::{
    model::{ContentHash, Hit, Legs},
    ports::{Kind, Records, StoreError},
};

/// The part of a document's record that decides.
#[derive(Deserialize)]
struct Committed {
    version: ContentHash,
}

/// The hits that are committed, in their order.
pub(super) async fn visible(records: &dyn Records, legs: Legs) -> Result<Legs, StoreError> {
    let ids: BTreeSet<&str> = legs.dense.iter().chain(&legs.lexical).map(|hit| hit.chunk.document.as_str()).collect();
    if ids.is_empty() {
        return Ok(legs);
    }
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut versions = HashMap::with_capacity(ids.len());
    for record in records.get_many(Kind::Document, &ids).await? {
        let committed: Committed = serde_json::from_value(record.body).map_err(|error| StoreError::Corrupt {
            what: format!("the record of document {}", record.id),
            cause: error.to_string(),
        })?;
        versions.insert(record.id, committed.version);
    }
    let committed = |hits: Vec<Hit>| -> Vec<Hit> {
        let is_committed = |hit: &Hit| versions.get(hit.chunk.document.as_str()) == Some(&hit.chunk.version);
        hits.into_iter().filter(is_committed).collect()
    };
    Ok(Legs { dense: committed(legs.dense), lexical: committed(legs.lexical) })
}
