//! Killed at any call, of the stores or of the archive: no half of a snapshot is listed, no half of a restore is searched, and the next run comes to the same end.

use super::*;
use crate::model::ChunkId;

#[tokio::test]
async fn a_snapshot_that_dies_at_any_call_is_not_listed_and_the_next_one_is_whole() {
    for die in DEATHS {
        for calls in 0.. {
            let (archive, world) = (Arc::default(), World::furnished().await);
            die(&world, &archive, calls);
            let ended = world.snapshot(&archive, "one").await;
            die(&world, &archive, i64::MAX);
            let listed = list(&*archive).await.unwrap();
            assert!(ended.is_err() || listed.len() == 1, "after {calls} calls");
            if listed.is_empty() {
                world.snapshot(&archive, "one").await.unwrap();
            }
            if ended.is_ok() {
                assert!(calls >= 3, "it made only {calls} calls");
                break;
            }
            verify(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_restore_that_dies_at_any_call_shows_nothing_of_it_and_the_next_one_ends_it() {
    let (archive, source) = (Arc::<ArchiveDouble>::default(), World::furnished().await);
    let taken = source.snapshot(&archive, "one").await.unwrap();
    for die in DEATHS {
        for calls in 0.. {
            let target = World::default();
            die(&target, &archive, calls);
            let ended = target.restored(&archive, "one").await;
            die(&target, &archive, i64::MAX);
            target.has_the_chunks_of_all_documents().await;
            if ended.is_err() {
                let opened = target.open().await;
                let is_empty = target.records.count(Kind::Document).await == Ok(0);
                let is_done = target.store.active().await != Ok(None) && opened.is_ok() && !is_empty;
                let refused = matches!(opened, Err(CorpusError::Restoring { .. }));
                assert!(refused || is_empty || is_done, "after {calls} calls: {opened:?}");
                target.restored_if_needed(&archive).await;
            }
            let again = target.snapshot(&Arc::default(), "two").await.unwrap();
            assert_eq!(again.manifest.parts, taken.manifest.parts, "after {calls} calls");
            if ended.is_ok() {
                assert!(calls >= 3, "it made only {calls} calls");
                break;
            }
        }
    }
}

impl World {
    /// Each document whose record is there was whole before it.
    async fn has_the_chunks_of_all_documents(&self) {
        for record in self.records.list(Kind::Document, "", None, 100).await.unwrap().records {
            let document = crate::ingest::document_of(&record).unwrap();
            let ids = (0..document.chunks).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal));
            let ids: Vec<_> = ids.collect();
            assert_eq!(self.store.chunks(Some(Epoch(1)), &ids).await.unwrap().len(), ids.len(), "{}", record.id);
        }
    }

    /// Goes on with a restore, unless all of it was done but the words about it.
    async fn restored_if_needed(&self, archive: &Arc<ArchiveDouble>) {
        // Longer than the right of one that died.
        self.clock.advance(jiff::SignedDuration::from_mins(1));
        match self.restored(archive, "one").await {
            Ok(_) | Err(SnapshotError::NotEmpty(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
