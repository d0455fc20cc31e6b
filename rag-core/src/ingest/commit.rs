//! Commits a document whose chunks are stored, purges what it replaced, and lets go of it.
//!
//! The order is what keeps it whole: chunks, the pair of content and document, the record, the purge, the claim.

use super::{
    Ingest,
    claim::standing_of,
    failure::{DocumentReport, FailureReason},
    json,
    open::Open,
    write::{CLAIM_LOOKS, file_name},
};
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord, Filter, Outcome},
    ports::{Kind, StoreError, Swap},
};

/// What became of a commit.
enum Committed {
    /// It stands.
    Done {
        /// Whether somebody who had lost the claim committed a moment before.
        contested: bool,
    },
    /// Somebody deleted the document after it was accepted.
    Deleted,
    /// Somebody who had lost the claim changed the record; it has to be done again.
    Again,
    /// Somebody else has the claim.
    Lost,
}

impl Ingest {
    /// Commits a document whose chunks are stored, purges what it replaced, and lets go of it.
    pub(super) async fn finish(&self, mut open: Open) -> Result<DocumentReport, StoreError> {
        let name = open.plan.id.as_str().to_owned();
        let taken_over = DocumentReport::failed(&name, FailureReason::TakenOver);
        if !self.holds(&open.claim).await? {
            return Ok(taken_over);
        }
        let is_written = open.is_written();
        let replaced = open.before.take();
        let id = &open.plan.id;
        let outcome = match &replaced {
            Some(replaced) if *replaced.content() == open.plan.content => Outcome::MetadataOnly,
            replaced => match self.duplicated(&open).await? {
                Some(original) => Outcome::DuplicateOf(original),
                None if replaced.is_none() => Outcome::Created,
                None => Outcome::Updated,
            },
        };
        if is_written {
            self.note(&open.plan.content, id).await?;
        } else {
            self.patiently(|| self.store.relabel(self.epoch, id, &open.labels)).await?;
        }
        if let Some(at) = open.plan.expires_at {
            self.note_expiry(id, at).await?;
        }
        match self.commit(&open, replaced.as_ref()).await? {
            Committed::Done { contested: true } => self.relabel_again(&open).await?,
            Committed::Done { contested: false } => {}
            Committed::Deleted => {
                self.take_back(open, is_written).await?;
                return Ok(DocumentReport::failed(&name, FailureReason::Deleted));
            }
            Committed::Again => {
                self.take_back(open, is_written).await?;
                return Ok(taken_over);
            }
            Committed::Lost => {
                if !is_written {
                    self.relabel_in_turn(id).await?;
                }
                return Ok(taken_over);
            }
        }
        self.note_change().await?;
        let before = replaced.as_ref().and_then(|replaced| replaced.expires_at);
        if let Some(before) = before.filter(|_| before != open.plan.expires_at) {
            self.forget_expiry(id, before).await?;
        }
        if let Some(replaced) = replaced.filter(|replaced| *replaced.content() != open.plan.content) {
            self.forget(replaced.content(), id).await?;
        }
        // It stands, whoever has the claim by now.
        self.release_committed(open.claim, &open.version).await?;
        let chunks = if outcome == Outcome::MetadataOnly { 0 } else { open.chunks };
        Ok(DocumentReport { name, result: Ok(outcome), chunks, notices: open.notices })
    }

    /// Lets go of a document that was not committed.
    async fn take_back(&self, open: Open, is_written: bool) -> Result<bool, StoreError> {
        if !is_written {
            self.relabel_as_it_stands(&open.plan.id).await?;
        }
        self.release(open.claim).await
    }

    /// Labels are the only thing of a document that is written before its commit and is no version's own: those of a commit that did not come give way to those of the record that stands.
    pub(super) async fn relabel_as_it_stands(&self, id: &DocumentId) -> Result<(), StoreError> {
        let mut standing = self.patiently(|| self.document(id)).await?;
        while let Some(document) = standing {
            let labels = Filter::labels(&document.metadata);
            self.patiently(|| self.store.relabel(self.epoch, id, &labels)).await?;
            standing = self.patiently(|| self.document(id)).await?.filter(|now| now.metadata != document.metadata);
        }
        self.note_change().await
    }

