//! A restore over a corpus that is served: one switch, which can be undone, whatever dies.

use std::time::Duration;

use futures::FutureExt as _;
use jiff::SignedDuration;

use super::*;
use crate::doubles::InterruptedClock;
use crate::ports::{Clock as _, Edition, Editions, GATE, Holds, Records, place};

/// What a question is answered from: the flows over one epoch, which go on when another one is activated.
struct Flows {
    ingest: Ingest,
    retrieve: Retrieve,
    store: Arc<StoreDouble>,
    records: Arc<dyn Records>,
}

impl World {
    fn editions(&self) -> Arc<Editions> {
        Arc::new(Editions::new(Arc::clone(&self.records) as _, Edition::First))
    }

    fn replace(&self) -> Replace {
        Replace {
            store: Arc::clone(&self.store) as _,
            editions: self.editions(),
            clock: Arc::clone(&self.clock) as _,
            owner: owner(),
            model: EmbedderDouble::default().model().clone(),
            with_deleted: false,
            restored_for: None,
            by: "a test".to_owned(),
            settle: Duration::ZERO,
        }
    }

    async fn replaced(&self, archive: &Arc<ArchiveDouble>, by: &str) -> Result<Replaced, SnapshotError> {
        self.replace().run(&plain(archive), &name(by), &CancellationToken::new(), &mut |_| {}).await
    }

    /// What a server begins that looks now.
    async fn flows(&self) -> Flows {
        let epoch = self.open().await.unwrap();
        let edition = corpus::edition(&*self.records, Some(epoch)).await.unwrap();
        let records = self.editions().fixed(edition);
        let (store, embedder) = (Arc::clone(&self.store), Arc::new(EmbedderDouble::default()));
        let retrieve = Retrieve::new(store.clone(), Arc::clone(&records), embedder.clone(), Settings::default());
        let ingest = Ingest::new(store.clone(), Arc::clone(&records), embedder, Arc::clone(&self.clock) as _, epoch);
        Flows { ingest, retrieve: retrieve.of_epoch(epoch), store, records }
    }

    /// Time goes on, as it does between any two acts.
    fn later(&self) {
        self.clock.advance(SignedDuration::from_secs(1));
    }

    /// The corpus in which one document was changed, one added and one deleted since the snapshot.
    async fn changed_since(archive: &Arc<ArchiveDouble>) -> Self {
        let world = Self::with(&DOCUMENTS).await;
        world.later();
        world.snapshot(archive, "one").await.unwrap();
        world.later();
        world.ingest("menu", "Soup is served at one.").await;
        world.ingest("extra", "The plant has three pumps.").await;
        world.flow().delete(&"visit".parse().unwrap()).await.unwrap();
        world.later();
        world
    }
}

impl Flows {
    async fn write(&self, id: &str, text: &str) {
        let source = Source::text(id.parse::<DocumentId>().unwrap(), Format::Markdown, text);
        self.ingest.ingest(source).await.result.unwrap();
    }

    async fn delete(&self, id: &str) {
        self.ingest.delete(&id.parse().unwrap()).await.unwrap();
    }

    /// The names of all documents that stand, with the text that a search for it finds: all of it, or this fails.
    async fn seen(&self) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        for record in self.records.list(Kind::Document, "", None, 100).await.unwrap().records {
            let document = crate::ingest::document_of(&record).unwrap();
            let ids = [crate::model::ChunkId::new(&document.id, &document.version, 0)];
            let chunks = self.store.chunks(Some(self.ingest.epoch()), &ids).await.unwrap();
            assert_eq!((document.chunks, chunks.len()), (1, 1), "{record:?}");
            let query = Query { text: chunks[0].text.clone(), top_k: 1, ..Query::default() };
            let found = self.retrieve.retrieve(&query, None).await.unwrap().passages;
            assert_eq!(found[0].chunk, chunks[0]);
            seen.push((record.id, chunks[0].text.clone()));
        }
        seen
    }
}

