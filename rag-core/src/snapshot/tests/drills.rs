//! Drills: what they measure, what they refuse, and that nothing is left of them, whatever kills them.

use jiff::SignedDuration;

use super::*;
use crate::{
    ingest::Ingest,
    ports::{Clock as _, Holds},
};

impl World {
    fn drill(&self, archive: &Arc<ArchiveDouble>) -> Drill {
        Drill {
            store: Arc::clone(&self.store) as _,
            records: Arc::clone(&self.records) as _,
            scratch: Arc::<RecordsDouble>::default(),
            archived: plain(archive),
            clock: Arc::clone(&self.clock) as _,
            model: EmbedderDouble::default().model().clone(),
            min_recall: 0.95,
        }
    }

    async fn drilled(&self, archive: &Arc<ArchiveDouble>, of: &str) -> Result<Drilled, SnapshotError> {
        self.drill(archive).run(&name(of), &CancellationToken::new(), &mut |_| {}).await
    }

    /// Everything that is stored, but for holds.
    async fn contents(&self) -> Vec<(Kind, Vec<crate::ports::Record>)> {
        let mut contents = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Lease) {
            contents.push((kind, self.records.list(kind, "", None, 10_000).await.unwrap().records));
        }
        contents
    }
}

#[tokio::test]
async fn a_drill_measures_a_restore_beside_what_is_served_and_leaves_nothing() {
    let (archive, world) = (Arc::default(), World::furnished().await);
    let taken = world.snapshot(&archive, "one").await.unwrap();
    world.ingest("menu", "Soup is served at one.").await;
    let before = world.contents().await;
    world.clock.advance(SignedDuration::from_mins(10));
    let drilled = world.drilled(&archive, "one").await.unwrap();
    assert_eq!((drilled.asked, drilled.found, drilled.recall()), (20, 20, 1.0));
    assert_eq!(drilled.rpo, SignedDuration::from_mins(10));
    assert_eq!(drilled.manifest, taken.manifest);
    assert_eq!(world.contents().await, before);
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]));
    assert_eq!(world.found("When is soup served?").await, ["menu"]);
}

#[tokio::test]
async fn a_drill_does_not_look_for_chunks_of_a_version_that_went_while_it_was_read() {
    let world = World::with(&DOCUMENTS[..1]).await;
    let archive = with_a_version_that_went(&world).await;
    assert_eq!(world.drilled(&archive, "two").await.map(|drilled| drilled.found), Ok(1));
}

#[tokio::test]
async fn a_drill_needs_no_corpus() {
    let (archive, source, empty) = (Arc::default(), World::furnished().await, World::default());
    source.snapshot(&archive, "one").await.unwrap();
    assert!(empty.drilled(&archive, "one").await.is_ok());
    assert_eq!(empty.store.epochs().await, Ok(Vec::new()));
    assert_eq!(empty.records.count(Kind::Corpus).await, Ok(0));
    assert_eq!(empty.open().await, Ok(Epoch(1)));
}

#[tokio::test]
async fn a_drill_that_dies_at_any_call_changes_nothing_that_is_served_and_the_next_one_clears_up() {
    let archive = Arc::<ArchiveDouble>::default();
    let world = World::furnished().await;
    world.snapshot(&archive, "one").await.unwrap();
    let before = world.contents().await;
    for die in DEATHS {
        for calls in 0.. {
            die(&world, &archive, calls);
            let ended = world.drilled(&archive, "one").await;
            die(&world, &archive, i64::MAX);
            assert_eq!(world.store.active().await, Ok(Some(Epoch(1))));
            assert_eq!(world.open().await, Ok(Epoch(1)));
            // Longer than the right of one that died.
            world.clock.advance(SignedDuration::from_mins(1));
            let records = Arc::clone(&world.records) as Arc<dyn crate::ports::Records>;
            match calls % 2 {
                0 => drop(clear_drills(&*world.store, &records, Arc::clone(&world.clock) as _).await.unwrap()),
                _ => drop(world.drilled(&archive, "one").await.unwrap()),
            }
            assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]), "after {calls} calls");
            assert_eq!(world.contents().await, before, "after {calls} calls");
            if ended.is_ok() {
                assert!(calls >= 3, "it made only {calls} calls");
                break;
            }
        }
    }
}

/// Marks an epoch as a drill's, and fills it with what the first one holds.
async fn left_by_a_drill(world: &World) -> Epoch {
    let built = corpus::recorded(&*world.records, Epoch(1)).await.unwrap().unwrap();
    let left = Epoch(2);
    let owner = "a drill".to_owned();
    let of_drill = corpus::BuiltWith { drill: true, owner_id: Some(owner.clone()), owner, ..built };
    corpus::record(&*world.records, left, &of_drill).await.unwrap();
    world.store.create_epoch(left, 512).await.unwrap();
    left
}

