//! Proves a snapshot by restoring it: into an epoch of its own that nobody searches and records that nobody keeps, measured, compared, and removed again.
//!
//! Flow: read the manifest -> an epoch that is marked as a drill's -> everything into it and into `scratch` -> search for the chunks that the manifest names: the restore is over -> count and compare -> remove the epoch, then its mark.
//! Guarantees: nothing that is served is touched, since the epoch belongs to nobody who serves and the records are others; one drill at a time; what a drill that was killed left is removed by the next one, or by any server ([`clear_drills`]).
//! An epoch of a drill is somebody else's for everybody: its record names an owner that no server has.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    Archived, Golden, Manifest, Name, Progress, SnapshotError,
    cursor::Cursor,
    filling::{AS_NEAR, Filling, Target, WINDOW, What},
    part::Stored,
    reading::Reading,
    restore,
    walk::Step,
};
use crate::{
    corpus::{self, BuiltWith, Owner},
    model::{Chunk, ChunkId, Embedded},
    ports::{
        Change, Clock, Edition, Epoch, Hold, Holds, Kind, ModelIdentity, Records, StoreError, VectorStore, update,
    },
};

/// What the process holds that drills, or removes what a drill left.
const HOLD: &str = "drill";
/// Whose epochs of drills are.
const OWNER: &str = "a drill";

/// The parts of a drill.
pub struct Drill {
    /// The store in which it has an epoch of its own.
    pub store: Arc<dyn VectorStore>,
    /// The records of the corpus: they only say that a drill is at work, and which epoch is its own.
    pub records: Arc<dyn Records>,
    /// Empty records that nobody else has and nobody keeps.
    pub scratch: Arc<dyn Records>,
    /// Where the snapshot is.
    pub archived: Archived,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The model that questions are embedded with.
    pub model: ModelIdentity,
    /// The share of the named chunks that must be found, 0 to 1.
    pub min_recall: f64,
}

/// What a drill measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Drilled {
    /// What was restored.
    pub manifest: Manifest,
    /// Chunks that were looked for.
    pub asked: usize,
    /// Chunks that were found.
    pub found: usize,
    /// From reading the manifest to the last answer.
    pub rto: Duration,
    /// From the snapshot's beginning to the drill's: what a loss at that time would have cost.
    pub rpo: SignedDuration,
}

impl Drilled {
    /// The share of the chunks that were found; all where there are none to look for.
    pub fn recall(&self) -> f64 {
        if self.asked == 0 { 1.0 } else { self.found as f64 / self.asked as f64 }
    }
}