fn texts(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn old() -> Vec<(String, String)> {
    texts(&[DOCUMENTS[0], ("extra", "The plant has three pumps."), ("menu", "Soup is served at one.")])
}

/// Without the document that was deleted since.
fn new() -> Vec<(String, String)> {
    texts(&[DOCUMENTS[0], DOCUMENTS[1]])
}

#[tokio::test]
async fn a_restore_over_a_corpus_is_one_switch_and_old_flows_see_the_old_state_until_it_is_confirmed() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let before = world.flows().await;
    assert_eq!(before.seen().await, old());
    let replaced = world.replaced(&archive, "one").await.unwrap();
    assert_eq!((replaced.previous, replaced.epoch), (Some(Epoch(1)), Epoch(2)));
    assert_eq!(replaced.difference, Difference { added: 0, changed: 1, removed: 1, unchanged: 1 });
    assert_eq!((replaced.withheld, replaced.proven), (1, 2));
    let after = world.flows().await;
    assert_eq!((before.seen().await, after.seen().await), (old(), new()));
    assert_eq!(world.replace().confirm().await, Ok(Epoch(1)));
    assert_eq!(world.flows().await.seen().await, new());
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(2)]));
    for kind in Edition::KINDS {
        assert_eq!(world.records.count(kind).await, Ok(0), "{kind:?}");
    }
    let refused = world.replace().confirm().await;
    assert_eq!(refused, Err(SnapshotError::NothingRestored("confirmed")));
}

#[tokio::test]
async fn what_is_written_after_a_restore_is_of_the_new_state_and_an_undo_brings_the_old_one_back_whole() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    world.replaced(&archive, "one").await.unwrap();
    world.later();
    let flows = world.flows().await;
    // Everything that an ingestion, a deletion, a sweep and a cleaning up may purge.
    flows.write("menu", "Soup is served at two.").await;
    flows.write("late", "It came after the restore.").await;
    flows.delete("backup").await;
    flows.ingest.clean_up().await.unwrap();
    flows.ingest.tidy().await.unwrap();
    let names: Vec<String> = flows.seen().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["late", "menu"]);
    assert_eq!(world.replace().undo(&CancellationToken::new()).await, Ok(Undone::Back(Epoch(1))));
    assert_eq!(world.flows().await.seen().await, old());
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]));
    assert_eq!(world.records.count(Kind::SecondDocument).await, Ok(0));
    let refused = world.replace().undo(&CancellationToken::new()).await;
    assert_eq!(refused, Err(SnapshotError::NothingRestored("undone")));
}