#[tokio::test]
async fn nobody_else_touches_the_epoch_of_a_drill_and_nobody_takes_it_for_a_corpus() {
    let (archive, world) = (Arc::default(), World::with(&DOCUMENTS).await);
    world.snapshot(&archive, "one").await.unwrap();
    let left = left_by_a_drill(&world).await;
    let point = crate::model::Point {
        chunk: crate::doubles::chunk("gone".parse().unwrap(), "It was deleted since."),
        dense: vec![0.0; 512],
        sparse: crate::lexical::passage("", &[], ""),
        labels: Vec::new(),
    };
    world.store.upsert(left, vec![point]).await.unwrap();
    let flow = Arc::new(world.flow());
    flow.tidy().await.unwrap();
    flow.delete(&"menu".parse().unwrap()).await.unwrap();
    assert_eq!(world.store.count(left).await, Ok(1), "a sweep removes what no record holds, and not here");
    // The same model as the drill's: a reindex that looks for an epoch to go on with takes another one.
    let built = corpus::recorded(&*world.records, Epoch(1)).await.unwrap().unwrap();
    assert!(!corpus::recorded(&*world.records, left).await.unwrap().unwrap().is_like(&built));
    world.store.activate(left).await.unwrap();
    assert!(matches!(world.open().await, Err(CorpusError::Foreign { .. })));
}

#[tokio::test]
async fn one_drill_is_at_work_at_a_time_and_what_it_has_is_not_cleared() {
    let (archive, world) = (Arc::default(), World::with(&DOCUMENTS).await);
    world.snapshot(&archive, "one").await.unwrap();
    let left = left_by_a_drill(&world).await;
    let records = Arc::clone(&world.records) as Arc<dyn crate::ports::Records>;
    let clock = Arc::clone(&world.clock) as Arc<dyn crate::ports::Clock>;
    let hold = Holds::new(Arc::clone(&records), Arc::clone(&clock)).take(Kind::Lease, "drill", |_| json!(null)).await;
    assert!(matches!(world.drilled(&archive, "one").await, Err(SnapshotError::Drilling { .. })));
    assert_eq!(clear_drills(&*world.store, &records, Arc::clone(&clock)).await, Ok(0));
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1), left]));
    hold.unwrap().unwrap().give_back().await.unwrap();
    assert_eq!(clear_drills(&*world.store, &records, clock).await, Ok(1));
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]));
}

#[tokio::test]
async fn a_drill_fails_where_a_restore_would_or_the_named_chunks_are_not_found() {
    let (archive, world) = (Arc::<ArchiveDouble>::default(), World::with(&DOCUMENTS).await);
    world.snapshot(&archive, "one").await.unwrap();
    assert_eq!(world.drilled(&archive, "two").await, Err(SnapshotError::Unknown(name("two"))));
    let other = ModelIdentity { name: "other".to_owned(), dimension: 768 };
    let drill = Drill { model: other, ..world.drill(&archive) };
    let refused = drill.run(&name("one"), &CancellationToken::new(), &mut |_| {}).await;
    assert!(matches!(refused, Err(SnapshotError::Model { .. })));
    super::damage::forge(&archive, |manifest| {
        manifest["golden"].as_array_mut().unwrap().push(json!({ "chunk": uuid::Uuid::nil() }));
    });
    let refused = world.drilled(&archive, "one").await;
    assert!(matches!(refused, Err(SnapshotError::Recall { found: 3, asked: 4, .. })), "{refused:?}");
    let lenient = Drill { min_recall: 0.75, ..world.drill(&archive) };
    let drilled = lenient.run(&name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert_eq!(drilled.recall(), 0.75);
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]));
}

#[tokio::test]
async fn a_store_that_keeps_something_else_than_what_was_written_does_not_pass() {
    let (archive, world) = (Arc::default(), World::furnished().await);
    world.snapshot(&archive, "one").await.unwrap();
    // Scratch records that hold another session of the same name, as no empty ones do.
    let scratch = Arc::<RecordsDouble>::default();
    scratch.put_if_absent(Kind::Session, "s1", json!({ "other": 1 })).await.unwrap();
    let drill = Drill { scratch, ..world.drill(&archive) };
    let refused = drill.run(&name("one"), &CancellationToken::new(), &mut |_| {}).await;
    assert!(matches!(&refused, Err(SnapshotError::Differs { what, .. }) if what == "the session s1"), "{refused:?}");
    let scratch = Arc::<RecordsDouble>::default();
    scratch.put_if_absent(Kind::Document, "zzz", json!({})).await.unwrap();
    let drill = Drill { scratch, ..world.drill(&archive) };
    let refused = drill.run(&name("one"), &CancellationToken::new(), &mut |_| {}).await;
    assert!(matches!(refused, Err(SnapshotError::Counts { documents: 5, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_restored_document_ends_at_its_time() {
    let (archive, source, target) = (Arc::default(), World::opened().await, World::default());
    let hour = |hours| source.clock.now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    for (id, at) in [("brief", hour(1)), ("long", hour(48))] {
        let text = Source::text(id.parse::<DocumentId>().unwrap(), Format::Text, &format!("The {id} offer ends."));
        source.flow().ingest(Source { expires_at: Some(at), ..text }).await.result.unwrap();
    }
    source.snapshot(&archive, "one").await.unwrap();
    target.restored(&archive, "one").await.unwrap();
    let later = Arc::<SetClock>::default();
    later.advance(hour(2).duration_since(later.now()));
    let (store, records) = (Arc::clone(&target.store), Arc::clone(&target.records));
    let flow = Ingest::new(store, records, Arc::new(EmbedderDouble::default()), later, Epoch(1));
    assert_eq!(flow.remove_expired(10).await, Ok(1));
    assert_eq!(target.records.count(Kind::Expiry).await, Ok(1));
    assert_eq!(target.records.count(Kind::Document).await, Ok(1));
}
