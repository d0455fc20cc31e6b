//! Claims: a hold per document in work, so that one writer at a time changes it, and so that what a dead writer left is found again.
//!
//! Flow: claim -> read the record, or make a place for it -> chunks -> commit -> purge -> give the claim back.
//! Each writing has a version of its own (see [`ContentHash::written`]), and the claim names the versions whose chunks go unless they are committed: its own, the one that it replaces, and those
//! of a dead writer whose claim was taken over.
//! Guarantees: a version is committed by its own writer or never, and only by a change of the record that its writer read while it held the claim. Whoever takes a claim over changes that record
//! before it purges, so a writer that stalled and wakes up commits nothing. Versions that are purged are dead for good, so a purge that comes late removes nothing that anybody needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Ingest, document_of, json};
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord},
    ports::{self, Hold, Kind, Put, Record, StoreError, Swap},
};

/// Claims that are looked at together.
const PAGE: usize = 256;

/// A document that is ours to write.
pub(super) struct Claim {
    pub(super) id: DocumentId,
    hold: Hold,
    /// Versions whose chunks go unless they are committed.
    versions: Vec<ContentHash>,
    /// Whether a place may stand, or chunks of one of the versions that is not committed.
    pub(super) dirty: bool,
}

impl Claim {
    /// Whether the chunks of a version go with this claim unless it is committed.
    pub(super) fn answers_for(&self, version: &ContentHash) -> bool {
        self.versions.contains(version)
    }

    /// What it answers for and is not committed.
    fn others_than(&self, committed: Option<&ContentHash>) -> Vec<ContentHash> {
        self.versions.iter().filter(|version| Some(*version) != committed).cloned().collect()
    }
}

/// What the next holder has to know of a claim.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    versions: Vec<ContentHash>,
}

/// The versions that the body of a claim's record answers for; none where an older server wrote it, which kept no such list.
pub(super) fn versions_of(claim: &Value) -> Option<Vec<ContentHash>> {
    Note::deserialize(claim.get("note")?).ok().map(|note| note.versions)
}

impl Ingest {
    /// Claims a document to write this version of it, if any; none while another writer works on it.
    pub(super) async fn claim(
        &self,
        id: &DocumentId,
        version: Option<&ContentHash>,
    ) -> Result<Option<Claim>, StoreError> {
        let listed = |inherited: Option<&Value>| {
            let inherited = inherited.and_then(|note| Note::deserialize(note).ok()).unwrap_or_default();
            inherited.versions.into_iter().chain(version.cloned()).collect::<Vec<_>>()
        };
        let note = |inherited: Option<&Value>| serde_json::json!({ "versions": listed(inherited) });
        let hold = self.patiently(|| self.holds.take(Kind::Claim, id.key(), note)).await?;
        Ok(hold.map(|hold| {
            let (versions, dirty) = (listed(hold.inherited()), hold.inherited().is_some());
            Claim { id: id.clone(), hold, versions, dirty }
        }))
    }

    /// Whether a claim is still ours: to be asked before anything is written, committed or purged.
    pub(super) async fn holds(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.patiently(|| claim.hold.check()).await
    }

    /// Asks Records whether a claim is still ours, after its document's record was read: then nobody took it before.
    pub(super) async fn confirm(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.patiently(|| claim.hold.confirm()).await
    }

    /// The same, and answers for one more version: the one that stands and will be replaced or deleted.
    pub(super) async fn answer_for(&self, claim: &mut Claim, version: &ContentHash) -> Result<bool, StoreError> {
        if !claim.versions.contains(version) {
            claim.versions.push(version.clone());
        }
        let note = json(&Note { versions: claim.versions.clone() })?;
        self.patiently(|| claim.hold.leave_note(note.clone())).await
    }

    /// The record of a document, or the place that is made for it.
    pub(super) async fn place(&self, claim: &mut Claim) -> Result<Record, StoreError> {
        if let Some(record) = self.patiently(|| self.records.get(Kind::Document, claim.id.key())).await? {
            return Ok(record);
        }
        claim.dirty = true;
        let put = || self.records.put_if_absent(Kind::Document, claim.id.key(), ports::place());
        Ok(match self.patiently(put).await? {
            Put::Created(record) | Put::Existing(record) => record,
        })
    }

