//! The last act of whoever puts a snapshot into an archive: the manifest, once and only when everything is there.

use std::{collections::HashMap, sync::Arc};

use super::{Manifest, SnapshotError, part, underway::Mark};
use crate::ports::Archive;

/// Writes the object of a manifest whose parts were written, or relied upon, under this mark.
///
/// Whoever takes this run for dead removes its mark before it looks which snapshots there are. So the manifest that was written before somebody looks keeps its parts, and one that was written later finds its mark gone, and goes.
pub(super) async fn commit(
    archive: &Arc<dyn Archive>,
    mark: &Mark,
    manifest: &Manifest,
    object: Vec<u8>,
) -> Result<(), SnapshotError> {
    let there = archive.list(part::FOLDER).await?;
    let there: HashMap<&str, u64> = there.iter().map(|object| (object.name.as_str(), object.bytes)).collect();
    let is_there = |part: &super::PartRef| there.get(part::object_name(part.called()).as_str()) == Some(&part.bytes);
    if !manifest.all_parts().all(is_there) || !mark.stands().await? {
        return Err(SnapshotError::Overdue);
    }
    let name = manifest.name.object();
    if !archive.put_if_absent(&name, object).await? {
        return Err(SnapshotError::Exists(manifest.name.clone()));
    }
    if mark.stands().await? {
        return Ok(());
    }
    archive.remove(&name).await?;
    Err(SnapshotError::Overdue)
}
