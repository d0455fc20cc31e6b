//! Removes an edition that nobody reads any more, with the epochs that go with it.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::Replace;
use crate::{
    corpus,
    ports::{Edition, Epoch},
    snapshot::SnapshotError,
};

/// Records that are listed together, and removed one by one.
const PAGE: usize = 256;
/// Of these so many at once: each is a round trip.
const AT_ONCE: usize = 16;

impl Replace {
    /// Removes everything of an edition, which is not that of the active epoch. Epochs first: while one is there, its record tells what it is of.
    pub(super) async fn discard(&self, edition: Edition, active: Epoch) -> Result<(), SnapshotError> {
        let raw = self.raw();
        for epoch in self.store.epochs().await?.into_iter().filter(|epoch| *epoch != active) {
            let built = corpus::recorded(&*raw, epoch).await?;
            let is_of = built.is_some_and(|built| {
                built.edition == edition && !built.drill && corpus::owned(&built, &self.owner).is_ok()
            });
            if is_of {
                self.store.drop_epoch(epoch).await?;
                tracing::info!(epoch = epoch.0, "removed an epoch of documents that nobody reads any more");
            }
        }
        let records = self.editions.fixed(edition);
        for kind in Edition::KINDS {
            loop {
                let page = records.list(kind, "", None, PAGE).await?.records;
                if page.is_empty() {
                    break;
                }
                let removed = stream::iter(page).map(|record| {
                    let records = &records;
                    async move { records.remove(kind, &record.id, record.version).await.map(drop) }
                });
                removed.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            }
        }
        Ok(())
    }
}