impl Drill {
    /// Drills one snapshot. `told` hears how far it is after each part.
    pub async fn run(
        &self,
        name: &Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Drilled, SnapshotError> {
        let (began, from) = (self.clock.now(), self.clock.steady());
        let manifest = self.archived.read(name).await?;
        restore::expect_model(&manifest, &self.model)?;
        let hold = self.hold().await?;
        clear(&*self.store, &*self.records).await?;
        let drilled = tokio::select! {
            drilled = self.held((manifest, began, from), &hold, stop, told) => drilled,
            () = hold.lost() => Err(SnapshotError::TakenOver),
        };
        // Whoever lost the hold leaves it to the next holder: the epoch may be that one's by now.
        let removed = match hold.confirm().await {
            Ok(true) => clear(&*self.store, &*self.records).await,
            Ok(false) => Ok(0),
            Err(error) => Err(error),
        };
        if let Err(error) = hold.give_back().await {
            tracing::warn!(%error, "the drill was not given back; others wait until its time is over");
        }
        let drilled = drilled?;
        removed?;
        Ok(drilled)
    }

    async fn held(
        &self,
        (manifest, began, from): (Manifest, Timestamp, Duration),
        hold: &Hold,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Drilled, SnapshotError> {
        let epoch = corpus::record_next(&*self.store, &*self.records, &built_with(&manifest)).await?;
        self.store.create_epoch(epoch, manifest.built_with.model.dimension).await?;
        let target = Target { store: &*self.store, epoch, records: &*self.scratch };
        let mut filling = Filling::new(target, What::All, hold);
        filling.fill((&self.archived, &manifest), stop, told).await?;
        let golden: Vec<ChunkId> = manifest.golden.iter().map(|Golden { chunk }| *chunk).collect();
        let found = target.found(&golden).await?;
        let rto = self.clock.steady().saturating_sub(from);
        target.count(&filling.there).await?;
        Comparison::new(target, &manifest).of_all(&self.archived, stop).await?;
        let rpo = began.duration_since(manifest.began);
        let drilled = Drilled { manifest, asked: golden.len(), found, rto, rpo };
        if drilled.recall() < self.min_recall {
            let (name, asked) = (drilled.manifest.name, golden.len());
            return Err(SnapshotError::Recall { name, found, asked, least: self.min_recall.to_string() });
        }
        Ok(drilled)
    }

    /// Takes the sole right to drill over these stores.
    async fn hold(&self) -> Result<Hold, SnapshotError> {
        let holds = Holds::new(Arc::clone(&self.records), Arc::clone(&self.clock));
        let taken = holds.take_or_holder(Kind::Lease, HOLD, |_| serde_json::Value::Null).await?;
        taken.map_err(|holder| SnapshotError::Drilling { until: holder.until })
    }
}

fn built_with(manifest: &Manifest) -> BuiltWith {
    let owner = Owner { name: OWNER.to_owned(), id: Some(OWNER.to_owned()) };
    BuiltWith { drill: true, ..restore::built_with(manifest, &owner, Edition::First) }
}

/// Removes what drills left that were killed, unless one is at work. Tells how many epochs that were.
pub async fn clear_drills(
    store: &dyn VectorStore,
    records: &Arc<dyn Records>,
    clock: Arc<dyn Clock>,
) -> Result<usize, SnapshotError> {
    if left(&**records).await?.is_empty() {
        return Ok(0);
    }
    let holds = Holds::new(Arc::clone(records), clock);
    let Some(hold) = holds.take(Kind::Lease, HOLD, |_| serde_json::Value::Null).await? else { return Ok(0) };
    let cleared = clear(store, &**records).await;
    hold.give_back().await?;
    Ok(cleared?)
}

/// Removes the epochs of drills; to be called by who holds the drill. The record goes last: while it stands, the epoch is known to be a drill's.
async fn clear(store: &dyn VectorStore, records: &dyn Records) -> Result<usize, StoreError> {
    let left = left(records).await?;
    for epoch in &left {
        store.drop_epoch(*epoch).await?;
        update(records, Kind::Corpus, &epoch.record_id(), |_| Ok::<_, StoreError>(Change::Remove(()))).await?;
        tracing::info!(epoch = epoch.0, "the epoch of a drill was removed");
    }
    Ok(left.len())
}

/// Epochs that are recorded as those of drills.
async fn left(records: &dyn Records) -> Result<Vec<Epoch>, StoreError> {
    let (mut left, mut epochs) = (Vec::new(), Cursor::below(records, Kind::Corpus, Epoch::RECORDS));
    while let Some(record) = epochs.next().await? {
        left.extend(Epoch::of_record(&record.id).filter(|_| record.body["drill"] == true));
    }
    Ok(left)
}

/// Compares what stands with what the parts of a snapshot hold, which are read once more for it.
struct Comparison<'r> {
    target: Target<'r>,
    manifest: &'r Manifest,
    /// Chunks as they were read, of one document.
    window: Vec<(Chunk, Vec<f32>)>,
}

impl<'r> Comparison<'r> {
    fn new(target: Target<'r>, manifest: &'r Manifest) -> Self {
        Self { target, manifest, window: Vec::new() }
    }

    async fn of_all(mut self, archived: &Archived, stop: &CancellationToken) -> Result<(), SnapshotError> {
        let mut reading = Reading::of(archived, self.manifest, stop);
        while reading.part().await?.is_some() {
            while let Some(step) = reading.step()? {
                self.step(step).await?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), SnapshotError> {
        match step {
            Step::Begins(_) => Ok(()),
            Step::Chunk(chunk, dense) => {
                self.window.push((*chunk, dense));
                if self.window.len() >= WINDOW { self.chunks().await } else { Ok(()) }
            }
            Step::Whole(_, stored) => {
                self.chunks().await?;
                self.record(Kind::Document, &stored).await
            }
            // What was compared before stood while it was purged, or not: it is no part of the snapshot.
            Step::Dropped(_) => {
                self.window.clear();
                Ok(())
            }
            Step::Record(kind, stored) => self.record(kind, &stored).await,
        }
    }

    async fn record(&self, kind: Kind, Stored { id, body, .. }: &Stored) -> Result<(), SnapshotError> {
        let found = self.target.records.get(kind, id).await?;
        let is_same = found.is_some_and(|found| found.body == *body);
        if is_same { Ok(()) } else { Err(self.differs(format!("the {} {id}", kind.as_str()))) }
    }

    async fn chunks(&mut self) -> Result<(), SnapshotError> {
        let window = std::mem::take(&mut self.window);
        let ids: Vec<ChunkId> = window.iter().map(|(chunk, _)| chunk.id).collect();
        let found = self.target.store.embedded(self.target.epoch, &ids).await?;
        for (chunk, dense) in &window {
            let stands = found.iter().any(|found| is_same(found, chunk, dense));
            if !stands {
                return Err(self.differs(format!(
                    "chunk {} of the document {}",
                    chunk.ordinal,
                    chunk.document.as_str()
                )));
            }
        }
        Ok(())
    }

    fn differs(&self, what: String) -> SnapshotError {
        SnapshotError::Differs { name: self.manifest.name.clone(), what }
    }
}

/// Whether a chunk stands as it was read. Stores may make vectors of length 1 once more, which changes their last bits.
fn is_same(found: &Embedded, chunk: &Chunk, dense: &[f32]) -> bool {
    let cosine: f32 = found.dense.iter().zip(dense).map(|(a, b)| a * b).sum();
    found.chunk == *chunk && found.dense.len() == dense.len() && (found.dense == dense || cosine > AS_NEAR)
}