    /// The same after a commit over a late one of somebody else, who may have written other labels since.
    async fn relabel_again(&self, open: &Open) -> Result<(), StoreError> {
        match self.confirm(&open.claim).await? {
            true => self.relabel_as_it_stands(&open.plan.id).await,
            false => self.relabel_in_turn(&open.plan.id).await,
        }
    }

    /// The same for a writer that lost its claim: whoever has it now may have written the labels of a commit that is still to come, so this one waits for its turn.
    async fn relabel_in_turn(&self, id: &DocumentId) -> Result<(), StoreError> {
        for _ in 0..CLAIM_LOOKS {
            if let Some(claim) = self.claim(id, None).await? {
                self.relabel_as_it_stands(id).await?;
                return self.release(claim).await.map(drop);
            }
            tokio::time::sleep(self.patience.poll).await;
        }
        self.relabel_as_it_stands(id).await
    }

    /// The original of a duplicate, if it still stands.
    async fn duplicated(&self, open: &Open) -> Result<Option<DocumentId>, StoreError> {
        let Some(original) = &open.original else { return Ok(None) };
        let standing = self.with_content(original, &open.plan.content).await?;
        Ok(standing.map(|standing| standing.id))
    }

    /// Writes the record, if it still is the one that was read under the claim. Whoever took the claim over has changed it, and a deletion has removed it.
    async fn commit(&self, open: &Open, before: Option<&DocumentRecord>) -> Result<Committed, StoreError> {
        let id = open.plan.id.key();
        let body = json(&DocumentRecord {
            id: open.plan.id.clone(),
            title: open.title.clone().unwrap_or_else(|| file_name(&open.plan.id)),
            version: open.version.clone(),
            content: Some(open.plan.content.clone()),
            metadata: open.plan.metadata.clone().or(before.map(|b| b.metadata.clone())).unwrap_or_default(),
            chunks: open.chunks,
            bytes: open.plan.bytes,
            notices: open.notices.clone(),
            expires_at: open.plan.expires_at,
            updated_at: self.clock.now(),
        })?;
        let (mut standing, mut contested) = (open.record.version, false);
        loop {
            let swap =
                self.patiently(|| self.records.compare_and_set(Kind::Document, id, standing, body.clone())).await?;
            let other = match swap {
                Swap::Done(_) => return Ok(Committed::Done { contested }),
                // A repeated write whose first answer was lost.
                Swap::Conflict(Some(record)) if record.body == body => return Ok(Committed::Done { contested }),
                Swap::Conflict(other) => other,
            };
            if !self.confirm(&open.claim).await? {
                return Ok(Committed::Lost);
            }
            if self.was_deleted_since(&open.plan.id, open.plan.after.as_ref()).await? {
                return Ok(Committed::Deleted);
            }
            // The writer whose claim was taken over committed a moment before: its version is one that the claim answers for.
            let late = other.as_ref().map(standing_of).transpose()?.flatten();
            // Its own version is whole whoever committed meanwhile. One that it found standing may have been purged by who replaced it.
            let is_written = before.is_none_or(|before| before.version != open.version);
            let is_whole = |late: &ContentHash| is_written || *late == open.version;
            let goes_on = late.is_some_and(|late| open.claim.answers_for(&late.version) && is_whole(&late.version));
            let Some(record) = other.filter(|_| goes_on) else { return Ok(Committed::Again) };
            (standing, contested) = (record.version, true);
        }
    }

    /// The document, if it stands with this content.
    pub(super) async fn with_content(
        &self,
        id: &DocumentId,
        content: &ContentHash,
    ) -> Result<Option<DocumentRecord>, StoreError> {
        let record = self.patiently(|| self.records.get(Kind::Document, id.key())).await?;
        let document = record.as_ref().map(standing_of).transpose()?.flatten();
        Ok(document.filter(|document| document.content() == content))
    }
}
