//! Who is at work in an archive: a mark for each run that relies on parts which are there, and for each that removes parts.
//!
//! Guarantee: no part that a snapshot relies on is removed. Both sides put their mark first and look for the other's then, so that one of the two sees the other: a run that takes a snapshot gives way to a removal, a removal leaves all parts alone while a snapshot is taken.
//! A mark is no lock that is held for ever: who died leaves one behind, which counts until its time is over. Who was only silent for so long finds its mark gone, and gives up before the manifest; a removal stops long before its mark does.
//! Assumption: the clocks of those who work in one archive differ by less than minutes.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::SnapshotError;
use crate::ports::{Archive, Clock};

/// The folder of those that take a snapshot.
const TAKING: &str = "taking/";
/// The folder of those that remove some.
const REMOVING: &str = "removing/";
/// How long the mark of one that takes a snapshot counts: much longer than anything that it does without making a new one. Of one that died, parts stay for so long.
const TAKING_COUNTS: SignedDuration = SignedDuration::from_hours(6);
/// When one that takes a snapshot makes a new mark.
const RENEWED_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long the mark of a removal counts: for so long no snapshot is taken after one died.
const REMOVING_COUNTS: SignedDuration = SignedDuration::from_mins(10);
/// How long a removal removes parts; the next one goes on. The rest of the time that its mark counts is for a call that is under way.
const REMOVES_FOR: Duration = Duration::from_secs(5 * 60);

/// Marks a run that relies on parts which are there, unless somebody removes some.
pub(super) async fn taking(archive: &Arc<dyn Archive>, clock: &Arc<dyn Clock>) -> Result<Mark, SnapshotError> {
    let mark = Mark::put(archive, clock, Work::Taking).await?;
    match mark.others(Work::Removing).await {
        Ok(None) => Ok(mark),
        Ok(Some(until)) => {
            mark.remove().await;
            Err(SnapshotError::Removing { until })
        }
        Err(error) => {
            mark.remove().await;
            Err(error)
        }
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Taking,
    Removing,
}

impl Work {
    fn folder(self) -> &'static str {
        match self {
            Self::Taking => TAKING,
            Self::Removing => REMOVING,
        }
    }

    fn counts(self) -> SignedDuration {
        match self {
            Self::Taking => TAKING_COUNTS,
            Self::Removing => REMOVING_COUNTS,
        }
    }
}

/// The mark of a run.
pub(super) struct Mark {
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    work: Work,
    object: String,
    /// When it was put, by the wall clock and by the steady one.
    since: (Timestamp, Duration),
}

impl Mark {
    /// Puts a mark.
    pub(super) async fn put(
        archive: &Arc<dyn Archive>,
        clock: &Arc<dyn Clock>,
        work: Work,
    ) -> Result<Self, SnapshotError> {
        // Before it is there, so that it ends early rather than late.
        let since = (clock.now(), clock.steady());
        let object = format!("{}{}-{}", work.folder(), since.0.as_second(), uuid::Uuid::new_v4().simple());
        archive.put_if_absent(&object, b"{}".to_vec()).await?;
        Ok(Self { archive: Arc::clone(archive), clock: Arc::clone(clock), work, object, since })
    }

    /// Until when others are at this work, if any are.
    pub(super) async fn others(&self, work: Work) -> Result<Option<Timestamp>, SnapshotError> {
        let objects = self.archive.list(work.folder()).await?;
        let others = objects.iter().map(|object| object.name.as_str()).filter(|name| *name != self.object);
        let now = self.clock.now();
        Ok(others.filter_map(|name| ends(work, name)).filter(|until| *until > now).max())
    }

    /// Removes marks of others that count no more: whoever was only silent learns by it that its time is over.
    pub(super) async fn remove_dead(&self, work: Work) -> Result<(), SnapshotError> {
        let now = self.clock.now();
        for object in self.archive.list(work.folder()).await? {
            if object.name != self.object && ends(work, &object.name).is_none_or(|until| until <= now) {
                self.archive.remove(&object.name).await?;
            }
        }
        Ok(())
    }

    /// Makes a new mark where this one is no longer young, and the old one goes. Refused where that one was taken for dead.
    pub(super) async fn renew(&mut self) -> Result<(), SnapshotError> {
        if self.age() < RENEWED_AFTER {
            return Ok(());
        }
        let new = Self::put(&self.archive, &self.clock, self.work).await?;
        // The old one must have stood until now: what was relied upon may be gone otherwise.
        if !self.stands().await? {
            new.remove().await;
            return Err(SnapshotError::Overdue);
        }
        std::mem::replace(self, new).remove().await;
        Ok(())
    }

    /// Whether it still stands.
    pub(super) async fn stands(&self) -> Result<bool, SnapshotError> {
        Ok(self.archive.size(&self.object).await?.is_some())
    }

    /// Whether a removal may still remove parts under it.
    pub(super) fn is_fresh(&self) -> bool {
        self.age() < REMOVES_FOR
    }

    /// By the clock that shows more: one of them stands still while the machine sleeps, and the other may be set back.
    fn age(&self) -> Duration {
        let wall = Duration::try_from(self.clock.now().duration_since(self.since.0)).unwrap_or_default();
        wall.max(self.clock.steady().saturating_sub(self.since.1))
    }

    /// Removes it. Where that fails it counts until its time is over, which harms nobody.
    pub(super) async fn remove(self) {
        if let Err(error) = self.archive.remove(&self.object).await {
            tracing::warn!(%error, mark = self.object, "a mark of this run stays in the archive until its time is over");
        }
    }
}

/// When a mark counts no more, by its name.
fn ends(work: Work, object: &str) -> Option<Timestamp> {
    let (seconds, _) = object.strip_prefix(work.folder())?.split_once('-')?;
    Timestamp::from_second(seconds.parse().ok()?).ok()?.checked_add(work.counts()).ok()
}
