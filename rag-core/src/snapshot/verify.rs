//! Reads a snapshot back and believes nothing: signature, hashes, order, counts.

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Manifest, Name, PartRef, SnapshotError, attached,
    part::{self, Entry},
    walk::Walk,
};

pub(super) use super::archived::damaged;

/// A snapshot that is what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it is made of.
    pub manifest: Manifest,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Reads every part of a snapshot. `told` hears after each how many there were.
pub async fn verify(
    archived: &Archived,
    name: &Name,
    stop: &CancellationToken,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Verified, SnapshotError> {
    let manifest = archived.read(name).await?;
    let stopped = || if stop.is_cancelled() { Err(SnapshotError::Stopped) } else { Ok(()) };
    let mut walk = Walk::default();
    let mut count = 0;
    for part in &manifest.parts {
        stopped()?;
        for entry in entries(archived, &manifest, part).await? {
            walk.take(entry).map_err(|cause| damaged(&manifest, part, cause))?;
        }
        count += 1;
        told(count);
    }
    end(&walk, &manifest)?;
    for attached in &manifest.attached {
        stopped()?;
        attached::content(archived, &manifest, attached).await?;
        count += 1;
        told(count);
    }
    let bytes = manifest.bytes();
    Ok(Verified { manifest, bytes })
}

/// What is inside a part, which is what the manifest says or refused.
pub(super) async fn entries(
    archived: &Archived,
    manifest: &Manifest,
    part: &PartRef,
) -> Result<Vec<Entry>, SnapshotError> {
    let packed = archived.packed(manifest, part).await?;
    part::unpack(&packed).map_err(|cause| damaged(manifest, part, cause))
}

/// Whether everything was there that the manifest tells of.
pub(super) fn end(walk: &Walk, manifest: &Manifest) -> Result<(), SnapshotError> {
    let last = manifest.parts.last().map(|part| part.called().to_owned()).unwrap_or_default();
    walk.end(manifest).map_err(|cause| SnapshotError::Damaged { name: manifest.name.clone(), part: last, cause })
}
