//! Killed at any call, of the stores or of the archive: no half of a snapshot is listed, no half of a restore is searched, and the next run comes to the same end.

use super::*;
use crate::{
    model::ChunkId,
    ports::{Clock, Holds},
};

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

#[tokio::test]
async fn whoever_lost_the_right_to_restore_writes_nothing_any_more() {
    let (archive, source, target) = (Arc::default(), World::with(&DOCUMENTS).await, World::default());
    let manifest = source.snapshot(&archive, "one").await.unwrap().manifest;
    let process = || Holds::new(Arc::clone(&target.records) as _, Arc::clone(&target.clock) as _);
    let hold = restore::hold(&process()).await.unwrap();
    // It was suspended for so long that somebody else took its place.
    target.clock.advance(jiff::SignedDuration::from_mins(1));
    let _other = restore::hold(&process()).await.unwrap();
    target.store.create_epoch(Epoch(1), manifest.built_with.model.dimension).await.unwrap();
    let into = filling::Target { store: &*target.store, epoch: Epoch(1), records: &*target.records };
    let mut filling = filling::Filling::new(into, filling::What::All, &hold);
    let filled = filling.fill((&plain(&archive), &manifest), &CancellationToken::new(), &mut |_| {}).await;
    assert_eq!(filled, Err(SnapshotError::TakenOver));
    assert_eq!(target.store.count(Epoch(1)).await, Ok(0));
    assert_eq!(target.records.count(Kind::Document).await, Ok(0));
}

#[tokio::test]
async fn a_snapshot_is_not_listed_where_a_part_that_it_relied_upon_is_cut_short_or_gone_in_the_end() {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::with(&DOCUMENTS).await);
    let first = world.snapshot(&archive, "one").await.unwrap().manifest;
    let archived = plain(&archive);
    let (manifest, object) = archived.sealed(Manifest { name: name("two"), ..first }).unwrap();
    let part = part::object_name(manifest.parts[0].called());
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as _;
    let mark = underway::taking(&archived.archive, &clock).await.unwrap();
    let cut_short = || archive.objects().get_mut(&part).unwrap().truncate(3);
    let gone = || drop(archive.objects().remove(&part));
    for spoil in [&cut_short as &dyn Fn(), &gone] {
        spoil();
        let committed = commit(&archived.archive, &mark, &manifest, object.clone()).await;
        assert_eq!(committed, Err(SnapshotError::Overdue));
    }
    assert_eq!(list(&*archive).await, Ok(vec![name("one")]));
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
