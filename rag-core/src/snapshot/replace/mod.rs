//! Puts a snapshot in the place of a corpus that is served.
//!
//! Flow: close the gate: servers refuse writes -> wait until jobs are done -> into the other edition of documents and an epoch of its own -> count, ask for what must be found, compare with what stands -> activate -> open the gate.
//! Guarantees: the activation of the epoch is the one switch, for chunks and records together, because an epoch names its edition. Before it, every question is answered from the old state and after it from the new one, and a restore that fails or dies before has touched nothing that is served.
//! What was written while the gate was closed, by whoever did not look at it, is found before the switch, which is refused then. The old state is kept until it is confirmed, or another restore begins. Documents that were deleted since the snapshot stay deleted, unless they are asked for.
//! Whoever takes it up again, after a death at any line, comes to the same end.
//! Caveats: sessions, feedback and what was spent are of no edition; they stay as they are. Clocks of those who write and delete agree to within moments.
//! Jobs are not taken over: they were accepted for the old state and end in it.

mod compare;
mod discard;
mod standing;
mod turn;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use self::compare::Difference;
use self::{
    compare::Comparing,
    standing::{Outcome, Rate, Standing},
    turn::Turn,
};
use super::{
    Archived, Manifest, Name, Progress, SnapshotError,
    cursor::Cursor,
    filling::{Erasures, Filling, Target, What},
    reading::Reading,
    restore,
    walk::Step,
};
use crate::{
    corpus::{self, Owner},
    ports::{Changes, Clock, Edition, Editions, Epoch, Holds, Kind, ModelIdentity, Records, VectorStore},
};

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What would be restored.
    pub manifest: Manifest,
    /// What becomes of the documents.
    pub difference: Difference,
    /// Documents of the snapshot that stay deleted.
    pub withheld: u64,
    /// How long it would take as fast as the last one; none where none was measured.
    pub takes: Option<Duration>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Replaced {
    /// What was restored.
    pub manifest: Manifest,
    /// The epoch that is searched now.
    pub epoch: Epoch,
    /// The one that was searched before, which is kept until it is confirmed; none once it was.
    pub previous: Option<Epoch>,
    /// Chunks that were asked for, each of which was found.
    pub proven: usize,
    /// What became of the documents.
    pub difference: Difference,
    /// Documents of the snapshot that stay deleted.
    pub withheld: u64,
    /// From reading the manifest to the switch.
    pub took: Duration,
}

/// What was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// This epoch is searched again.
    Back(Epoch),
    /// What was restored was not searched, or not any more, and is gone.
    Abandoned,
}

/// The parts of a run.
pub struct Replace {
    /// The store of the corpus.
    pub store: Arc<dyn VectorStore>,
    /// Its records.
    pub editions: Arc<Editions>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whose corpus it is.
    pub owner: Owner,
    /// The model that questions are embedded with.
    pub model: ModelIdentity,
    /// Whether documents come back that were deleted after they were written as the snapshot has them.
    pub with_deleted: bool,
    /// For whom it is restored, by an id of theirs, if that matters: what was restored for the same, and is still searched, is not restored again. What stood before it would be lost, and what was written since.
    pub restored_for: Option<String>,
    /// What others are told that is at work.
    pub by: String,
    /// How long servers need to notice that the gate is closed, or that another epoch is searched.
    pub settle: Duration,
}

/// What stands, and where the other state goes.
struct Scene {
    active: Epoch,
    /// The edition that is filled.
    edition: Edition,
    old: Arc<dyn Records>,
    new: Arc<dyn Records>,
}

impl Replace {
    /// Says what would be done, or why it cannot be. The snapshot is read whole for that; nothing is written.
    pub async fn plan(
        &self,
        archived: &Archived,
        name: &Name,
        stop: &CancellationToken,
    ) -> Result<Planned, SnapshotError> {
        let manifest = self.readable(archived, name).await?;
        let (active, raw) = (self.store.active().await?, self.raw());
        let old = self.editions.fixed(corpus::edition(&*raw, active).await?);
        let mut erasures = self.erasures(&*raw);
        let (mut comparing, mut withheld) = (Comparing::new(&*old), 0);
        let mut reading = Reading::of(archived, &manifest, stop);
        while reading.part().await?.is_some() {
            while let Some(step) = reading.step()? {
                let Step::Whole(document, stored) = step else { continue };
                match erasures.hold(&document).await? {
                    true => withheld += 1,
                    false => comparing.see(&stored.id, &stored.body).await?,
                }
            }
        }
        let takes = Rate::read(&*raw).await?.and_then(|rate| rate.takes(manifest.chunks));
        let (difference, _) = comparing.end().await?;
        Ok(Planned { manifest, difference, withheld, takes })
    }

