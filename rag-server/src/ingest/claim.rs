//! Claims: a record per document in work, so that one writer at a time changes its chunks, and so that what a dead writer left is found again.
//!
//! A claim is put before the first chunk and removed after the last purge. One that is out of date, or whose process is known to be dead, is taken over; chunks that are in no committed
//! version are then purged. Caveat: a writer that stalls for longer than a claim's time between its last look and its commit is noticed after the commit and does the document again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Ingest, document_of, json};
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord},
    ports::{self, Kind, Put, StoreError, Swap},
};

/// How long a claim stands without being prolonged: several times what a batch takes to embed on a busy core.
const CLAIM_SECONDS: i64 = 60;
/// A claim is prolonged when less than this is left of it.
const RENEW_SECONDS: i64 = 40;
/// Claims that are looked at together.
const PAGE: usize = 256;

/// A document that is ours to write.
pub(super) struct Claim {
    pub(super) id: DocumentId,
    pub(super) holder: String,
    pub(super) version: u64,
    pub(super) until: Timestamp,
    /// Whether chunks of an unknown version may stand in the store.
    pub(super) dirty: bool,
    live: Arc<Mutex<std::collections::HashSet<String>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.live).remove(&self.holder);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Body {
    holder: String,
    until: Timestamp,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There was no such document.
    Unknown,
}

impl Ingest {
    /// Claims a document; none while another writer works on it.
    pub(super) async fn claim(&self, id: &DocumentId) -> Result<Option<Claim>, StoreError> {
        let holder = format!("{}/{}", self.instance, self.claims.fetch_add(1, Ordering::Relaxed));
        lock(&self.live).insert(holder.clone());
        let mut claim = Claim {
            id: id.clone(),
            holder,
            version: 0,
            until: self.claimed_until(),
            dirty: false,
            live: Arc::clone(&self.live),
        };
        let body = json(&Body { holder: claim.holder.clone(), until: claim.until })?;
        let put = self.patiently(|| self.records.put_if_absent(Kind::Purge, id.key(), body.clone())).await?;
        let standing = match put {
            Put::Created(record) => {
                claim.version = record.version;
                return Ok(Some(claim));
            }
            Put::Existing(record) => record,
        };
        let other = read(id, standing.body)?;
        if other.holder == claim.holder {
            claim.version = standing.version;
            return Ok(Some(claim));
        }
        if !self.is_dead(&other) {
            return Ok(None);
        }
        let swap = self
            .patiently(|| self.records.compare_and_set(Kind::Purge, id.key(), standing.version, body.clone()))
            .await?;
        let standing = match swap {
            Swap::Done(record) => record,
            Swap::Conflict(Some(record)) => record,
            Swap::Conflict(None) => return Ok(None),
        };
        (claim.version, claim.dirty) = (standing.version, true);
        Ok((read(id, standing.body)?.holder == claim.holder).then_some(claim))
    }

    /// Prolongs a claim that has not long to go; false when it was lost.
    pub(super) async fn renew(&self, claim: &mut Claim) -> Result<bool, StoreError> {
        if claim.until.duration_since(self.clock.now()) > SignedDuration::from_secs(RENEW_SECONDS) {
            return Ok(true);
        }
        claim.until = self.claimed_until();
        loop {
            let body = json(&Body { holder: claim.holder.clone(), until: claim.until })?;
            let swap = self
                .patiently(|| self.records.compare_and_set(Kind::Purge, claim.id.key(), claim.version, body.clone()))
                .await?;
            match swap {
                Swap::Done(record) => {
                    claim.version = record.version;
                    return Ok(true);
                }
                Swap::Conflict(Some(record)) if read(&claim.id, record.body.clone())?.holder == claim.holder => {
                    claim.version = record.version;
                    claim.dirty = true;
                }
                Swap::Conflict(_) => return Ok(false),
            }
        }
    }

    /// Gives a claim back, after purging what its document does not need; false when it was lost before.
    pub(super) async fn release(&self, mut claim: Claim) -> Result<bool, StoreError> {
        loop {
            if claim.dirty {
                let keep = self.committed(&claim.id).await?;
                self.patiently(|| self.store.purge(self.epoch, &claim.id, keep.as_ref())).await?;
                if keep.is_none() {
                    self.purge_beside(&claim.id).await?;
                }
                // A writer that died after its commit may not have said so.
                self.note_change().await?;
                claim.dirty = false;
            }
            let swap = self.patiently(|| self.records.remove(Kind::Purge, claim.id.key(), claim.version)).await?;
            match swap {
                Swap::Done(_) => return Ok(true),
                // Somebody deleted the document while it was written.
                Swap::Conflict(Some(record)) if read(&claim.id, record.body.clone())?.holder == claim.holder => {
                    claim.version = record.version;
                    claim.dirty = true;
                }
                Swap::Conflict(_) => return Ok(false),
            }
        }
    }

