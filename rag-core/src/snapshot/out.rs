//! Where a snapshot's parts go: into the archive, unless they are there.

use super::{
    Archived, PartRef, Progress, SnapshotError,
    encryption::{Naming, Recipients},
    packing,
    part::{self, Entry, Filling},
    underway::Mark,
};
use crate::ports::StoreError;

/// Writes parts, and keeps count of them.
pub(super) struct Out<'a> {
    archived: &'a Archived,
    /// That parts which are there are relied upon.
    mark: &'a mut Mark,
    /// Whom parts are encrypted for, and how they are called then.
    encrypted: Option<(&'a Recipients, Naming)>,
    filling: Filling,
    parts: Vec<PartRef>,
    written_bytes: u64,
    kept_bytes: u64,
}

impl<'a> Out<'a> {
    /// Under a mark that stands.
    pub(super) fn new(archived: &'a Archived, mark: &'a mut Mark) -> Self {
        let (encrypted, filling) = (archived.naming(), Filling::default());
        Self { archived, mark, encrypted, filling, parts: Vec::new(), written_bytes: 0, kept_bytes: 0 }
    }

    pub(super) fn progress(&self, documents: u64) -> Progress {
        Progress { documents, written_bytes: self.written_bytes, kept_bytes: self.kept_bytes }
    }

    pub(super) fn is_full(&self) -> bool {
        packing::is_full(self.filling.len())
    }

    /// The first entry of what has this name, in a new part where one ends before it.
    pub(super) async fn begin(&mut self, name: &str, entry: &Entry) -> Result<(), SnapshotError> {
        if packing::ends_before(self.filling.len(), name) {
            self.flush().await?;
        }
        self.push(entry).await
    }

    pub(super) async fn push(&mut self, entry: &Entry) -> Result<(), SnapshotError> {
        self.filling.push(entry).map_err(|e| unwritable(&e))
    }

    /// Ends the part, and writes it unless the archive has it.
    pub(super) async fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let filling = std::mem::take(&mut self.filling);
        let (packed, unpacked_bytes) = filling.pack().map_err(|e| unwritable(&e))?;
        let part = self.put(packed, unpacked_bytes).await?;
        self.parts.push(part);
        Ok(())
    }

    /// A part of its own with this inside.
    pub(super) async fn alone(&mut self, content: &[u8]) -> Result<PartRef, SnapshotError> {
        let packed = part::compressed(content).map_err(|e| unwritable(&e))?;
        self.put(packed, content.len() as u64).await
    }

    /// Writes a part unless the archive has it.
    async fn put(&mut self, packed: Vec<u8>, unpacked_bytes: u64) -> Result<PartRef, SnapshotError> {
        self.mark.renew().await?;
        let sha256 = part::sha256(&packed);
        let name = self.encrypted.as_ref().map(|(_, naming)| naming.name(&sha256));
        let object = part::object_name(name.as_deref().unwrap_or(&sha256));
        let inside = packed.len() as u64;
        let archive = &self.archived.archive;
        let bytes = match archive.size(&object).await? {
            Some(size) => self.relied_upon(&object, size, inside)?,
            None => {
                let sealed = match &self.encrypted {
                    Some((recipients, _)) => recipients.encrypt(&packed).map_err(|cause| refused(&cause))?,
                    None => packed,
                };
                let size = sealed.len() as u64;
                if archive.put_if_absent(&object, sealed).await? {
                    self.written_bytes += size;
                    size
                } else {
                    // Somebody else wrote it meanwhile.
                    let size = archive.size(&object).await?.ok_or_else(|| SnapshotError::Spoiled(object.clone()))?;
                    self.relied_upon(&object, size, inside)?
                }
            }
        };
        Ok(PartRef { sha256, name, bytes, unpacked_bytes })
    }

    /// The size of an object that is there, if it can be the part.
    fn relied_upon(&mut self, object: &str, size: u64, inside: u64) -> Result<u64, SnapshotError> {
        let fits = match &self.encrypted {
            Some((recipients, _)) => recipients.fits(size, inside),
            None => size == inside,
        };
        if !fits {
            return Err(SnapshotError::Spoiled(object.to_owned()));
        }
        self.kept_bytes += size;
        Ok(size)
    }

    /// The parts that were filled; there is none to fill any more.
    pub(super) async fn end(&mut self) -> Result<Vec<PartRef>, SnapshotError> {
        self.flush().await?;
        Ok(std::mem::take(&mut self.parts))
    }
}

fn unwritable(error: &dyn std::error::Error) -> SnapshotError {
    refused(&error.to_string())
}

fn refused(cause: &str) -> SnapshotError {
    let cause = format!("a part cannot be written: {cause}");
    StoreError::Failed { store: "the snapshot", cause }.into()
}
