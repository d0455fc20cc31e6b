//! Fills empty stores from a snapshot.
//!
//! Flow: mark what is begun -> a new epoch -> chunks and then the record of each document -> other records -> ask for what must be found -> activate -> remove the mark.
//! Guarantees: nothing is searched before everything is there; whoever takes a restore up again, after a crash at any line, comes to the same end; while the mark stands no server serves these stores. Records that
//! are there already stay: what was spent is not rolled back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Manifest, Name, Progress, SnapshotError,
    part::Stored,
    verify,
    walk::{Step, Walk},
};
use crate::{
    corpus::{
        self, BuiltWith, Owner,
        begun::{self, Begun},
    },
    lexical,
    model::{Chunk, DocumentRecord, Filter, Point},
    ports::{
        self, Change, Changes, Clock, Epoch, Hold, Holds, Kind, ModelIdentity, Only, Put, Records, Search, StoreError,
        VectorStore, update,
    },
};

/// Chunks that are written together.
const WINDOW: usize = 64;
/// What the process holds that restores.
const HOLD: &str = "restore";
/// Hits among which a chunk must find itself: documents may repeat each other, and then several are as near.
const NEAREST: usize = 10;
/// A hit of this cosine is as near as the chunk itself, but for the rounding of stores.
const AS_NEAR: f32 = 0.9999;

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
        if manifest.built_with.model != self.model {
            let (found, expected) = (manifest.built_with.model.clone(), self.model.clone());
            return Err(SnapshotError::Model { name: name.clone(), found, expected });
        }
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

    /// Restores. `told` hears how far it is after each document.
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
        let mut filling = Filling { restore: self, epoch, hold, labels: Vec::new(), window: Vec::new() };
        let (mut walk, mut progress) = (Walk::default(), Progress::default());
        for part in &manifest.parts {
            for entry in verify::entries(&self.archived, &manifest, part).await? {
                if stop.is_cancelled() {
                    return Err(SnapshotError::Stopped);
                }
                for step in walk.take(entry).map_err(|cause| verify::damaged(&manifest, part, cause))? {
                    progress.documents += u64::from(matches!(step, Step::Whole(..)));
                    filling.step(step).await?;
                }
            }
            progress.written_bytes += part.bytes;
            told(progress);
        }
        verify::end(&walk, &manifest)?;
        let proven = self.prove(&manifest, epoch).await?;
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

    /// The next number that no epoch has or had, recorded before anything is written to it.
    async fn target(&self, manifest: &Manifest) -> Result<Epoch, SnapshotError> {
        let newest = self.store.epochs().await?.into_iter().max();
        let mut number = newest.map_or(1, |newest| newest.0.saturating_add(1));
        let here = BuiltWith {
            owner: self.owner.name.clone(),
            owner_id: self.owner.id.clone(),
            model: manifest.built_with.model.clone(),
            lexical: lexical::VERSION.to_owned(),
            chunker: manifest.built_with.chunker.clone(),
        };
        loop {
            let epoch = Epoch(number);
            if corpus::record(&*self.records, epoch, &here).await?.is_like(&here) {
                corpus::adopt(&*self.records, epoch, &self.owner).await?;
                return Ok(epoch);
            }
            number = number.saturating_add(1);
        }
    }

    /// Asks for the chunks that the manifest names; each must be there and lead to itself.
    async fn prove(&self, manifest: &Manifest, epoch: Epoch) -> Result<usize, SnapshotError> {
        let ids: Vec<_> = manifest.golden.iter().map(|golden| golden.chunk).collect();
        let mut proven = 0;
        for stored in self.store.embedded(epoch, &ids).await? {
            let dense = Some(stored.dense);
            let search = Search { epoch: Some(epoch), dense, lexical: None, limit: NEAREST, only: Only::default() };
            let hits = self.store.search(&search).await?.dense;
            let is_itself = hits.iter().any(|hit| hit.chunk == stored.chunk.id);
            proven += usize::from(is_itself || (hits.len() == NEAREST && hits.iter().all(|hit| hit.score.0 > AS_NEAR)));
        }
        if proven < ids.len() {
            let (missed, asked) = (ids.len() - proven, ids.len());
            return Err(SnapshotError::NotFound { name: manifest.name.clone(), missed, asked });
        }
        Ok(proven)
    }
}

/// Takes the sole right to restore into these stores.
async fn hold(holds: &Holds) -> Result<Hold, SnapshotError> {
    loop {
        if let Some(hold) = holds.take(Kind::Lease, HOLD, |_| serde_json::Value::Null).await? {
            return Ok(hold);
        }
        // Nobody has it any more where it was given back between the two looks.
        if let Some(holder) = holds.holder(Kind::Lease, HOLD).await? {
            return Err(SnapshotError::Held { until: holder.until });
        }
    }
}

/// Writes what the steps say.
struct Filling<'r> {
    restore: &'r Restore,
    epoch: Epoch,
    hold: &'r Hold,
    /// Those of the document whose chunks come.
    labels: Vec<String>,
    window: Vec<Point>,
}

impl Filling<'_> {
    async fn step(&mut self, step: Step) -> Result<(), SnapshotError> {
        match step {
            Step::Begins(document) => {
                self.labels = Filter::labels(&document.metadata);
                Ok(())
            }
            Step::Chunk(chunk, dense) => self.chunk(*chunk, dense).await,
            Step::Whole(document, stored) => self.document(&document, stored).await,
            Step::Dropped(document) => {
                self.flush().await?;
                Ok(self.restore.store.purge(self.epoch, &document.id, &document.version).await?)
            }
            Step::Record(kind, Stored { id, body, .. }) => {
                let put = self.restore.records.put_if_absent(kind, &id, body).await?;
                if let Put::Existing(_) = put {
                    tracing::debug!(kind = kind.as_str(), "a record that is there already stays");
                }
                Ok(())
            }
        }
    }

    async fn chunk(&mut self, chunk: Chunk, dense: Vec<f32>) -> Result<(), SnapshotError> {
        let sparse = lexical::passage(&chunk.title, &chunk.headings, &chunk.text);
        self.window.push(Point { chunk, dense, sparse, labels: self.labels.clone() });
        if self.window.len() >= WINDOW { self.flush().await } else { Ok(()) }
    }

    /// Chunks first, then the pair of content and document, then the record, as an ingestion does.
    async fn document(&mut self, document: &DocumentRecord, stored: Stored) -> Result<(), SnapshotError> {
        self.flush().await?;
        let records = &*self.restore.records;
        let pair = format!("{}{}", ports::content_prefix(document.content()), document.id.key());
        records.put_if_absent(Kind::Content, &pair, serde_json::json!({})).await?;
        let body = stored.body;
        update(records, Kind::Document, &stored.id, |standing| {
            let is_there = standing.is_some_and(|standing| standing.body == body);
            Ok::<_, StoreError>(if is_there { Change::Leave(()) } else { Change::Write(body.clone(), ()) })
        })
        .await?;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.window.is_empty() {
            return Ok(());
        }
        // Somebody else may have gone on where this process was suspended.
        if !self.hold.check().await? {
            return Err(SnapshotError::TakenOver);
        }
        Ok(self.restore.store.upsert(self.epoch, std::mem::take(&mut self.window)).await?)
    }
}
