//! Files that go with a snapshot, such as the manifest of the RagCluster and its ConfigMaps: each a part of its own, and no secrets.

use super::{Archived, Attached, Manifest, SnapshotError, archived::damaged, part};

/// Most files of a snapshot.
pub const MOST_FILES: usize = 64;
/// Most bytes of a file; no object of Kubernetes is larger.
pub const MOST_FILE_BYTES: usize = 1024 * 1024;

/// A file to go with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    /// Its name, which is one by [`is_file_name`].
    pub name: String,
    /// What is in it, at most [`MOST_FILE_BYTES`].
    pub content: Vec<u8>,
}

/// Whether a file of a snapshot may be called so: 1 to 253 letters, digits, dashes, underscores and dots, and no dot at the beginning. Such a name leads out of no folder.
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=253).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// What is in a file of a snapshot, which is what was put there or refused.
pub async fn content(archived: &Archived, manifest: &Manifest, attached: &Attached) -> Result<Vec<u8>, SnapshotError> {
    let refused = |cause| damaged(manifest, &attached.part, cause);
    if !is_file_name(&attached.file) {
        return Err(refused(format!("is a file of the name {:?}, which none has", attached.file)));
    }
    let packed = archived.packed(manifest, &attached.part).await?;
    part::decompressed(&packed, MOST_FILE_BYTES as u64).map_err(refused)
}
