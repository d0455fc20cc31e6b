//! Copies a snapshot into another archive, as it is: encrypted and signed as it was.
//!
//! Every part is checked before it is written; one that is there is read and kept where it is whole, so that a run that was cut short is taken up again.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Archived, Manifest, Name, PartRef, Progress, SnapshotError, commit, manifest::unreadable, part, underway};
use crate::ports::{Archive, Clock};

/// The parts of a run.
pub struct Download {
    /// Where the snapshot is.
    pub from: Archived,
    /// Where it goes.
    pub to: Arc<dyn Archive>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// What it is made of.
    pub manifest: Manifest,
    /// Bytes that were written, and that were there already.
    pub progress: Progress,
}

impl Download {
    /// Copies. `told` hears after each part how far it is.
    pub async fn run(
        &self,
        name: &Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Downloaded, SnapshotError> {
        let manifest = self.from.read(name).await?;
        let object =
            self.from.archive.get(&name.object()).await?.ok_or_else(|| SnapshotError::Unknown(name.clone()))?;
        if part::sha256(&object) != manifest.seal.sha256 {
            return Err(unreadable(name, "it changed while it was read".to_owned()));
        }
        let there = self.to.get(&name.object()).await?;
        if there.as_ref().is_some_and(|there| *there != object) {
            return Err(SnapshotError::Exists(name.clone()));
        }
        let mut mark = underway::taking(&self.to, &self.clock).await?;
        let copied = self.copy(&manifest, &mut mark, stop, told).await;
        let done = match copied {
            Ok(progress) if there.is_some() => Ok(progress),
            Ok(progress) => commit(&self.to, &mark, &manifest, object).await.map(|()| progress),
            Err(error) => Err(error),
        };
        mark.remove().await;
        Ok(Downloaded { progress: done?, manifest })
    }

    async fn copy(
        &self,
        manifest: &Manifest,
        mark: &mut underway::Mark,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Progress, SnapshotError> {
        let mut progress = Progress { documents: manifest.documents, ..Progress::default() };
        let target = Archived { archive: Arc::clone(&self.to), ..self.from.clone() };
        for part in manifest.all_parts() {
            if stop.is_cancelled() {
                return Err(SnapshotError::Stopped);
            }
            mark.renew().await?;
            if self.is_whole(&target, manifest, part).await? {
                progress.kept_bytes += part.bytes;
            } else {
                let object = self.from.object(manifest, part).await?;
                self.from.unsealed(manifest, part, object.clone())?;
                self.to.put_if_absent(&part::object_name(part.called()), object).await?;
                progress.written_bytes += part.bytes;
            }
            told(progress);
        }
        Ok(progress)
    }

    /// Whether a part is in the target as it should be; one that is not so is removed.
    async fn is_whole(&self, target: &Archived, manifest: &Manifest, part: &PartRef) -> Result<bool, SnapshotError> {
        match target.packed(manifest, part).await {
            Ok(_) => Ok(true),
            Err(SnapshotError::Missing { .. }) => Ok(false),
            Err(SnapshotError::Damaged { .. }) => {
                target.archive.remove(&part::object_name(part.called())).await?;
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }
}
