//! Commits a document whose chunks are stored, purges what it replaced, and lets go of it.
//!
//! The order is what keeps it whole: chunks, the pair of content and document, the record, the purge, the claim.

use super::{
    Ingest, document_of,
    failure::{DocumentReport, FailureReason},
    json,
    write::{Open, file_name},
};
use crate::{
    model::{DocumentId, DocumentRecord, Outcome},
    ports::{Kind, Put, StoreError, Swap},
};

impl Ingest {
    /// Commits a document whose chunks are stored, purges what it replaced, and lets go of it.
    pub(super) async fn finish(&self, mut open: Open) -> Result<DocumentReport, StoreError> {
        let taken_over = DocumentReport::failed(open.plan.id.as_str(), FailureReason::TakenOver);
        if !self.renew(&mut open.claim).await? {
            return Ok(taken_over);
        }
        let before = open.standing.as_ref().map(document_of).transpose()?;
        let replaced = before.map(|before| before.version);
        let (id, version) = (&open.plan.id, &open.plan.version);
        let outcome = match &replaced {
            Some(replaced) if replaced == version => Outcome::MetadataOnly,
            replaced => match self.duplicated(&open).await? {
                Some(original) => Outcome::DuplicateOf(original),
                None if replaced.is_none() => Outcome::Created,
                None => Outcome::Updated,
            },
        };
        let chunks = if outcome == Outcome::MetadataOnly { 0 } else { open.chunks };
        if outcome != Outcome::MetadataOnly {
            self.note(version, id).await?;
        }
        if outcome == Outcome::MetadataOnly {
            self.patiently(|| self.store.relabel(self.epoch, id, &open.labels)).await?;
        }
        self.commit(&open).await?;
        self.note_change().await?;
        if let Some(replaced) = replaced.filter(|replaced| replaced != version) {
            self.forget(&replaced, id).await?;
            open.claim.dirty = true;
        }
        if !self.release(open.claim).await? {
            return Ok(taken_over);
        }
        Ok(DocumentReport { name: taken_over.name, result: Ok(outcome), chunks })
    }

    /// The original of a duplicate, if it still stands.
    async fn duplicated(&self, open: &Open) -> Result<Option<DocumentId>, StoreError> {
        let Some(original) = &open.original else { return Ok(None) };
        let standing = self.with_version(original, &open.plan.version).await?;
        Ok(standing.map(|standing| standing.id))
    }

    /// Writes the record. Only deletions and changes of metadata can come between, since the document is claimed.
    async fn commit(&self, open: &Open) -> Result<(), StoreError> {
        let id = open.plan.id.key();
        let mut standing = open.standing.clone();
        loop {
            let before = standing.as_ref().map(document_of).transpose()?;
            let body = json(&DocumentRecord {
                id: open.plan.id.clone(),
                title: open.title.clone().unwrap_or_else(|| file_name(&open.plan.id)),
                version: open.plan.version.clone(),
                metadata: open.plan.metadata.clone().or(before.map(|b| b.metadata)).unwrap_or_default(),
                chunks: open.chunks,
                bytes: open.plan.bytes,
                updated_at: self.clock.now(),
            })?;
            standing = match &standing {
                None => match self.patiently(|| self.records.put_if_absent(Kind::Document, id, body.clone())).await? {
                    Put::Created(_) => return Ok(()),
                    Put::Existing(other) => Some(other),
                },
                Some(record) => {
                    let swap = self
                        .patiently(|| self.records.compare_and_set(Kind::Document, id, record.version, body.clone()))
                        .await?;
                    match swap {
                        Swap::Done(_) => return Ok(()),
                        Swap::Conflict(other) => other,
                    }
                }
            };
            // A repeated write whose first answer was lost.
            if standing.as_ref().is_some_and(|record| record.body == body) {
                return Ok(());
            }
        }
    }
}