    /// Restores. `told` hears how far it is after each part.
    pub async fn run(
        &self,
        archived: &Archived,
        name: &Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Replaced, SnapshotError> {
        let from = self.clock.steady();
        let manifest = self.readable(archived, name).await?;
        let turn = Turn::take(&self.holds(), &self.by).await?;
        let work = async {
            let scene = self.scene().await?;
            if let Some(done) = self.done_before(&manifest, &scene).await? {
                return Ok(done);
            }
            self.settled(&scene, &turn, stop).await?;
            self.held((archived, manifest, from), scene, &turn, (stop, told)).await
        };
        let done = tokio::select! {
            done = work => done,
            () = turn.lost() => Err(SnapshotError::TakenOver),
        };
        if done.is_ok() {
            // Whoever still writes to the old state is refused until it has noticed. It is done, whoever stops it now.
            let _noticed = self.rest(stop).await;
        }
        turn.give_back().await;
        done
    }

    async fn held(
        &self,
        (archived, manifest, from): (&Archived, Manifest, Duration),
        scene: Scene,
        turn: &Turn,
        (stop, told): (&CancellationToken, &mut (dyn FnMut(Progress) + Send)),
    ) -> Result<Replaced, SnapshotError> {
        let (closed, raw) = (self.clock.now(), self.raw());
        let standing = self.begin(&manifest, &scene).await?;
        let target = Target { store: &*self.store, epoch: standing.epoch, records: &*scene.new };
        let mut filling = Filling::new(target, What::Documents(self.erasures(&*raw)), &turn.restore);
        filling.fill((archived, &manifest), stop, told).await?;
        let there = filling.there;
        target.count(&there).await?;
        let proven = target.prove(&manifest, &there.golden).await?;
        let difference = self.difference(&scene, closed).await?;
        let took = self.clock.steady().saturating_sub(from);
        let outcome = Outcome { proven, difference, withheld: there.withheld, took };
        let standing = standing.came_to(outcome, self.restored_for.as_deref());
        standing.write(&*raw).await?;
        if !turn.confirm().await? {
            return Err(SnapshotError::TakenOver);
        }
        self.store.activate(standing.epoch).await?;
        self.finish(manifest, standing, outcome).await
    }

    /// What is left to be done after the switch.
    async fn finish(
        &self,
        manifest: Manifest,
        standing: Standing,
        outcome: Outcome,
    ) -> Result<Replaced, SnapshotError> {
        let raw = self.raw();
        Changes::of(Arc::clone(&raw)).note().await?;
        Rate { chunks: manifest.chunks, took: outcome.took }.write(&*raw).await?;
        let replaced = standing.replaced(manifest, outcome);
        // The last word: whoever runs it again after this restores once more, unless it is for the same.
        standing.finished(self.restored_for.as_deref()).write(&*raw).await?;
        Ok(replaced)
    }

    /// What a run did that died between the switch and its last word, or did for the same.
    async fn done_before(&self, manifest: &Manifest, scene: &Scene) -> Result<Option<Replaced>, SnapshotError> {
        let standing = Standing::read(&*self.raw()).await?;
        let same =
            standing.filter(|standing| standing.epoch == scene.active && standing.is_of(manifest, self.with_deleted));
        let Some(standing) = same else { return Ok(None) };
        match standing.done_for(self.restored_for.as_deref()) {
            Some(outcome) if standing.is_finished => Ok(Some(standing.replaced(manifest.clone(), outcome))),
            Some(outcome) => self.finish(manifest.clone(), standing, outcome).await.map(Some),
            None => Ok(None),
        }
    }

    /// Marks what is begun, or finds it; makes the epoch that is filled. The state before the one that stands goes with the first restore after it.
    async fn begin(&self, manifest: &Manifest, scene: &Scene) -> Result<Standing, SnapshotError> {
        let raw = self.raw();
        let begun = Standing::read(&*raw).await?.filter(|standing| {
            standing.can_be_undone()
                && standing.epoch != scene.active
                && standing.edition == scene.edition
                && standing.is_of(manifest, self.with_deleted)
        });
        let standing = match begun {
            Some(standing) => standing,
            None => {
                self.discard(scene.edition, scene.active).await?;
                let here = restore::built_with(manifest, &self.owner, scene.edition);
                let epoch = corpus::record_next(&*self.store, &*raw, &here).await?;
                corpus::adopt(&*raw, epoch, &self.owner).await?;
                let standing = Standing::new(manifest, (epoch, scene.edition), scene.active, self.with_deleted);
                standing.write(&*raw).await?;
                standing
            }
        };
        self.store.create_epoch(standing.epoch, manifest.built_with.model.dimension).await?;
        Ok(standing)
    }

    /// What becomes of the documents. Refused where somebody wrote to the old state although the gate was closed.
    async fn difference(&self, scene: &Scene, closed: Timestamp) -> Result<Difference, SnapshotError> {
        let (mut comparing, mut restored) =
            (Comparing::noticing(&*scene.old, closed), Cursor::new(&*scene.new, Kind::Document));
        while let Some(record) = restored.next().await? {
            comparing.see(&record.id, &record.body).await?;
        }
        let raw = self.raw();
        comparing.see_deletions(&*raw).await?;
        match comparing.end().await? {
            (difference, 0) => Ok(difference),
            (_, late) => Err(SnapshotError::Written(late)),
        }
    }

    /// Takes the restored state for good: what stood before it is removed. Tells which epoch that was.
    pub async fn confirm(&self) -> Result<Epoch, SnapshotError> {
        let turn = Turn::without_gate(&self.holds(), &self.by).await?;
        let confirmed = self.confirmed().await;
        turn.give_back().await;
        confirmed
    }

    async fn confirmed(&self) -> Result<Epoch, SnapshotError> {
        let scene = self.scene().await?;
        let standing = Standing::read(&*self.raw()).await?;
        let standing = standing.filter(|standing| standing.epoch == scene.active && standing.can_be_undone());
        let standing = standing.ok_or(SnapshotError::NothingRestored("confirmed"))?;
        self.discard(scene.edition, scene.active).await?;
        let previous = standing.previous;
        standing.confirm(&*self.raw()).await?;
        Ok(previous)
    }

    /// Goes back to what stood before the restore, and removes what was restored, with all that was written since.
    pub async fn undo(&self, stop: &CancellationToken) -> Result<Undone, SnapshotError> {
        let turn = Turn::take(&self.holds(), &self.by).await?;
        let undone = tokio::select! {
            undone = self.undone(&turn, stop) => undone,
            () = turn.lost() => Err(SnapshotError::TakenOver),
        };
        turn.give_back().await;
        undone
    }

    async fn undone(&self, turn: &Turn, stop: &CancellationToken) -> Result<Undone, SnapshotError> {
        let (scene, raw) = (self.scene().await?, self.raw());
        let standing = Standing::read(&*raw).await?.filter(Standing::can_be_undone);
        let standing = standing.ok_or(SnapshotError::NothingRestored("undone"))?;
        if standing.epoch != scene.active {
            self.discard(standing.edition, scene.active).await?;
            Standing::remove(&*raw).await?;
            return Ok(Undone::Abandoned);
        }
        self.settled(&scene, turn, stop).await?;
        if !turn.confirm().await? {
            return Err(SnapshotError::TakenOver);
        }
        self.store.activate(standing.previous).await?;
        Changes::of(Arc::clone(&raw)).note().await?;
        // Questions that are on their way are still answered from what goes.
        self.rest(stop).await?;
        self.discard(standing.edition, standing.previous).await?;
        Standing::remove(&*raw).await?;
        Ok(Undone::Back(standing.previous))
    }

    async fn readable(&self, archived: &Archived, name: &Name) -> Result<Manifest, SnapshotError> {
        let manifest = archived.read(name).await?;
        restore::expect_model(&manifest, &self.model)?;
        Ok(manifest)
    }

    /// What stands; refused where nothing does, or it is somebody else's. To be looked at by whoever has its turn: before it, another one may change it.
    async fn scene(&self) -> Result<Scene, SnapshotError> {
        let raw = self.raw();
        corpus::begun::refuse(&*raw).await?;
        let active = self.store.active().await?.ok_or(SnapshotError::Empty)?;
        let edition = corpus::adopt(&*raw, active, &self.owner).await?.edition;
        let (old, new) = (self.editions.fixed(edition), self.editions.fixed(edition.other()));
        Ok(Scene { active, edition: edition.other(), old, new })
    }

    /// The records as they are stored.
    fn raw(&self) -> Arc<dyn Records> {
        self.editions.fixed(Edition::First)
    }

    fn holds(&self) -> Holds {
        Holds::new(self.raw(), Arc::clone(&self.clock))
    }

    fn erasures<'r>(&self, records: &'r dyn Records) -> Erasures<'r> {
        if self.with_deleted { Erasures::forgotten() } else { Erasures::replayed(records) }
    }

    /// The time in which servers notice what changed; none where no other process can be one.
    async fn rest(&self, stop: &CancellationToken) -> Result<(), SnapshotError> {
        if self.raw().exclusive() {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => Err(SnapshotError::Stopped),
            () = tokio::time::sleep(self.settle) => Ok(()),
        }
    }
}
