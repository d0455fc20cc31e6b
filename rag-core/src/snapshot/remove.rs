//! Removes snapshots, and then the parts that no other one names.
//!
//! Guarantees: a part that a snapshot names, or one that is being taken relies on, stays, whoever works beside it and wherever anybody is killed; what cannot be read may name any part, so that then all of them stay. A run that was cut short is made good by the next.

use std::{collections::HashSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Name, SnapshotError, manifest, part,
    underway::{Mark, Work},
};
use crate::ports::{Clock, Object};

/// The parts of a run.
pub struct Remove {
    /// Where the snapshots are.
    pub archived: Archived,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whether the last one may go.
    pub even_last: bool,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Those of the snapshots that were named and there.
    pub removed: Vec<Name>,
    /// Parts that went.
    pub parts: u64,
    /// Bytes of all objects that went.
    pub freed_bytes: u64,
    /// Why parts were left that nothing may name, as a sentence.
    pub left: Option<String>,
}

impl Remove {
    /// Removes these snapshots. One that is not there is no failure: it may have been removed by a run that was cut short.
    pub async fn run(&self, names: &[Name], stop: &CancellationToken) -> Result<Removed, SnapshotError> {
        let mark = Mark::put(&self.archived.archive, &self.clock, Work::Removing).await?;
        let removed = self.marked(&mark, names, stop).await;
        mark.remove().await;
        removed
    }

    async fn marked(&self, mark: &Mark, names: &[Name], stop: &CancellationToken) -> Result<Removed, SnapshotError> {
        // Two removals could each leave the last one to the other.
        if let Some(until) = mark.others(Work::Removing).await? {
            return Err(SnapshotError::Removing { until });
        }
        let archive = &self.archived.archive;
        let manifests = archive.list(manifest::FOLDER).await?;
        let is_named = |object: &str| Name::of_object(object).filter(|name| names.contains(name));
        let stays = |object: &Object| Name::of_object(&object.name).is_some_and(|name| !names.contains(&name));
        let goes: Vec<_> = manifests.iter().filter_map(|object| Some((is_named(&object.name)?, object))).collect();
        if !self.even_last && !goes.is_empty() && !manifests.iter().any(stays) {
            return Err(SnapshotError::Last);
        }
        let mut removed = Removed::default();
        for (name, object) in goes {
            archive.remove(&object.name).await?;
            removed.freed_bytes += object.bytes;
            removed.removed.push(name);
        }
        mark.remove_dead(Work::Removing).await?;
        removed.left = self.sweep(mark, stop, &mut removed).await?;
        Ok(removed)
    }

    /// Removes the parts that nobody names or relies on; tells why some were left, if they were.
    async fn sweep(
        &self,
        mark: &Mark,
        stop: &CancellationToken,
        removed: &mut Removed,
    ) -> Result<Option<String>, SnapshotError> {
        // Those that are at work first, and the manifests then: one that ended in between is among the manifests.
        // Dead ones go before anybody looks: who was only silent, and marks itself anew, is seen here, or sees that its mark is gone.
        mark.remove_dead(Work::Taking).await?;
        if let Some(until) = mark.others(Work::Taking).await? {
            return Ok(Some(format!(
                "a snapshot is being taken, or was cut short, so that no part was removed; the next removal does it, after {until:.0} in any case"
            )));
        }
        let named = match self.named().await? {
            Ok(named) => named,
            Err(why) => return Ok(Some(why)),
        };
        for object in self.archived.archive.list(part::FOLDER).await? {
            if object.name.strip_prefix(part::FOLDER).is_none_or(|part| named.contains(part)) {
                continue;
            }
            if stop.is_cancelled() {
                return Err(SnapshotError::Stopped);
            }
            if !mark.is_fresh() {
                return Ok(Some(
                    "the time of this run was over before all parts were removed; the next removal goes on".to_owned(),
                ));
            }
            self.archived.archive.remove(&object.name).await?;
            removed.parts += 1;
            removed.freed_bytes += object.bytes;
        }
        Ok(None)
    }

    /// What the parts of all snapshots are called; or why that cannot be known.
    async fn named(&self) -> Result<Result<HashSet<String>, String>, SnapshotError> {
        let mut named = HashSet::new();
        for object in self.archived.archive.list(manifest::FOLDER).await? {
            let Some(name) = Name::of_object(&object.name) else {
                return Ok(Err(format!(
                    "no part was removed, because {} is no manifest and may name any",
                    object.name
                )));
            };
            match self.archived.outline(&name).await {
                Ok(outline) => named.extend(outline.parts),
                Err(SnapshotError::Archive(error)) => return Err(error.into()),
                Err(error) => return Ok(Err(format!("no part was removed, because one may be needed: {error}"))),
            }
        }
        Ok(Ok(named))
    }
}
