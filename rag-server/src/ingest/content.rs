//! Which documents have the same content: a record for each pair of a content hash and a document.
//!
//! A hint, never the truth: whoever finds a pair looks at the document's own record. A duplicate has its own chunks and its own record, so the original can be deleted without loss.
//! Guarantee: every committed document has its pair, because the pair is written first. Pairs that a dead writer left are removed when they are found.

use super::{Ingest, document_of};
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord},
    ports::{Kind, Put, StoreError, Swap},
};

/// Pairs that are looked at for one content; more are stale only after as many crashes.
const LOOKS: usize = 64;

fn pair(version: &ContentHash, id: &DocumentId) -> String {
    format!("{}/{}", version.0, id.key())
}

impl Ingest {
    /// Another document that stands with this content.
    pub(super) async fn original(
        &self,
        version: &ContentHash,
        other_than: &DocumentId,
    ) -> Result<Option<DocumentRecord>, StoreError> {
        let prefix = format!("{}/", version.0);
        let page = self.patiently(|| self.records.list(Kind::Content, &prefix, None, LOOKS)).await?;
        for record in page.records {
            let Some(id) = record.id.strip_prefix(&prefix).and_then(|key| DocumentId::of_key(key).ok()) else {
                continue;
            };
            // Whether another tenant has the same text is none of this one's business.
            if id == *other_than || id.tenant() != other_than.tenant() {
                continue;
            }
            if let Some(original) = self.with_version(&id, version).await? {
                return Ok(Some(original));
            }
            // The claim is asked for before the record: a writer that claims later writes its pair anew, and the removal fails.
            let in_work = self.patiently(|| self.records.get(Kind::Purge, id.key())).await?.is_some();
            if !in_work && self.with_version(&id, version).await?.is_none() {
                self.patiently(|| self.records.remove(Kind::Content, &record.id, record.version)).await?;
            }
        }
        Ok(None)
    }

    /// The document, if it stands in this version.
    pub(super) async fn with_version(
        &self,
        id: &DocumentId,
        version: &ContentHash,
    ) -> Result<Option<DocumentRecord>, StoreError> {
        let record = self.patiently(|| self.records.get(Kind::Document, id.key())).await?;
        let document = record.as_ref().map(document_of).transpose()?;
        Ok(document.filter(|document| document.version == *version))
    }

    /// Writes the pair of a document that is claimed and about to be committed; one that stands already gets a new version, so that nobody removes it as stale.
    pub(super) async fn note(&self, version: &ContentHash, id: &DocumentId) -> Result<(), StoreError> {
        let pair = pair(version, id);
        let body = || serde_json::json!({});
        loop {
            let put = self.patiently(|| self.records.put_if_absent(Kind::Content, &pair, body())).await?;
            let Put::Existing(record) = put else { return Ok(()) };
            let swap =
                self.patiently(|| self.records.compare_and_set(Kind::Content, &pair, record.version, body())).await?;
            if matches!(swap, Swap::Done(_)) {
                return Ok(());
            }
        }
    }

    /// Removes the pair of a version that a document no longer has.
    pub(super) async fn forget(&self, version: &ContentHash, id: &DocumentId) -> Result<(), StoreError> {
        let pair = pair(version, id);
        if let Some(record) = self.patiently(|| self.records.get(Kind::Content, &pair)).await? {
            self.patiently(|| self.records.remove(Kind::Content, &pair, record.version)).await?;
        }
        Ok(())
    }
}