#[tokio::test]
async fn restores_after_each_other_take_the_editions_in_turns_and_each_keeps_one_state_to_go_back_to() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    for (turn, kept) in [(2, 1), (3, 2), (4, 3)] {
        let replaced = world.replaced(&archive, "one").await.unwrap();
        assert_eq!((replaced.epoch, replaced.previous), (Epoch(turn), Some(Epoch(kept))));
        assert_eq!(world.store.epochs().await, Ok(vec![Epoch(kept), Epoch(turn)]));
        assert_eq!(world.flows().await.seen().await, new());
        world.later();
    }
    // A snapshot of the second edition is one like any other.
    let source = OpenStores { vectors: Arc::clone(&world.store) as _, records: world.flows().await.records };
    let taken = Create { source: Arc::new(source), ..world.create(&archive, None) };
    let taken = taken.run(name("two"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert_eq!(taken.manifest.documents, 2);
}

/// Whoever did not hear that it was done asks again, however late.
#[tokio::test]
async fn what_was_restored_for_the_same_is_not_restored_again_and_keeps_what_was_written_since_and_the_way_back() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let stop = CancellationToken::new();
    let asked = |by: &str| Replace { restored_for: Some(by.to_owned()), ..world.replace() };
    let first = asked("u-1").run(&plain(&archive), &name("one"), &stop, &mut |_| {}).await.unwrap();
    world.later();
    world.flows().await.write("late", "It came after the restore.").await;
    let again = asked("u-1").run(&plain(&archive), &name("one"), &stop, &mut |_| {}).await.unwrap();
    assert_eq!(again, first);
    let names: Vec<String> = world.flows().await.seen().await.into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"late".to_owned()), "{names:?}");
    assert_eq!(world.replace().undo(&stop).await, Ok(Undone::Back(Epoch(1))));
    assert_eq!(world.flows().await.seen().await, old());

    // Undone, asked for by somebody else, or by nobody: it is restored.
    let mut searched = Vec::new();
    for replace in [asked("u-1"), asked("u-2"), world.replace(), world.replace(), asked("u-3")] {
        world.later();
        searched.push(replace.run(&plain(&archive), &name("one"), &stop, &mut |_| {}).await.unwrap().epoch);
    }
    assert!(searched.is_sorted_by(|one, next| one < next), "{searched:?}");

    // Confirmed, there is no way back, and nothing to be done for whoever asks late.
    let active = *searched.last().unwrap();
    assert!(world.replace().confirm().await.is_ok());
    world.later();
    world.flows().await.write("late", "It came after the restore.").await;
    let late = asked("u-3").run(&plain(&archive), &name("one"), &stop, &mut |_| {}).await.unwrap();
    let names: Vec<String> = world.flows().await.seen().await.into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"late".to_owned()), "{names:?}");
    assert_eq!((late.epoch, late.previous), (active, None), "nothing is said to be kept");
    assert_eq!(world.replace().confirm().await, Err(SnapshotError::NothingRestored("confirmed")));
    assert_eq!(world.replace().undo(&stop).await, Err(SnapshotError::NothingRestored("undone")));
    let other = asked("u-4").run(&plain(&archive), &name("one"), &stop, &mut |_| {}).await.unwrap();
    assert!(other.epoch > active, "{other:?}");
}

#[tokio::test]
async fn deleted_documents_stay_deleted_unless_they_are_asked_for_or_were_written_again_before() {
    let (archive, world) = (Arc::default(), World::with(&DOCUMENTS).await);
    world.later();
    world.flow().delete(&"menu".parse().unwrap()).await.unwrap();
    world.later();
    world.ingest("menu", DOCUMENTS[1].1).await;
    world.later();
    world.snapshot(&archive, "one").await.unwrap();
    world.later();
    world.flow().delete(&"visit".parse().unwrap()).await.unwrap();
    world.later();
    let replaced = world.replaced(&archive, "one").await.unwrap();
    assert_eq!((replaced.withheld, replaced.difference.unchanged), (1, 2));
    assert_eq!(world.flows().await.seen().await, new());
    let asked = Replace { with_deleted: true, ..world.replace() };
    let planned = asked.plan(&plain(&archive), &name("one"), &CancellationToken::new()).await.unwrap();
    let replaced = asked.run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert_eq!(replaced.difference, Difference { added: 1, changed: 0, removed: 0, unchanged: 2 });
    assert_eq!((planned.difference, planned.withheld), (replaced.difference, replaced.withheld));
    assert_eq!(world.flows().await.seen().await, texts(&DOCUMENTS));
}

#[tokio::test]
async fn a_plan_says_what_would_change_and_writes_nothing() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let planned = world.replace().plan(&plain(&archive), &name("one"), &CancellationToken::new()).await.unwrap();
    assert_eq!(planned.difference, Difference { added: 0, changed: 1, removed: 1, unchanged: 1 });
    assert_eq!((planned.withheld, planned.takes), (1, None), "nothing was measured yet");
    assert_eq!(world.records.count(Kind::SecondDocument).await, Ok(0));
    world.replaced(&archive, "one").await.unwrap();
    let planned = world.replace().plan(&plain(&archive), &name("one"), &CancellationToken::new()).await.unwrap();
    assert_eq!(planned.difference, Difference { unchanged: 2, ..Difference::default() });
    assert!(planned.takes.is_some());
}

