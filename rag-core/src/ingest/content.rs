//! Which documents have the same content: a record for each pair of a content hash and a document.
//!
//! A hint, never the truth: whoever finds a pair looks at the document's own record. A duplicate has its own chunks and its own record, so the original can be deleted without loss.
//! Guarantee: every committed document has its pair, because the pair is written first. Pairs that a dead writer left are removed when they are found.

use super::Ingest;
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord},
    ports::{Change, Kind, StoreError, content_prefix, contents_of, update},
};

/// Pairs of one tenant that are looked at for one content; more are stale only after as many crashes.
const LOOKS: usize = 64;

fn pair(version: &ContentHash, id: &DocumentId) -> String {
    format!("{}{}", content_prefix(version), id.key())
}

impl Ingest {
    /// Another document that stands with this content.
    pub(super) async fn original(
        &self,
        version: &ContentHash,
        other_than: &DocumentId,
    ) -> Result<Option<DocumentRecord>, StoreError> {
        let (prefix, tenant) = (content_prefix(version), other_than.tenant());
        // Whether another tenant has the same text is none of this one's business.
        let pairs = self.patiently(|| contents_of(&*self.records, version, &tenant, LOOKS)).await?;
        for record in pairs {
            let Some(id) = record.id.strip_prefix(&prefix).and_then(|key| DocumentId::of_key(key).ok()) else {
                continue;
            };
            if id == *other_than {
                continue;
            }
            if let Some(original) = self.with_content(&id, version).await? {
                return Ok(Some(original));
            }
            // The claim is asked for before the record: a writer that claims later writes its pair anew, and the removal fails.
            let in_work = self.patiently(|| self.records.get(Kind::Claim, id.key())).await?.is_some();
            if !in_work && self.with_content(&id, version).await?.is_none() {
                self.patiently(|| self.records.remove(Kind::Content, &record.id, record.version)).await?;
            }
        }
        Ok(None)
    }

    /// Writes the pair of a document that is claimed and about to be committed; one that stands already gets a new version, so that nobody removes it as stale.
    pub(super) async fn note(&self, version: &ContentHash, id: &DocumentId) -> Result<(), StoreError> {
        let pair = pair(version, id);
        let anew = |_: Option<&_>| Ok(Change::Write(serde_json::json!({}), ()));
        self.patiently(|| update(&*self.records, Kind::Content, &pair, anew)).await
    }

    /// Removes the pair of a version that a document no longer has.
    pub(super) async fn forget(&self, version: &ContentHash, id: &DocumentId) -> Result<(), StoreError> {
        let pair = pair(version, id);
        self.patiently(|| update(&*self.records, Kind::Content, &pair, |_| Ok(Change::Remove(())))).await
    }
}
