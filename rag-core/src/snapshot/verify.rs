//! Reads a snapshot back and believes nothing: signature, hashes, order, counts.

use tokio_util::sync::CancellationToken;

use super::{
    Manifest, Name, PartRef, SigningKey, SnapshotError,
    part::{self, Entry},
    walk::Walk,
};
use crate::ports::Archive;

/// A snapshot that is what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it is made of.
    pub manifest: Manifest,
    /// Bytes that were read.
    pub bytes: u64,
}

/// The manifest of a snapshot. With a key, only one that was signed with it.
pub async fn read(archive: &dyn Archive, name: &Name, key: Option<&SigningKey>) -> Result<Manifest, SnapshotError> {
    let object = archive.get(&name.object()).await?.ok_or_else(|| SnapshotError::Unknown(name.clone()))?;
    Manifest::parse(name, &object, key)
}

/// Reads every part of a snapshot. `told` hears after each how many there were.
pub async fn verify(
    archive: &dyn Archive,
    name: &Name,
    key: Option<&SigningKey>,
    stop: &CancellationToken,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Verified, SnapshotError> {
    let manifest = read(archive, name, key).await?;
    let mut walk = Walk::default();
    for (number, part) in manifest.parts.iter().enumerate() {
        if stop.is_cancelled() {
            return Err(SnapshotError::Stopped);
        }
        for entry in entries(archive, &manifest, part).await? {
            walk.take(entry).map_err(|cause| damaged(&manifest, part, cause))?;
        }
        told(number as u64 + 1);
    }
    end(&walk, &manifest)?;
    let bytes = manifest.bytes();
    Ok(Verified { manifest, bytes })
}

/// What is inside a part, which is what the manifest says or refused.
pub(super) async fn entries(
    archive: &dyn Archive,
    manifest: &Manifest,
    part: &PartRef,
) -> Result<Vec<Entry>, SnapshotError> {
    let missing = || SnapshotError::Missing { name: manifest.name.clone(), part: part.sha256.clone() };
    let object_name = part::object_name(&part.sha256);
    // Its size first: whoever can write to the archive must not choose how much memory is taken.
    let size = archive.size(&object_name).await?.ok_or_else(missing)?;
    if size != part.bytes {
        return Err(damaged(manifest, part, format!("has {size} bytes in the place of {}", part.bytes)));
    }
    let object = archive.get(&object_name).await?.ok_or_else(missing)?;
    if part::sha256(&object) != part.sha256 {
        return Err(damaged(manifest, part, "has another hash than its name".to_owned()));
    }
    part::unpack(&object).map_err(|cause| damaged(manifest, part, cause))
}

pub(super) fn damaged(manifest: &Manifest, part: &PartRef, cause: String) -> SnapshotError {
    SnapshotError::Damaged { name: manifest.name.clone(), part: part.sha256.clone(), cause }
}

/// Whether everything was there that the manifest tells of.
pub(super) fn end(walk: &Walk, manifest: &Manifest) -> Result<(), SnapshotError> {
    let last = manifest.parts.last().map(|part| part.sha256.clone()).unwrap_or_default();
    walk.end(manifest).map_err(|cause| SnapshotError::Damaged { name: manifest.name.clone(), part: last, cause })
}