#[tokio::test]
async fn a_place_at_which_no_document_stands_is_none_that_goes() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    world.records.put_if_absent(Kind::Document, "place", place()).await.unwrap();
    let difference = Difference { added: 0, changed: 1, removed: 1, unchanged: 1 };
    let planned = world.replace().plan(&plain(&archive), &name("one"), &CancellationToken::new()).await.unwrap();
    assert_eq!(planned.difference, difference);
    assert_eq!(world.replaced(&archive, "one").await.unwrap().difference, difference);
}

#[tokio::test]
async fn a_restore_waits_for_nobody_forever_and_takes_no_job_over() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    world.records.put_if_absent(Kind::Waiting, "j1", json!({})).await.unwrap();
    let refused = world.replaced(&archive, "one").await;
    assert_eq!(refused, Err(SnapshotError::Pending { jobs: 1, writing: 0 }));
    let waiting = world.records.get(Kind::Waiting, "j1").await.unwrap().unwrap();
    world.records.remove(Kind::Waiting, "j1", waiting.version).await.unwrap();
    // Somebody writes a document, and somebody else who did is dead.
    let (kind, id) = (Kind::Claim, "menu");
    let holds = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    let claim = holds.take(kind, id, |_| json!({ "versions": [] })).await.unwrap().unwrap();
    let refused = world.replaced(&archive, "one").await;
    assert_eq!(refused, Err(SnapshotError::Pending { jobs: 0, writing: 1 }));
    drop(claim);
    world.clock.advance(SignedDuration::from_mins(1));
    assert!(world.replaced(&archive, "one").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_although_the_gate_was_closed_is_not_lost() {
    type Write = fn(&World) -> futures::future::BoxFuture<'_, ()>;
    let writes: [Write; 2] = [
        |world| Box::pin(world.ingest("late", "Nobody told this one of the gate.")),
        |world| Box::pin(async { assert!(world.flow().delete(&"menu".parse().unwrap()).await.is_ok()) }),
    ];
    for write in writes {
        let archive = Arc::default();
        let world = World::changed_since(&archive).await;
        let mut told = |_| {
            world.later();
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(write(&world)));
        };
        let refused = world.replace().run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut told).await;
        assert_eq!(refused, Err(SnapshotError::Written(1)));
        assert_eq!(world.store.active().await, Ok(Some(Epoch(1))));
        // Now that nobody writes, it is done.
        world.later();
        assert!(world.replaced(&archive, "one").await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_find_the_gate_closed_while_a_restore_is_at_work_and_open_afterwards() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let closed = async || {
        let record = world.records.get(GATE.0, GATE.1).await.unwrap();
        record.is_some_and(|record| crate::ports::holder_of(record, world.clock.now()).unwrap().is_some())
    };
    assert!(!closed().await);
    let mut seen = Vec::new();
    let mut told = |_| seen.push(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(closed())));
    world.replace().run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut told).await.unwrap();
    assert_eq!(seen, [true]);
    assert!(!closed().await);
}

#[tokio::test]
async fn two_restores_a_reindex_and_a_restore_never_work_at_once() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let holds = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    let moving = crate::reindex::hold(&holds, "a reindex").await.unwrap();
    let refused = world.replaced(&archive, "one").await;
    assert!(matches!(&refused, Err(SnapshotError::Moving { by, .. }) if by == "a reindex"), "{refused:?}");
    moving.give_back().await.unwrap();
    let gate = holds.take(GATE.0, GATE.1, |_| json!({})).await.unwrap().unwrap();
    assert!(matches!(world.replaced(&archive, "one").await, Err(SnapshotError::Held { .. })));
    gate.give_back().await.unwrap();
    assert!(world.replaced(&archive, "one").await.is_ok());
}

