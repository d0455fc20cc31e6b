//! An archive with what its snapshots are signed with.

use std::sync::Arc;

use super::{Manifest, Name, SigningKey, SnapshotError, verify};
use crate::ports::Archive;

/// Where snapshots are, and what is needed to read them.
#[derive(Clone)]
pub struct Archived {
    /// Where they are.
    pub archive: Arc<dyn Archive>,
    /// What manifests are signed with, and must be, if they are.
    pub key: Option<SigningKey>,
}

impl Archived {
    /// The manifest of a snapshot. With a signing key, only one that was signed with it.
    pub async fn read(&self, name: &Name) -> Result<Manifest, SnapshotError> {
        verify::read(&*self.archive, name, self.key.as_ref()).await
    }
}