    /// Removes a document that is gone from the epochs that are not searched: one that is being built, and those that are kept for going back.
    async fn purge_beside(&self, id: &DocumentId) -> Result<(), StoreError> {
        let epochs = self.patiently(|| ports::epochs(&*self.records)).await?;
        for epoch in epochs.into_iter().filter(|epoch| *epoch != self.epoch) {
            match self.patiently(|| self.store.purge(epoch, id, None)).await {
                Err(error) if error.is_transient() => return Err(error),
                // It was recorded and never made, or somebody removed it.
                Err(error) => {
                    tracing::debug!(%error, epoch = epoch.0, "an epoch beside the searched one was not purged")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Does something to a document while nobody else writes it, and then purges what its committed version does not need; false when another writer has it just now.
    pub async fn alone_with<E: From<StoreError>>(
        &self,
        id: &DocumentId,
        work: impl AsyncFnOnce(DocumentRecord) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(mut claim) = self.claim(id).await? else { return Ok(false) };
        claim.dirty = true;
        if let Some(document) = self.document(id).await? {
            work(document).await?;
        }
        Ok(self.release(claim).await?)
    }

    /// Removes a document: at once for every reader, then from the store.
    ///
    /// While another writer works on it, only its record is removed and the writer is told to purge.
    pub async fn delete(&self, id: &DocumentId) -> Result<Deleted, StoreError> {
        let outcome = self.delete_document(id).await?;
        // Also when it was gone already: whoever removed it may have died before saying so.
        self.note_change().await?;
        Ok(outcome)
    }

    async fn delete_document(&self, id: &DocumentId) -> Result<Deleted, StoreError> {
        let mut outcome = Deleted::Unknown;
        loop {
            match self.claim(id).await? {
                Some(mut claim) => {
                    let gone = self.remove_record(id, true).await?;
                    if gone {
                        outcome = Deleted::Gone;
                    }
                    claim.dirty |= outcome == Deleted::Gone;
                    if self.release(claim).await? {
                        return Ok(outcome);
                    }
                }
                None => {
                    if self.remove_record(id, false).await? {
                        outcome = Deleted::Gone;
                    }
                    if outcome == Deleted::Unknown || self.tell_writer(id).await? {
                        return Ok(outcome);
                    }
                }
            }
        }
    }

    /// `alone`: nobody writes the document meanwhile, so that its content can be forgotten, too.
    async fn remove_record(&self, id: &DocumentId, alone: bool) -> Result<bool, StoreError> {
        let mut standing = self.patiently(|| self.records.get(Kind::Document, id.key())).await?;
        while let Some(record) = standing {
            match self.patiently(|| self.records.remove(Kind::Document, id.key(), record.version)).await? {
                Swap::Done(removed) => {
                    if !alone {
                        return Ok(true);
                    }
                    self.forget(&document_of(&removed)?.version, id).await?;
                    return Ok(true);
                }
                Swap::Conflict(None) => return Ok(true),
                Swap::Conflict(other) => standing = other,
            }
        }
        Ok(false)
    }

    /// Changes the version of a claim, so that its writer purges once more before it lets go; false when nobody claims the document any more.
    async fn tell_writer(&self, id: &DocumentId) -> Result<bool, StoreError> {
        let mut standing = self.patiently(|| self.records.get(Kind::Purge, id.key())).await?;
        while let Some(record) = standing {
            let swap = self
                .patiently(|| self.records.compare_and_set(Kind::Purge, id.key(), record.version, record.body.clone()))
                .await?;
            match swap {
                Swap::Done(_) => return Ok(true),
                Swap::Conflict(other) => standing = other,
            }
        }
        Ok(false)
    }

    /// Takes up what dead writers left: purges chunks of no committed version. Returns how many documents were cleaned.
    pub async fn clean_up(&self) -> Result<usize, StoreError> {
        let (mut after, mut cleaned) = (None::<String>, 0);
        loop {
            let page = self.records.list(Kind::Purge, "", after.as_deref(), PAGE).await?;
            for record in page.records {
                let Ok(id) = DocumentId::of_key(&record.id) else { continue };
                if !self.is_dead(&read(&id, record.body)?) {
                    continue;
                }
                if let Some(claim) = self.claim(&id).await? {
                    cleaned += usize::from(self.release(claim).await?);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(cleaned),
            }
        }
    }

    /// The committed version of a document.
    pub(super) async fn committed(&self, id: &DocumentId) -> Result<Option<ContentHash>, StoreError> {
        let record = self.patiently(|| self.records.get(Kind::Document, id.key())).await?;
        Ok(record.as_ref().map(document_of).transpose()?.map(|document| document.version))
    }

    fn claimed_until(&self) -> Timestamp {
        self.clock.now().checked_add(SignedDuration::from_secs(CLAIM_SECONDS)).unwrap_or(Timestamp::MAX)
    }

    fn is_dead(&self, claim: &Body) -> bool {
        let ours = claim.holder.split('/').next() == Some(&self.instance);
        if ours {
            return !lock(&self.live).contains(&claim.holder);
        }
        self.records.exclusive() || claim.until <= self.clock.now()
    }
}

fn read(id: &DocumentId, body: serde_json::Value) -> Result<Body, StoreError> {
    serde_json::from_value(body)
        .map_err(|e| StoreError::Corrupt { what: format!("the claim on document {id}"), cause: e.to_string() })
}