#[tokio::test]
async fn what_changed_before_a_restore_had_its_turn_is_what_it_goes_back_to() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    let built = corpus::recorded(&*world.records, Epoch(1)).await.unwrap().unwrap();
    corpus::record(&*world.records, Epoch(2), &built).await.unwrap();
    world.store.create_epoch(Epoch(2), 512).await.unwrap();
    // A reindex that was at work comes to its end.
    let store = Arc::clone(&world.store);
    let ends = move || store.activate(Epoch(2)).now_or_never().unwrap().unwrap();
    // It is first asked for the time when a hold is taken.
    let clock = InterruptedClock::new(&world.clock, 1, ends);
    let replace = Replace { clock: Arc::new(clock), ..world.replace() };
    let replaced = replace.run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert_eq!((replaced.previous, replaced.epoch), (Some(Epoch(2)), Epoch(3)));
    assert_eq!(world.replace().undo(&CancellationToken::new()).await, Ok(Undone::Back(Epoch(2))));
}

/// Dies at every call in turn. Whatever is durable at that moment is what any server finds, so this goes through every state in which a server may look: one that began before, one that begins now.
#[tokio::test]
async fn a_restore_that_dies_at_any_call_shows_the_old_state_or_the_new_one_and_the_next_run_ends_it() {
    let wishes = [None, Some("u-1".to_owned())];
    for (die, restored_for) in DEATHS.into_iter().flat_map(|die| wishes.iter().map(move |wish| (die, wish))) {
        for calls in 0.. {
            let archive = Arc::<ArchiveDouble>::default();
            let world = World::changed_since(&archive).await;
            let before = world.flows().await;
            let run = async || {
                let replace = Replace { restored_for: restored_for.clone(), ..world.replace() };
                replace.run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await
            };
            die(&world, &archive, calls);
            let ended = run().await;
            die(&world, &archive, i64::MAX);
            assert_eq!(before.seen().await, old(), "after {calls} calls");
            let now = world.flows().await;
            let seen = now.seen().await;
            let switched = world.store.active().await != Ok(Some(Epoch(1)));
            assert_eq!(seen, if switched { new() } else { old() }, "after {calls} calls");
            // Servers go on, and tidy up what they take for theirs.
            now.ingest.tidy().await.unwrap();
            world.clock.advance(SignedDuration::from_mins(1));
            let again = match &ended {
                Ok(replaced) => replaced.clone(),
                Err(_) => run().await.unwrap(),
            };
            assert_eq!((again.previous, again.withheld), (Some(Epoch(1)), 1), "after {calls} calls");
            if restored_for.is_some() {
                assert_eq!(run().await, Ok(again.clone()), "whoever did not hear of it asks once more");
            }
            assert_eq!(again.difference, Difference { added: 0, changed: 1, removed: 1, unchanged: 1 });
            assert_eq!((before.seen().await, world.flows().await.seen().await), (old(), new()));
            assert_eq!(world.records.count(Kind::SecondDocument).await, Ok(2));
            if ended.is_ok() {
                assert!(calls >= 3, "it made only {calls} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_undo_or_a_confirmation_that_dies_at_any_call_comes_to_its_end_when_it_is_run_again() {
    for undoes in [true, false] {
        for die in &DEATHS[..2] {
            for calls in 0.. {
                let archive = Arc::<ArchiveDouble>::default();
                let world = World::changed_since(&archive).await;
                let restored_for = (calls % 2 == 0).then(|| "u-1".to_owned());
                let replace = Replace { restored_for: restored_for.clone(), ..world.replace() };
                let run =
                    async || replace.run(&plain(&archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await;
                run().await.unwrap();
                let act = async || match undoes {
                    true => world.replace().undo(&CancellationToken::new()).await.map(drop),
                    false => world.replace().confirm().await.map(drop),
                };
                die(&world, &archive, calls);
                let ended = act().await;
                die(&world, &archive, i64::MAX);
                let is_back = world.store.active().await == Ok(Some(Epoch(1)));
                assert_eq!(world.flows().await.seen().await, if is_back { old() } else { new() });
                world.clock.advance(SignedDuration::from_mins(1));
                match (ended.is_ok(), act().await) {
                    (_, Err(SnapshotError::NothingRestored(_))) | (false, Ok(())) => {}
                    (_, again) => panic!("after {calls} calls: {again:?}"),
                }
                if !undoes && restored_for.is_some() {
                    let late = run().await.unwrap();
                    assert_eq!((late.epoch, late.previous), (Epoch(2), None), "after {calls} calls");
                }
                let (left, state) = if undoes { (Epoch(1), old()) } else { (Epoch(2), new()) };
                assert_eq!(world.flows().await.seen().await, state, "after {calls} calls");
                assert_eq!(world.store.epochs().await, Ok(vec![left]), "after {calls} calls");
                let gone = if undoes { Kind::SecondDocument } else { Kind::Document };
                assert_eq!(world.records.count(gone).await, Ok(0), "after {calls} calls");
                if ended.is_ok() {
                    break;
                }
            }
        }
    }
}

/// Also where the run had died between the switch and its last word.
#[tokio::test]
async fn after_a_confirmation_a_snapshot_is_restored_again_for_whoever_wants_it_anew() {
    for die in &DEATHS[..2] {
        for calls in 0.. {
            let archive = Arc::<ArchiveDouble>::default();
            let world = World::changed_since(&archive).await;
            die(&world, &archive, calls);
            let ended = world.replaced(&archive, "one").await;
            die(&world, &archive, i64::MAX);
            if world.store.active().await == Ok(Some(Epoch(2))) {
                world.clock.advance(SignedDuration::from_mins(1));
                world.replace().confirm().await.unwrap();
                world.flows().await.write("late", "It came after the restore.").await;
                let again = world.replaced(&archive, "one").await.unwrap();
                assert_eq!((again.previous, again.epoch), (Some(Epoch(2)), Epoch(3)), "after {calls} calls");
                assert_eq!(world.flows().await.seen().await, new(), "after {calls} calls");
            }
            if ended.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn another_snapshot_or_another_wish_begins_anew_and_a_half_can_be_given_up() {
    let archive = Arc::<ArchiveDouble>::default();
    let world = World::changed_since(&archive).await;
    world.snapshot(&archive, "two").await.unwrap();
    archive.die_after(1);
    assert!(world.replaced(&archive, "one").await.is_err());
    archive.die_after(i64::MAX);
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1), Epoch(2)]));
    assert_eq!(world.replace().undo(&CancellationToken::new()).await, Ok(Undone::Abandoned));
    assert_eq!(world.store.epochs().await, Ok(vec![Epoch(1)]));
    archive.die_after(1);
    assert!(world.replaced(&archive, "one").await.is_err());
    archive.die_after(i64::MAX);
    let replaced = world.replaced(&archive, "two").await.unwrap();
    assert_eq!(replaced.difference, Difference { unchanged: 3, ..Difference::default() });
    assert_eq!(world.flows().await.seen().await, old());
}

#[tokio::test]
async fn a_lost_vector_store_is_noticed_whichever_edition_stood() {
    let archive = Arc::default();
    let world = World::changed_since(&archive).await;
    world.replaced(&archive, "one").await.unwrap();
    world.replace().confirm().await.unwrap();
    let lost = World { store: Arc::default(), ..world };
    assert_eq!(lost.open().await, Err(CorpusError::VectorsLost(2)));
}

#[tokio::test]
async fn the_newest_is_told_by_its_beginning_and_not_by_its_name() {
    let (archive, world) = (Arc::<ArchiveDouble>::default(), World::with(&DOCUMENTS).await);
    let archived = plain(&archive);
    assert_eq!(newest(&archived, None).await, Err(SnapshotError::None));
    let mut began = Vec::new();
    for of in ["zebra", "ant"] {
        world.later();
        began.push(world.snapshot(&archive, of).await.unwrap().manifest.began);
    }
    assert_eq!(newest(&archived, None).await, Ok(name("ant")));
    assert_eq!(newest(&archived, Some(began[1])).await, Ok(name("zebra")));
    assert_eq!(newest(&archived, Some(began[0])).await, Err(SnapshotError::NoneBefore(began[0])));
    archive.objects().insert(name("bad").object(), b"?".to_vec());
    assert_eq!(newest(&archived, None).await, Ok(name("ant")), "one that cannot be read keeps nobody from the others");
}
