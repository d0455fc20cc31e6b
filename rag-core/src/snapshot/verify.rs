//! Reads a snapshot back and believes nothing: signature, hashes, order, counts.

use tokio_util::sync::CancellationToken;

use super::{Archived, Manifest, Name, SnapshotError, attached, reading::Reading};

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
    let (mut reading, mut count) = (Reading::of(archived, &manifest, stop), 0);
    while reading.part().await?.is_some() {
        while reading.step()?.is_some() {}
        count += 1;
        told(count);
    }
    for attached in &manifest.attached {
        if stop.is_cancelled() {
            return Err(SnapshotError::Stopped);
        }
        attached::content(archived, &manifest, attached).await?;
        count += 1;
        told(count);
    }
    let bytes = manifest.bytes();
    Ok(Verified { manifest, bytes })
}
