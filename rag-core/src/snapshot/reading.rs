//! Reads a snapshot part by part, and says what each comes to.

use std::{collections::VecDeque, slice, vec};

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Manifest, PartRef, SnapshotError,
    archived::damaged,
    part::{self, Entry},
    walk::{Step, Walk},
};

/// The parts of the corpus in their order; one of them is in memory at a time.
pub(super) struct Reading<'r> {
    archived: &'r Archived,
    manifest: &'r Manifest,
    stop: &'r CancellationToken,
    parts: slice::Iter<'r, PartRef>,
    /// The part that is read, or was read last.
    part: Option<&'r PartRef>,
    /// What is left of it.
    entries: vec::IntoIter<Entry>,
    /// What the entry before came to, and was not told yet.
    steps: VecDeque<Step>,
    walk: Walk,
}

impl<'r> Reading<'r> {
    /// From the first part on, until it is stopped.
    pub(super) fn of(archived: &'r Archived, manifest: &'r Manifest, stop: &'r CancellationToken) -> Self {
        let (parts, entries) = (manifest.parts.iter(), Vec::new().into_iter());
        Self { archived, manifest, stop, parts, part: None, entries, steps: VecDeque::new(), walk: Walk::default() }
    }

    /// Reads the next part, once all steps of the one before were asked for; none where that was the last one, and everything was there that the manifest tells of.
    pub(super) async fn part(&mut self) -> Result<Option<&'r PartRef>, SnapshotError> {
        let Some(part) = self.parts.next() else {
            let last = self.part.map(|part| part.called().to_owned()).unwrap_or_default();
            let ended = self.walk.end(self.manifest);
            let name = self.manifest.name.clone();
            return ended.map(|()| None).map_err(|cause| SnapshotError::Damaged { name, part: last, cause });
        };
        self.goes_on()?;
        self.part = Some(part);
        self.entries = entries(self.archived, self.manifest, part).await?.into_iter();
        Ok(self.part)
    }

    /// The next step of the part; none at its end.
    pub(super) fn step(&mut self) -> Result<Option<Step>, SnapshotError> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(Some(step));
            }
            let Some((part, entry)) = self.part.zip(self.entries.next()) else { return Ok(None) };
            self.goes_on()?;
            self.steps = self.walk.take(entry).map_err(|cause| damaged(self.manifest, part, cause))?.into();
        }
    }

    fn goes_on(&self) -> Result<(), SnapshotError> {
        if self.stop.is_cancelled() { Err(SnapshotError::Stopped) } else { Ok(()) }
    }
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
