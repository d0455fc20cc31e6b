mod copies;
mod damage;
mod deaths;
mod drills;
mod encrypted;
mod evidence;
mod removal;
mod replaced;

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    corpus::{self, CorpusError, Owner},
    doubles::{ArchiveDouble, EmbedderDouble, RecordsDouble, SetClock, StoreDouble},
    ingest::{Format, Ingest, Source},
    model::{DocumentId, Query},
    ports::{
        Clock as _, Embedder as _, Epoch, Kind, ModelIdentity, OpenStores, Records as _, SystemClock, VectorStore as _,
    },
    retrieve::{Retrieve, Settings},
};

/// Stores with a corpus, or to be filled with one.
#[derive(Default)]
struct World {
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
    clock: Arc<SetClock>,
}

fn owner() -> Owner {
    Owner { name: "local".to_owned(), id: None }
}

fn plain(archive: &Arc<ArchiveDouble>) -> Archived {
    Archived::plain(Arc::clone(archive) as _)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl World {
    async fn opened() -> Self {
        let world = Self::default();
        world.open().await.unwrap();
        world
    }

    async fn with(documents: &[(&str, &str)]) -> Self {
        let world = Self::opened().await;
        for (id, text) in documents {
            world.ingest(id, text).await;
        }
        world
    }

    /// Some documents of several kinds, with what else is kept.
    async fn furnished() -> Self {
        let world = Self::with(&DOCUMENTS).await;
        let long: String = (0..200).map(|n| format!("# Chapter {n}\n\nThe pump {n} is greased monthly.\n\n")).collect();
        world.ingest("manual", &long).await;
        for (kind, id) in
            [(Kind::Session, "s1"), (Kind::Session, "s2"), (Kind::Feedback, "f1"), (Kind::Budget, "2026-11")]
        {
            world.records.put_if_absent(kind, id, json!({ "b": [{ "y": 1, "x": id }], "a": 0.1 })).await.unwrap();
        }
        world.records.put_if_absent(Kind::Job, "j1", json!({})).await.unwrap();
        world
    }

    async fn open(&self) -> Result<Epoch, CorpusError> {
        corpus::open(&*self.store, &*self.records, &EmbedderDouble::default(), &owner()).await
    }

    fn flow(&self) -> Ingest {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        Ingest::new(store, records, Arc::new(EmbedderDouble::default()), Arc::clone(&self.clock) as _, Epoch(1))
    }

    async fn ingest(&self, id: &str, text: &str) {
        let source = Source::text(id.parse::<DocumentId>().unwrap(), Format::Markdown, text);
        self.flow().ingest(source).await.result.unwrap();
    }

    fn create(&self, archive: &Arc<ArchiveDouble>, key: Option<SigningKey>) -> Create {
        let source = OpenStores { vectors: Arc::clone(&self.store) as _, records: Arc::clone(&self.records) as _ };
        Create {
            source: Arc::new(source),
            archived: Archived { key, ..Archived::plain(Arc::clone(archive) as _) },
            clock: Arc::clone(&self.clock) as _,
            taken_by: "a test".to_owned(),
            taken_for: None,
            attached: Vec::new(),
        }
    }

    async fn snapshot(&self, archive: &Arc<ArchiveDouble>, as_name: &str) -> Result<Created, SnapshotError> {
        self.create(archive, None).run(name(as_name), &CancellationToken::new(), &mut |_| {}).await
    }

    fn restore(&self, archive: &Arc<ArchiveDouble>) -> Restore {
        Restore {
            store: Arc::clone(&self.store) as _,
            records: Arc::clone(&self.records) as _,
            archived: plain(archive),
            clock: Arc::clone(&self.clock) as _,
            owner: owner(),
            model: EmbedderDouble::default().model().clone(),
        }
    }

    async fn restored(&self, archive: &Arc<ArchiveDouble>, of: &str) -> Result<Restored, SnapshotError> {
        self.restore(archive).run(&name(of), &CancellationToken::new(), &mut |_| {}).await
    }

    /// Names of the documents that are found first.
    async fn found(&self, question: &str) -> Vec<String> {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        let retrieve = Retrieve::new(store, records, Arc::new(EmbedderDouble::default()), Settings::default());
        let query = Query { text: question.to_owned(), top_k: 1, ..Query::default() };
        let found = retrieve.retrieve(&query, None).await.unwrap();
        found.passages.into_iter().map(|passage| passage.chunk.document.to_string()).collect()
    }
}

/// Lets one of the three answer so many calls, and none afterwards.
type Die = fn(&World, &ArchiveDouble, i64);

const DEATHS: [Die; 3] = [
    |world, _, calls| world.store.die_after(calls),
    |world, _, calls| world.records.die_after(calls),
    |_, archive, calls| archive.die_after(calls),
];

const DOCUMENTS: [(&str, &str); 3] =
    [("backup", "Backups run nightly."), ("menu", "Soup is served at noon."), ("visit", "Visitors ring the bell.")];

#[tokio::test]
async fn what_was_restored_makes_the_same_parts_as_what_was_taken() {
    let (archive, source, target) = (Arc::default(), World::furnished().await, World::default());
    let taken = source.snapshot(&archive, "one").await.unwrap();
    assert_eq!((taken.manifest.documents, taken.manifest.left_out), (4, 0));
    assert_eq!((taken.manifest.count(Kind::Session), taken.manifest.count(Kind::Job)), (2, 0));
    assert!(taken.manifest.chunks > 70, "one of the documents is read in several windows: {}", taken.manifest.chunks);
    let restored = target.restored(&archive, "one").await.unwrap();
    assert_eq!((restored.epoch, restored.proven), (Epoch(1), taken.manifest.golden.len()));
    let again = target.snapshot(&archive, "two").await.unwrap();
    assert_eq!(again.manifest.parts, taken.manifest.parts);
    assert_eq!(again.progress.written_bytes, 0, "nothing is stored twice");
    assert_eq!(again.manifest.golden, taken.manifest.golden);
    assert_eq!(target.open().await, Ok(Epoch(1)));
    assert_eq!(target.found("When do backups run?").await, ["backup"]);
    assert_eq!(target.store.count(Epoch(1)).await.unwrap(), taken.manifest.chunks);
}

#[tokio::test]
async fn a_restored_document_is_one_like_any_other() {
    let (archive, source, target) = (Arc::default(), World::with(&DOCUMENTS).await, World::default());
    source.snapshot(&archive, "one").await.unwrap();
    target.restored(&archive, "one").await.unwrap();
    let again = Source::text("menu".parse::<DocumentId>().unwrap(), Format::Markdown, "Soup is served at noon.");
    assert_eq!(target.flow().ingest(again).await.result.unwrap(), crate::model::Outcome::Unchanged);
    let copy = Source::text("copy".parse::<DocumentId>().unwrap(), Format::Markdown, "Soup is served at noon.");
    let outcome = target.flow().ingest(copy).await.result.unwrap();
    assert_eq!(outcome, crate::model::Outcome::DuplicateOf("menu".parse().unwrap()));
}

#[tokio::test]
async fn a_later_snapshot_writes_only_the_parts_that_changed() {
    let (archive, world) = (Arc::default(), World::opened().await);
    for n in 0..900 {
        world.ingest(&format!("d{n:04}"), &format!("The valve {n} of the plant opens at {n} bar.")).await;
    }
    let first = world.snapshot(&archive, "one").await.unwrap();
    assert!(first.manifest.parts.len() >= 4, "{}", first.manifest.parts.len());
    world.ingest("d0450", "The valve was closed for good.").await;
    world.ingest("d0450b", "A new one took its place.").await;
    let second = world.snapshot(&archive, "two").await.unwrap();
    let new = second.manifest.parts.iter().filter(|part| !first.manifest.parts.contains(part)).count();
    assert!((1..=2).contains(&new), "{new} of {} parts are new", second.manifest.parts.len());
    assert_eq!(first.progress.kept_bytes, 0);
    assert_eq!(second.progress.written_bytes + second.progress.kept_bytes, second.manifest.bytes());
    assert_eq!(list(&*archive).await.unwrap(), [name("one"), name("two")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_it_is_read_is_whole_or_not_in_it() {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::with(&DOCUMENTS).await);
    let mut changed = false;
    let mut told = |_| {
        if !std::mem::replace(&mut changed, true) {
            // The page was listed before: what follows is read as it stood then.
            let change = async {
                world.flow().delete(&"menu".parse().unwrap()).await.unwrap();
                world.ingest("visit", "Visitors use the side door.").await;
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(change));
        }
    };
    let create = world.create(&archive, None);
    let taken = create.run(name("one"), &CancellationToken::new(), &mut told).await.unwrap();
    assert_eq!((taken.manifest.documents, taken.manifest.left_out), (2, 0));
    let target = World::default();
    target.restored(&archive, "one").await.unwrap();
    assert_eq!(target.found("Which door do visitors use?").await, ["visit"]);
    assert_eq!(target.store.count(Epoch(1)).await, Ok(2));
}

#[tokio::test]
async fn a_document_that_lost_chunks_is_left_out_and_counted() {
    let (archive, world) = (Arc::default(), World::with(&DOCUMENTS).await);
    let record = world.records.get(Kind::Document, "menu").await.unwrap().unwrap();
    let version = crate::ingest::document_of(&record).unwrap().version;
    world.store.purge(Epoch(1), &"menu".parse().unwrap(), &version).await.unwrap();
    let taken = world.snapshot(&archive, "one").await.unwrap();
    assert_eq!((taken.manifest.documents, taken.manifest.left_out), (2, 1));
    assert!(verify(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await.is_ok());
}

/// A snapshot `two` of one document, with a part of an older version before it, as a document of many chunks leaves it that is replaced while it is read.
async fn with_a_version_that_went(source: &World) -> Arc<ArchiveDouble> {
    let archive: Arc<ArchiveDouble> = Arc::default();
    source.snapshot(&archive, "one").await.unwrap();
    let mut manifest = plain(&archive).read(&name("one")).await.unwrap();
    let entries = reading::entries(&plain(&archive), &manifest, &manifest.parts[0]).await.unwrap();
    let [part::Entry::Document(document), part::Entry::Chunk(chunk)] = &entries[..] else { panic!("{entries:?}") };
    let mut older = document.clone();
    (older.body["version"], older.body["chunks"]) = (json!("older"), json!(2));
    let mut filling = part::Filling::default();
    let before = [part::Entry::Document(older), part::Entry::Chunk(chunk.clone()), part::Entry::Dropped];
    for entry in before.iter().chain(&entries) {
        filling.push(entry).unwrap();
    }
    let (object, unpacked_bytes) = filling.pack().unwrap();
    manifest.name = name("two");
    manifest.parts =
        vec![PartRef { sha256: part::sha256(&object), name: None, bytes: object.len() as u64, unpacked_bytes }];
    archive.objects().insert(part::object_name(&manifest.parts[0].sha256), object);
    let (manifest, object) = plain(&archive).sealed(manifest).unwrap();
    archive.objects().insert(manifest.name.object(), object);
    archive
}

#[tokio::test]
async fn chunks_of_a_version_that_went_while_it_was_read_are_not_restored() {
    let archive = with_a_version_that_went(&World::with(&DOCUMENTS[..1]).await).await;
    let target = World::default();
    target.restored(&archive, "two").await.unwrap();
    assert_eq!(target.store.count(Epoch(1)).await, Ok(1));
    assert_eq!(target.found("When do backups run?").await, ["backup"]);
}

#[tokio::test]
async fn a_restore_takes_the_next_epoch_where_an_empty_corpus_was_served() {
    let (archive, source, target) = (Arc::default(), World::with(&DOCUMENTS).await, World::opened().await);
    source.snapshot(&archive, "one").await.unwrap();
    assert_eq!(target.restored(&archive, "one").await.unwrap().epoch, Epoch(2));
    assert_eq!(target.open().await, Ok(Epoch(2)));
    assert_eq!(target.found("When do backups run?").await, ["backup"]);
}

#[tokio::test]
async fn records_that_are_there_already_are_not_rolled_back() {
    let (archive, source, target) = (Arc::default(), World::furnished().await, World::default());
    source.snapshot(&archive, "one").await.unwrap();
    target.records.put_if_absent(Kind::Budget, "2026-11", json!({ "spent": 7 })).await.unwrap();
    target.restored(&archive, "one").await.unwrap();
    let budget = target.records.get(Kind::Budget, "2026-11").await.unwrap().unwrap();
    assert_eq!(budget.body, json!({ "spent": 7 }));
    assert_eq!(target.records.count(Kind::Session).await, Ok(2));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_written() {
    let (archive, source) = (Arc::default(), World::with(&DOCUMENTS).await);
    assert_eq!(World::default().snapshot(&archive, "one").await, Err(SnapshotError::Empty));
    source.snapshot(&archive, "one").await.unwrap();
    assert_eq!(source.snapshot(&archive, "one").await, Err(SnapshotError::Exists(name("one"))));
    assert_eq!(source.restored(&archive, "one").await, Err(SnapshotError::NotEmpty(3)));
    let target = World::default();
    assert_eq!(target.restored(&archive, "two").await, Err(SnapshotError::Unknown(name("two"))));
    let other = ModelIdentity { name: "other".to_owned(), dimension: 768 };
    let restore = Restore { model: other, ..target.restore(&archive) };
    assert!(matches!(restore.plan(&name("one")).await, Err(SnapshotError::Model { .. })));
    assert_eq!(target.restore(&archive).plan(&name("one")).await.map(|plan| plan.goes_on), Ok(false));
    assert_eq!(target.records.count(Kind::Corpus).await, Ok(0), "a plan writes nothing");
}

#[tokio::test]
async fn a_stop_ends_it_and_the_same_command_goes_on() {
    let (archive, source, target) = (Arc::default(), World::furnished().await, World::default());
    let stopped = CancellationToken::new();
    stopped.cancel();
    let create = source.create(&archive, None);
    assert_eq!(create.run(name("one"), &stopped, &mut |_| {}).await, Err(SnapshotError::Stopped));
    assert_eq!(list(&*archive).await, Ok(Vec::new()));
    source.snapshot(&archive, "one").await.unwrap();
    let restore = target.restore(&archive);
    assert_eq!(restore.run(&name("one"), &stopped, &mut |_| {}).await, Err(SnapshotError::Stopped));
    assert!(matches!(target.open().await, Err(CorpusError::Restoring { snapshot }) if snapshot == "one"));
    assert_eq!(restore.plan(&name("one")).await.map(|plan| plan.goes_on), Ok(true));
    assert!(target.restored(&archive, "one").await.is_ok());
    assert_eq!(target.open().await, Ok(Epoch(1)));
}

#[tokio::test]
async fn a_stop_ends_it_in_the_midst_of_a_part() {
    let (archive, source, stop) = (Arc::default(), World::with(&DOCUMENTS).await, CancellationToken::new());
    let manifest = source.snapshot(&archive, "one").await.unwrap().manifest;
    let archived = plain(&archive);
    let mut reading = reading::Reading::of(&archived, &manifest, &stop);
    assert_eq!(reading.part().await, Ok(manifest.parts.first()));
    assert!(matches!(reading.step(), Ok(Some(walk::Step::Begins(_)))));
    stop.cancel();
    assert!(matches!(reading.step(), Err(SnapshotError::Stopped)));
}

#[test]
fn a_name_tells_the_time_and_holds_nothing_that_a_path_could() {
    let now = SystemClock.now();
    assert!(Name::at(now, 7).as_str().ends_with("-0007"));
    for bad in ["", "../x", "A", "-a", "a/b", "a.b", &"a".repeat(64)] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
    assert_eq!(Name::of_object("manifests/one.json"), Some(name("one")));
    assert_eq!(Name::of_object("manifests/../one.json"), None);
}
