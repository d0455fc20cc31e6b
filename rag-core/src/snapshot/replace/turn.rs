//! Who may replace the corpus: one process, while nobody changes the searched epoch, behind a closed gate.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Replace, Scene};
use crate::{
    ports::{GATE, Hold, Holds, Kind, StoreError},
    reindex::{self, ReindexError},
    snapshot::{SnapshotError, cursor::Cursor, restore},
};

/// Looks at what is in work before it is given up.
const LOOKS: u32 = 240;
/// Of these in the time that servers need to notice something: with seven seconds, five minutes of looks.
const LOOKS_EACH: u32 = 6;

/// What is held meanwhile.
pub(super) struct Turn {
    pub(super) restore: Hold,
    moving: Hold,
    gate: Option<Hold>,
}

impl Turn {
    /// Takes everything, and closes the gate last.
    pub(super) async fn take(holds: &Holds, by: &str) -> Result<Self, SnapshotError> {
        let turn = Self::without_gate(holds, by).await?;
        let (kind, name) = GATE;
        match holds.take_or_holder(kind, name, |_| json!({ "by": by })).await {
            Ok(Ok(gate)) => Ok(Self { gate: Some(gate), ..turn }),
            Ok(Err(holder)) => {
                turn.give_back().await;
                Err(SnapshotError::Held { until: holder.until })
            }
            Err(error) => {
                turn.give_back().await;
                Err(error.into())
            }
        }
    }

    /// Takes the restore and the change of the searched epoch; writes go on.
    pub(super) async fn without_gate(holds: &Holds, by: &str) -> Result<Self, SnapshotError> {
        let restore = restore::hold(holds).await?;
        match reindex::hold(holds, by).await {
            Ok(moving) => Ok(Self { restore, moving, gate: None }),
            Err(error) => {
                give_back(&restore).await;
                Err(match error {
                    ReindexError::Held { by, until } => SnapshotError::Moving { by, until },
                    ReindexError::Store(error) => error.into(),
                    ReindexError::Corpus(error) => error.into(),
                    ReindexError::Empty | ReindexError::TakenOver | ReindexError::Embed { .. } => {
                        SnapshotError::TakenOver
                    }
                })
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Hold> {
        [&self.restore, &self.moving].into_iter().chain(&self.gate)
    }

    /// Asks the records themselves whether all of it is still held: what follows changes what everybody searches.
    pub(super) async fn confirm(&self) -> Result<bool, StoreError> {
        for hold in self.all() {
            if !hold.confirm().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns once a part of it is known to be lost.
    pub(super) async fn lost(&self) {
        let lost = self.all().map(|hold| Box::pin(hold.lost()));
        futures::future::select_all(lost).await;
    }

    pub(super) async fn give_back(self) {
        for hold in self.gate.iter().chain([&self.moving, &self.restore]) {
            give_back(hold).await;
        }
    }
}

async fn give_back(hold: &Hold) {
    if let Err(error) = hold.give_back().await {
        tracing::warn!(%error, "a part of the restore was not given back; others wait until its time is over");
    }
}

impl Replace {
    /// Waits until servers have noticed the gate, and what was accepted before is done.
    pub(super) async fn settled(
        &self,
        scene: &Scene,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Result<(), SnapshotError> {
        self.rest(stop).await?;
        let mut looks = 0;
        loop {
            let (jobs, writing) = self.in_work(scene).await?;
            if jobs == 0 && writing == 0 {
                return Ok(());
            }
            looks += 1;
            if looks > LOOKS {
                return Err(SnapshotError::Pending { jobs, writing });
            }
            tokio::select! {
                () = stop.cancelled() => return Err(SnapshotError::Stopped),
                () = tokio::time::sleep(self.settle / LOOKS_EACH) => {}
            }
            if !turn.restore.check().await? {
                return Err(SnapshotError::TakenOver);
            }
        }
    }

    /// Jobs that are not finished, and documents that somebody alive writes.
    async fn in_work(&self, scene: &Scene) -> Result<(u64, u64), SnapshotError> {
        let jobs = scene.old.count(Kind::Waiting).await?;
        let (holds, mut writing) = (self.holds(), 0);
        let mut claims = Cursor::new(&*scene.old, Kind::Claim);
        while let Some(claim) = claims.next().await? {
            writing += u64::from(!holds.is_free(&claim.id, claim.body)?);
        }
        Ok((jobs, writing))
    }
}