    /// Gives a claim back after its writer committed `version`: all others that it answers for are dead. False when it was lost before.
    pub(super) async fn release_committed(&self, claim: Claim, version: &ContentHash) -> Result<bool, StoreError> {
        if !self.holds(&claim).await? {
            return Ok(false);
        }
        if claim.dirty {
            self.purge(&claim.id, &claim.others_than(Some(version))).await?;
        }
        self.patiently(|| claim.hold.give_back()).await
    }

    /// Gives a claim back without a commit, after purging what its document does not need; false when it was lost before, and then nothing is touched.
    pub(super) async fn release(&self, claim: Claim) -> Result<bool, StoreError> {
        if !self.holds(&claim).await? {
            return Ok(false);
        }
        if claim.dirty {
            let standing = self.fence_off(&claim).await?;
            self.purge(&claim.id, &claim.others_than(standing.as_ref())).await?;
            if claim.hold.inherited().is_some() {
                // A writer that died may have written the labels of a commit that did not come, or not have said that it came.
                self.relabel_as_it_stands(&claim.id).await?;
            }
        }
        self.patiently(|| claim.hold.give_back()).await
    }

    /// Changes a document's record, so that nobody who read it before can commit; gives the version that stands. A place goes.
    async fn fence_off(&self, claim: &Claim) -> Result<Option<ContentHash>, StoreError> {
        let id = claim.id.key();
        let mut standing = self.patiently(|| self.records.get(Kind::Document, id)).await?;
        while let Some(record) = standing {
            let document = standing_of(&record)?;
            let swap = match &document {
                // Nobody was there before us who could.
                Some(document) if claim.hold.inherited().is_none() => return Ok(Some(document.version.clone())),
                Some(_) => {
                    let same = || self.records.compare_and_set(Kind::Document, id, record.version, record.body.clone());
                    self.patiently(same).await?
                }
                None => self.patiently(|| self.records.remove(Kind::Document, id, record.version)).await?,
            };
            match swap {
                Swap::Done(_) => return Ok(document.map(|document| document.version)),
                Swap::Conflict(other) => standing = other,
            }
        }
        Ok(None)
    }

    /// Removes the chunks of versions that nobody will ever commit, in every epoch of the same documents: the one that is written to, one that is being built, and those that are kept for going back. What an undone restore would show again stays.
    pub(super) async fn purge(&self, id: &DocumentId, dead: &[ContentHash]) -> Result<(), StoreError> {
        if dead.is_empty() {
            return Ok(());
        }
        for epoch in self.patiently(|| ports::siblings(&*self.store, &*self.records, self.epoch)).await? {
            for version in dead {
                match self.patiently(|| self.store.purge(epoch, id, version)).await {
                    // It was removed between the two calls.
                    Err(error) if epoch != self.epoch && !error.is_transient() => {
                        tracing::debug!(%error, epoch = epoch.0, "an epoch beside the one that is written to was not purged");
                    }
                    purged => purged?,
                }
            }
        }
        Ok(())
    }

    /// Takes up what dead writers left: purges chunks of no committed version. Returns how many documents were cleaned.
    pub async fn clean_up(&self) -> Result<usize, StoreError> {
        let (mut after, mut cleaned) = (None::<String>, 0);
        loop {
            let page = self.records.list(Kind::Claim, "", after.as_deref(), PAGE).await?;
            for record in page.records {
                let Ok(id) = DocumentId::of_key(&record.id) else { continue };
                if !self.holds.is_free(&record.id, record.body)? {
                    continue;
                }
                if let Some(claim) = self.claim(&id, None).await? {
                    cleaned += usize::from(self.release(claim).await?);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(cleaned),
            }
        }
    }
}

/// The document that a record tells of; none where it only keeps a place.
pub(super) fn standing_of(record: &Record) -> Result<Option<DocumentRecord>, StoreError> {
    if ports::stands(record) { document_of(record).map(Some) } else { Ok(None) }
}
