//! Sweeps up, a bit at a time and beside the jobs: chunks that no record holds.
//!
//! Where such chunks come from: a writer that lost its claim while a write of it was on its way, a deletion while an epoch is built, a crash of an older server. No reader sees them; they take room,
//! and what was deleted shall not be kept.
//! Guarantees: pass by pass every epoch of the same documents is gone through, whichever process makes the pass and however often it is restarted, and what no record held when its turn came is removed from every epoch. What is committed, or in work, is never touched: a version
//! stands in its writer's claim before its first chunk is stored and until its record stands, so that whoever looks at the claim first and at the record then finds it in one of them; and what is in
//! neither is dead for good.
//! One process sweeps at a time, and the next one goes on where it ended; that saves work, and nothing depends on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Ingest,
    claim::{standing_of, versions_of},
    json,
};
use crate::{
    model::{ChunkId, ContentHash, DocumentId},
    ports::{self, Epoch, Kind, StoreError},
};

/// What the process holds that sweeps.
const NAME: &str = "sweep";
/// Chunks that are listed together.
const PAGE: usize = 1_000;
/// Pages of a pass.
const PAGES: usize = 4;
/// Chunks that a pass goes through.
#[cfg(test)]
pub(super) const CHUNKS: usize = PAGE * PAGES;
/// Records that are read together.
const RECORDS: usize = 256;

/// Where the next pass goes on: the note that each pass leaves for the next one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// In this epoch; in none: in the oldest.
    epoch: Option<Epoch>,
    /// Behind this chunk of it.
    chunk: Option<ChunkId>,
}

impl Place {
    /// Where the pass before ended; the beginning where it left nothing.
    fn after(note: Option<&Value>) -> Self {
        note.and_then(|note| Self::deserialize(note).ok()).unwrap_or_default()
    }
}

/// Versions of documents.
type Versions = BTreeMap<DocumentId, BTreeSet<ContentHash>>;

impl Ingest {
    /// One pass, unless another process sweeps: some pages of chunks.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let note = |before: Option<&Value>| before.cloned().unwrap_or_default();
        let Some(hold) = self.holds.take(Kind::Lease, NAME, note).await? else { return Ok(()) };
        let mut place = Place::after(hold.inherited());
        for _ in 0..PAGES {
            if !hold.check().await? || !self.sweep_page(&mut place).await? {
                break;
            }
        }
        // It is not given back: its note is for the next pass, of this process at any time and of another one when the time of the hold is over.
        hold.leave_note(json(&place)?).await.map(drop)
    }

    /// Sweeps a page of an epoch; false at the end of the last one, and the next begins again with the first.
    async fn sweep_page(&self, place: &mut Place) -> Result<bool, StoreError> {
        let epochs = ports::siblings(&*self.store, &*self.records, self.epoch).await?;
        // The one that was swept before may be gone by now.
        let Some(epoch) = epochs.iter().copied().find(|epoch| place.epoch.is_none_or(|before| *epoch >= before)) else {
            (place.epoch, place.chunk) = (None, None);
            return Ok(false);
        };
        let after = place.chunk.filter(|_| place.epoch == Some(epoch));
        let page = self.store.scan(epoch, after, PAGE).await?;
        let mut found = Versions::new();
        for chunk in page.held {
            found.entry(chunk.document).or_default().insert(chunk.version);
        }
        self.remove_dead(found).await?;
        (place.epoch, place.chunk) = match page.next {
            Some(next) => (Some(epoch), Some(next)),
            None => (Some(Epoch(epoch.0.saturating_add(1))), None),
        };
        Ok(true)
    }

    /// Removes those of the versions that are neither committed nor in work.
    async fn remove_dead(&self, found: Versions) -> Result<(), StoreError> {
        let mut dead = self.without_committed(found).await?;
        if dead.is_empty() {
            return Ok(());
        }
        // From here on the order matters: first the claims, then the records.
        let claims = self.bodies(Kind::Claim, &dead).await?;
        dead.retain(|id, versions| match claims.get(id.key()) {
            None => true,
            Some(claim) => match versions_of(claim) {
                Some(answered_for) => {
                    versions.retain(|version| !answered_for.contains(version));
                    !versions.is_empty()
                }
                // An older server writes it.
                None => false,
            },
        });
        for (id, versions) in self.without_committed(dead).await? {
            let versions: Vec<ContentHash> = versions.into_iter().collect();
            tracing::info!(document = id.as_str(), versions = versions.len(), "removing chunks that no record holds");
            self.purge(&id, &versions).await?;
        }
        Ok(())
    }

    async fn without_committed(&self, mut versions: Versions) -> Result<Versions, StoreError> {
        let ids: Vec<&str> = versions.keys().map(DocumentId::key).collect();
        let mut committed = HashMap::new();
        for some in ids.chunks(RECORDS) {
            for record in self.records.get_many(Kind::Document, some).await? {
                committed.extend(standing_of(&record)?.map(|document| (record.id, document.version)));
            }
        }
        versions.retain(|id, versions| {
            if let Some(version) = committed.get(id.key()) {
                versions.remove(version);
            }
            !versions.is_empty()
        });
        Ok(versions)
    }

    async fn bodies(&self, kind: Kind, of: &Versions) -> Result<HashMap<String, Value>, StoreError> {
        let ids: Vec<&str> = of.keys().map(DocumentId::key).collect();
        let mut bodies = HashMap::new();
        for some in ids.chunks(RECORDS) {
            let records = self.records.get_many(kind, some).await?;
            bodies.extend(records.into_iter().map(|record| (record.id, record.body)));
        }
        Ok(bodies)
    }
}
