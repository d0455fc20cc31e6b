//! Fills empty stores from a snapshot.
//!
//! Flow: mark what is begun -> a new epoch -> chunks and then the record of each document -> other records -> ask for what must be found -> activate -> remove the mark.
//! Guarantees: nothing is searched before everything is there; whoever takes a restore up again, after a crash at any line, comes to the same end; while the mark stands no server serves these stores. Records that
//! are there already stay: what was spent is not rolled back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Manifest, Name, Progress, SnapshotError,
    filling::{Filling, Target, What},
};
use crate::{
    corpus::{
        self, BuiltWith, Owner,
        begun::{self, Begun},
    },
    lexical,
    ports::{self, Changes, Clock, Edition, Epoch, Hold, Holds, Kind, ModelIdentity, Records, VectorStore},
};

/// What the process holds that restores.
const HOLD: &str = "restore";

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it restores.
    pub manifest: Manifest,
    /// Whether one of the same snapshot was begun here and goes on.
    pub goes_on: bool,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What it restored.
    pub manifest: Manifest,
    /// The epoch that is searched now.
    pub epoch: Epoch,
    /// Chunks that found themselves.
    pub proven: usize,
}

/// The parts of a run.
pub struct Restore {
    /// Where the chunks go.
    pub store: Arc<dyn VectorStore>,
    /// Where the records go.
    pub records: Arc<dyn Records>,
    /// Where the snapshot is.
    pub archived: Archived,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whose corpus it becomes.
    pub owner: Owner,
    /// The model that questions are embedded with.
    pub model: ModelIdentity,
}

impl Restore {
    /// Says what would be done, or why it cannot be. Nothing is written.
    pub async fn plan(&self, name: &Name) -> Result<Plan, SnapshotError> {
        let manifest = self.archived.read(name).await?;
        expect_model(&manifest, &self.model)?;
        let standing = begun::standing(&*self.records).await?;
        match &standing {
            Some(begun) if begun.snapshot != name.as_str() => return Err(SnapshotError::Begun(begun.snapshot.clone())),
            Some(_) => {}
            None => {
                let documents = ports::count_documents(&*self.records).await?;
                if documents > 0 {
                    return Err(SnapshotError::NotEmpty(documents));
                }
            }
        }
        Ok(Plan { manifest, goes_on: standing.is_some() })
    }

    /// Restores. `told` hears how far it is after each part.
    pub async fn run(
        &self,
        name: &Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Restored, SnapshotError> {
        let holds = Holds::new(Arc::clone(&self.records), Arc::clone(&self.clock));
        let hold = hold(&holds).await?;
        let done = self.held(name, &hold, stop, told).await;
        if let Err(error) = hold.give_back().await {
            tracing::warn!(%error, "the restore was not given back; others wait until its time is over");
        }
        done
    }

    async fn held(
        &self,
        name: &Name,
        hold: &Hold,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Restored, SnapshotError> {
        let Plan { manifest, .. } = self.plan(name).await?;
        let epoch = self.begin(&manifest).await?;
        let target = Target { store: &*self.store, epoch, records: &*self.records };
        let mut filling = Filling::new(target, What::All, hold);
        filling.fill((&self.archived, &manifest), stop, told).await?;
        let proven = target.prove(&manifest, &filling.there.golden).await?;
        if !hold.confirm().await? {
            return Err(SnapshotError::TakenOver);
        }
        self.store.activate(epoch).await?;
        begun::remove(&*self.records).await?;
        Changes::of(Arc::clone(&self.records)).note().await?;
        Ok(Restored { manifest, epoch, proven })
    }

    /// Marks what is begun, and makes the epoch that is filled.
    async fn begin(&self, manifest: &Manifest) -> Result<Epoch, SnapshotError> {
        let epoch = match begun::standing(&*self.records).await? {
            Some(begun) => begun.epoch,
            None => {
                let begun = Begun { snapshot: manifest.name.to_string(), epoch: self.target(manifest).await? };
                begun::put(&*self.records, begun).await?.epoch
            }
        };
        self.store.create_epoch(epoch, manifest.built_with.model.dimension).await?;
        Ok(epoch)
    }

    /// A new epoch for the documents of the edition that these records are seen by.
    async fn target(&self, manifest: &Manifest) -> Result<Epoch, SnapshotError> {
        let edition = corpus::edition(&*self.records, self.store.active().await?).await?;
        let here = built_with(manifest, &self.owner, edition);
        let epoch = corpus::record_next(&*self.store, &*self.records, &here).await?;
        corpus::adopt(&*self.records, epoch, &self.owner).await?;
        Ok(epoch)
    }
}

/// Refuses a snapshot of another model than that of questions.
pub(super) fn expect_model(manifest: &Manifest, model: &ModelIdentity) -> Result<(), SnapshotError> {
    let found = &manifest.built_with.model;
    if found == model {
        return Ok(());
    }
    let (name, found, expected) = (manifest.name.clone(), found.clone(), model.clone());
    Err(SnapshotError::Model { name, found, expected })
}

/// What an epoch is built with that is filled from a snapshot.
pub(super) fn built_with(manifest: &Manifest, owner: &Owner, edition: Edition) -> BuiltWith {
    BuiltWith {
        owner: owner.name.clone(),
        owner_id: owner.id.clone(),
        model: manifest.built_with.model.clone(),
        lexical: lexical::VERSION.to_owned(),
        chunker: manifest.built_with.chunker.clone(),
        edition,
        drill: false,
    }
}

/// Takes the sole right to restore into these stores.
pub(super) async fn hold(holds: &Holds) -> Result<Hold, SnapshotError> {
    let taken = holds.take_or_holder(Kind::Lease, HOLD, |_| serde_json::Value::Null).await?;
    taken.map_err(|holder| SnapshotError::Held { until: holder.until })
}
