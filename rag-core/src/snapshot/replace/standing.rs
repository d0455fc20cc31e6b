//! What is recorded of a restore over a served corpus: what it fills, what it came to, and how fast it was. Whether it was activated is told by the store alone.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Difference, Replaced};
use crate::{
    ports::{Change, Edition, Epoch, Kind, Records, StoreError, update},
    snapshot::Manifest,
};

/// Id of the record.
const RECORD: &str = "replacement";
/// Id of the record of the rate.
const RATE: &str = "restore-rate";

/// A restore that was begun, or is done and not confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Of which snapshot.
    snapshot: String,
    /// When that began: another one may have its name by now.
    began: jiff::Timestamp,
    /// Into which epoch.
    pub(super) epoch: Epoch,
    /// And into which edition.
    pub(super) edition: Edition,
    /// What was searched before.
    pub(super) previous: Epoch,
    /// Whether what was deleted comes back.
    with_deleted: bool,
    /// What it came to, written before the switch.
    pub(super) outcome: Option<Outcome>,
    /// Whether nothing is left to be done.
    pub(super) is_finished: bool,
    /// For whom it was restored, if that matters.
    #[serde(default)]
    restored_for: Option<String>,
    /// Whether what stood before is gone.
    #[serde(default)]
    is_confirmed: bool,
}

/// What a restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) proven: usize,
    pub(super) difference: Difference,
    pub(super) withheld: u64,
    pub(super) took: Duration,
}

impl Standing {
    pub(super) fn new(
        manifest: &Manifest,
        (epoch, edition): (Epoch, Edition),
        previous: Epoch,
        with_deleted: bool,
    ) -> Self {
        let (snapshot, began) = (manifest.name.to_string(), manifest.began);
        let (outcome, is_finished, restored_for, is_confirmed) = (None, false, None, false);
        Self {
            snapshot,
            began,
            epoch,
            edition,
            previous,
            with_deleted,
            outcome,
            is_finished,
            restored_for,
            is_confirmed,
        }
    }

    /// Whether the same is restored in the same way.
    pub(super) fn is_of(&self, manifest: &Manifest, with_deleted: bool) -> bool {
        let of = (self.snapshot.as_str(), self.began, self.with_deleted);
        of == (manifest.name.as_str(), manifest.began, with_deleted)
    }

    /// The same, which came to this for somebody.
    pub(super) fn came_to(&self, outcome: Outcome, restored_for: Option<&str>) -> Self {
        Self { outcome: Some(outcome), restored_for: restored_for.map(str::to_owned), ..self.clone() }
    }

    /// What it came to, where whoever asks again has nothing new done: something is left to be done, or it was for the same.
    pub(super) fn done_for(&self, restored_for: Option<&str>) -> Option<Outcome> {
        let is_theirs = restored_for.is_some() && self.restored_for.as_deref() == restored_for;
        self.outcome.filter(|_| !self.is_finished || is_theirs)
    }

    /// Nothing is left to be done. Whoever it was restored for stays so, whoever saw to the end of it.
    pub(super) fn finished(self, by: Option<&str>) -> Self {
        let restored_for = self.restored_for.or(by.map(str::to_owned));
        Self { is_finished: true, restored_for, ..self }
    }

    /// Keeps that it is done for good for whoever it was restored for, who may ask once more; for nobody else is anything to be kept.
    pub(super) async fn confirm(self, records: &dyn Records) -> Result<(), StoreError> {
        match self.restored_for {
            Some(_) => Self { is_finished: true, is_confirmed: true, ..self }.write(records).await,
            None => Self::remove(records).await,
        }
    }

    /// Whether there is a way back.
    pub(super) fn can_be_undone(&self) -> bool {
        !self.is_confirmed
    }

    /// What was done.
    pub(super) fn replaced(&self, manifest: Manifest, outcome: Outcome) -> Replaced {
        let Outcome { proven, difference, withheld, took } = outcome;
        let previous = self.can_be_undone().then_some(self.previous);
        Replaced { manifest, epoch: self.epoch, previous, proven, difference, withheld, took }
    }

    /// What stands, if anything does.
    pub(super) async fn read(records: &dyn Records) -> Result<Option<Self>, StoreError> {
        read(records, RECORD).await
    }

    pub(super) async fn write(&self, records: &dyn Records) -> Result<(), StoreError> {
        write(records, RECORD, self).await
    }

    pub(super) async fn remove(records: &dyn Records) -> Result<(), StoreError> {
        update(records, Kind::Corpus, RECORD, |_| Ok(Change::Remove(()))).await
    }
}

/// How fast the last restore was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Rate {
    pub(super) chunks: u64,
    pub(super) took: Duration,
}

impl Rate {
    /// How long so many chunks take; none where too few were measured.
    pub(super) fn takes(&self, chunks: u64) -> Option<Duration> {
        let share = (self.chunks > 0).then(|| chunks as f64 / self.chunks as f64)?;
        Duration::try_from_secs_f64(self.took.as_secs_f64() * share).ok()
    }

    pub(super) async fn read(records: &dyn Records) -> Result<Option<Self>, StoreError> {
        read(records, RATE).await
    }

    pub(super) async fn write(&self, records: &dyn Records) -> Result<(), StoreError> {
        write(records, RATE, self).await
    }
}

async fn read<T: DeserializeOwned>(records: &dyn Records, id: &str) -> Result<Option<T>, StoreError> {
    let record = records.get(Kind::Corpus, id).await?;
    let read = |body| {
        serde_json::from_value(body)
            .map_err(|e| StoreError::Corrupt { what: format!("the record {id} of a restore"), cause: e.to_string() })
    };
    record.map(|record| read(record.body)).transpose()
}

async fn write<T: Serialize>(records: &dyn Records, id: &str, value: &T) -> Result<(), StoreError> {
    let body = serde_json::to_value(value)
        .map_err(|e| StoreError::Failed { store: "the record of a restore", cause: e.to_string() })?;
    update(records, Kind::Corpus, id, |_| Ok(Change::Write(body.clone(), ()))).await
}
