use std::collections::BTreeMap;

use super::*;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, SetClock, StoreDouble},
    evaluate::{Evaluation, Questions, report},
    ingest::{Format, Ingest, Interrupted, Source},
    model::{DocumentId, Mode, Outcome, Query, Tenant},
    ports::{EmbedderDecorator, Holds, SystemClock},
    retrieve::{Retrieve, Settings},
};

/// The stores of a corpus that was begun with vectors of 512 numbers.
#[derive(Default)]
struct Corpus {
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
}

impl Corpus {
    async fn with(documents: &[(&str, &str)]) -> Self {
        let corpus = Self::default();
        let embedder = EmbedderDouble::default();
        corpus::open(&*corpus.store, &*corpus.records, &embedder, &owner("local")).await.unwrap();
        for (id, text) in documents {
            corpus.ingest(embedder.clone(), Epoch(1), id, text).await;
        }
        corpus
    }

    async fn ingest(&self, embedder: EmbedderDouble, epoch: Epoch, id: &str, text: &str) {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        let ingest = Ingest::new(store, records, Arc::new(embedder), Arc::new(SystemClock), epoch);
        let source = Source::text(id.parse::<DocumentId>().unwrap(), Format::Text, text);
        ingest.ingest(source).await.result.unwrap();
    }

    async fn reindex(&self, embedder: EmbedderDouble) -> Result<Reindexed, ReindexError> {
        self.judged(embedder, approved).await
    }

    async fn judged(
        &self,
        embedder: EmbedderDouble,
        judge: impl AsyncFnOnce(Epoch) -> Result<bool, ReindexError>,
    ) -> Result<Reindexed, ReindexError> {
        self.run("local", embedder).run(&CancellationToken::new(), |_, _| {}, judge).await
    }

    fn run(&self, owner: &str, embedder: EmbedderDouble) -> Reindex {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        Reindex::new(store, records, Arc::new(embedder), self::owner(owner))
    }

    /// Changes one field of what the first epoch was built with.
    async fn altered(&self, field: &str, value: &str) {
        let record = self.records.get(Kind::Corpus, "e1").await.unwrap().unwrap();
        let mut body = record.body;
        body[field] = value.into();
        self.records.compare_and_set(Kind::Corpus, "e1", record.version, body).await.unwrap();
    }

    /// Names of the documents that are found, by the epoch that is searched now.
    async fn found(&self, embedder: EmbedderDouble, question: &str) -> Vec<String> {
        corpus::open(&*self.store, &*self.records, &embedder, &owner("local")).await.unwrap();
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        let retrieve = Retrieve::new(store, records, Arc::new(embedder), Settings::default());
        let query = Query { text: question.to_owned(), top_k: 1, ..Query::default() };
        let found = retrieve.retrieve(&query, None).await.unwrap();
        found.passages.into_iter().map(|passage| passage.chunk.document.to_string()).collect()
    }
}

fn owner(name: &str) -> Owner {
    Owner { name: name.to_owned(), id: None }
}

fn old() -> EmbedderDouble {
    EmbedderDouble::default()
}

fn new() -> EmbedderDouble {
    EmbedderDouble::of("wider", 1024)
}

/// Whatever was built is good enough.
async fn approved(_: Epoch) -> Result<bool, ReindexError> {
    Ok(true)
}

const DOCUMENTS: [(&str, &str); 3] =
    [("backup", "Backups run nightly."), ("pump", "A pump is greased monthly."), ("menu", "Soup is served at noon.")];

#[tokio::test]
async fn another_model_is_refused_until_the_corpus_is_reindexed_and_then_finds_everything() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let refused = corpus::open(&*corpus.store, &*corpus.records, &new(), &owner("local")).await.unwrap_err();
    assert!(refused.to_string().contains("rag-server reindex"), "{refused}");
    let done = corpus.reindex(new()).await;
    assert_eq!(done, Ok(Reindexed::Activated { from: Epoch(1), to: Epoch(2), embedded: 3 }));
    assert_eq!(corpus.found(new(), "When do backups run?").await, ["backup"]);
    assert_eq!(corpus.reindex(new()).await, Ok(Reindexed::Fits(Epoch(2))));
}

#[tokio::test]
async fn going_back_embeds_only_what_came_since() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    corpus.reindex(new()).await.unwrap();
    corpus.ingest(new(), Epoch(2), "visit", "Visitors ring the bell.").await;
    corpus.ingest(new(), Epoch(2), "menu", "Soup is served at one.").await;
    let back = corpus.reindex(old()).await;
    assert_eq!(back, Ok(Reindexed::Activated { from: Epoch(2), to: Epoch(1), embedded: 2 }));
    assert_eq!(corpus.found(old(), "Who rings the bell?").await, ["visit"]);
    assert_eq!(corpus.store.count(Epoch(1)).await, Ok(4), "the old version of the menu is gone");
}

#[tokio::test]
async fn metadata_that_changed_since_are_those_that_a_filter_finds() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    corpus.reindex(new()).await.unwrap();
    let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
    let ingest = Ingest::new(store, records, Arc::new(new()), Arc::new(SystemClock), Epoch(2));
    let (id, text) = DOCUMENTS[0];
    let metadata = BTreeMap::from([("lang".to_owned(), "en".to_owned())]);
    let source = Source::text(id.parse().unwrap(), Format::Text, text);
    let changed = ingest.ingest(Source { metadata: Some(metadata), ..source }).await;
    assert_eq!(changed.result, Ok(Outcome::MetadataOnly));
    let back = corpus.reindex(old()).await;
    assert_eq!(back, Ok(Reindexed::Activated { from: Epoch(2), to: Epoch(1), embedded: 0 }));
    let document = ingest.document(&id.parse().unwrap()).await.unwrap().unwrap();
    let chunk = ChunkId::new(&document.id, &document.version, 0);
    let labels = corpus.store.embedded(Epoch(1), &[chunk]).await.unwrap().remove(0).labels;
    assert_eq!(labels, Filter::labels(&document.metadata));
    assert_eq!(labels.len(), 1);
}

#[tokio::test]
async fn a_writer_that_does_not_know_of_the_change_commits_nothing_and_what_it_had_is_brought_over() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let writer = || {
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1))
    };
    let text = |id: &str| Source::text(id.parse::<DocumentId>().unwrap(), Format::Text, "Visitors ring the bell.");
    corpus.reindex(new()).await.unwrap();
    let late = writer().ingest_all(vec![text("late")], &CancellationToken::new(), &mut |_| {}).await;
    assert_eq!(late, Err(Interrupted::Outdated));
    assert_eq!(writer().document(&"late".parse().unwrap()).await, Ok(None));
    let (id, stands) = DOCUMENTS[0];
    let metadata = BTreeMap::from([("lang".to_owned(), "en".to_owned())]);
    let source = Source::text(id.parse().unwrap(), Format::Text, stands);
    let labelled = vec![Source { metadata: Some(metadata), ..source }];
    let late = writer().ingest_all(labelled, &CancellationToken::new(), &mut |_| {}).await;
    assert_eq!(late, Err(Interrupted::Outdated));
    let left = (corpus.records.count(Kind::Document).await, corpus.records.count(Kind::Claim).await);
    assert_eq!(left, (Ok(3), Ok(0)), "neither a place nor a claim is left for others to wait for");
    // Committed between the last look and the change: the change is put off by hand for that.
    corpus.store.activate(Epoch(1)).await.unwrap();
    writer().ingest(text("visit")).await.result.unwrap();
    corpus.store.activate(Epoch(2)).await.unwrap();
    let run = corpus.run("local", new());
    let stop = CancellationToken::new();
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(1));
    assert_eq!(corpus.found(new(), "Who rings the bell?").await, ["visit"]);
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(0));
    // What was written since the change is newer than what the old epoch has.
    corpus.ingest(new(), Epoch(2), "visit", "Visitors blow the horn.").await;
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(0));
    assert_eq!(corpus.found(new(), "Who blows the horn?").await, ["visit"]);
    assert_eq!(corpus.store.count(Epoch(2)).await, Ok(4));
}

#[tokio::test]
async fn a_document_that_is_deleted_while_an_epoch_is_built_is_in_no_epoch() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
    let ingest = Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1));
    let deleted = async |built| {
        assert_eq!(corpus.store.count(built).await, Ok(3));
        ingest.delete(&"pump".parse().unwrap()).await.unwrap();
        Ok(true)
    };
    corpus.judged(new(), deleted).await.unwrap();
    for epoch in [Epoch(1), Epoch(2)] {
        assert_eq!(corpus.store.count(epoch).await, Ok(2), "{epoch:?}");
    }
}

/// Does something while it embeds for the first time.
struct Meanwhile {
    inner: EmbedderDouble,
    act: std::sync::Mutex<Option<futures::future::BoxFuture<'static, ()>>>,
}

#[async_trait::async_trait]
impl EmbedderDecorator for Meanwhile {
    fn inner(&self) -> &dyn Embedder {
        &self.inner
    }

    async fn around_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act.await;
        }
        self.inner.embed_passages(texts).await
    }
}

#[tokio::test]
async fn what_is_deleted_or_replaced_while_it_is_brought_over_is_in_no_epoch() {
    for deletes in [true, false] {
        let corpus = Corpus::with(&DOCUMENTS).await;
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        let ingest = Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1));
        let id: DocumentId = "backup".parse().unwrap();
        let act = Box::pin(async move {
            match deletes {
                true => drop(ingest.delete(&id).await.unwrap()),
                false => {
                    let changed = Source::text(id, Format::Text, "Backups run weekly.");
                    ingest.ingest(changed).await.result.unwrap();
                }
            }
        });
        let embedder = Meanwhile { inner: new(), act: std::sync::Mutex::new(Some(act)) };
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        let run = Reindex::new(store, records, Arc::new(embedder), owner("local"));
        run.run(&CancellationToken::new(), |_, _| {}, approved).await.unwrap();
        for epoch in [Epoch(1), Epoch(2)] {
            let left = if deletes { 2 } else { 3 };
            assert_eq!(corpus.store.count(epoch).await, Ok(left), "{epoch:?}");
        }
        let found = corpus.found(new(), "When do backups run?").await;
        assert_eq!(found.contains(&"backup".to_owned()), !deletes);
    }
}

#[tokio::test]
async fn a_run_that_lost_its_place_to_another_one_neither_writes_nor_activates() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let clock = Arc::<SetClock>::default();
    let process = || Holds::new(Arc::clone(&corpus.records) as _, Arc::clone(&clock) as _);
    let (one, other) = (process(), process());
    let stalled = Arc::new(hold(&one, "one").await.unwrap());
    let run = corpus.run("local", new()).under(stalled);
    clock.advance(jiff::SignedDuration::from_secs(31));
    let next = Arc::new(hold(&other, "other").await.unwrap());
    let ended = run.run(&CancellationToken::new(), |_, _| {}, approved).await;
    assert_eq!(ended, Err(ReindexError::TakenOver));
    assert_eq!((corpus.store.count(Epoch(2)).await, corpus.store.active().await), (Ok(0), Ok(Some(Epoch(1)))));
    let run = corpus.run("local", new()).under(next);
    assert!(matches!(
        run.run(&CancellationToken::new(), |_, _| {}, approved).await,
        Ok(Reindexed::Activated { embedded: 3, .. })
    ));
}

#[tokio::test]
async fn of_two_that_change_the_epoch_of_one_store_the_second_is_told_who_does_and_until_when() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let process = || Holds::new(Arc::clone(&records) as _, Arc::clone(&clock) as _);
    let (one, other) = (process(), process());
    let first = hold(&one, "rag-server reindex (process 7 on pod-a)").await.unwrap();
    let refused = hold(&other, "rag-server serve (process 8 on pod-b)").await.err().unwrap();
    let (by, until) = ("rag-server reindex (process 7 on pod-a)".to_owned(), "2026-11-21T08:00:30Z");
    assert_eq!(refused, ReindexError::Held { by: by.clone(), until: until.parse().unwrap() });
    let said = refused.to_string();
    assert!(said.starts_with(&by) && said.contains(&format!("until {until},")), "{said}");
    assert_eq!(first.give_back().await, Ok(true));
    assert!(hold(&other, "other").await.is_ok(), "what is given back is free at once");
}

#[tokio::test]
async fn the_change_of_a_server_that_does_not_say_its_name_is_told_as_well() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let body = serde_json::json!({ "holder": "older/0", "until": "2026-11-21T08:00:20Z" });
    records.put_if_absent(Kind::Lease, "move", body).await.unwrap();
    let holds = Holds::new(Arc::clone(&records) as _, Arc::clone(&clock) as _);
    let refused = hold(&holds, "me").await.err().unwrap().to_string();
    assert!(refused.starts_with("another server changes the searched epoch"), "{refused}");
    clock.advance(jiff::SignedDuration::from_secs(21));
    assert!(hold(&holds, "me").await.is_ok());
}

#[tokio::test]
async fn a_run_that_was_cut_short_changes_nothing_that_is_searched_and_is_taken_up_again() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let stop = CancellationToken::new();
    // After the first document.
    let stopped = corpus.run("local", new()).run(&stop, |_, _| stop.cancel(), approved).await;
    assert_eq!(stopped, Ok(Reindexed::Stopped));
    assert_eq!(corpus.store.active().await, Ok(Some(Epoch(1))));
    assert_eq!(corpus.found(old(), "When do backups run?").await, ["backup"]);
    let done = corpus.reindex(new()).await;
    assert_eq!(done, Ok(Reindexed::Activated { from: Epoch(1), to: Epoch(2), embedded: 2 }));
}

#[tokio::test]
async fn an_epoch_is_judged_before_it_is_searched_and_what_came_meanwhile_is_in_it() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let reject = async |epoch| {
        assert_eq!((epoch, corpus.store.active().await), (Epoch(2), Ok(Some(Epoch(1)))));
        assert_eq!(corpus.store.count(epoch).await, Ok(3));
        Ok(false)
    };
    let rejected = corpus.judged(new(), reject).await;
    assert_eq!(rejected, Ok(Reindexed::Rejected { from: Epoch(1), to: Epoch(2) }));
    assert_eq!(corpus.found(old(), "When do backups run?").await, ["backup"]);
    let approve = async |_| {
        corpus.ingest(old(), Epoch(1), "visit", "Visitors ring the bell.").await;
        Ok(true)
    };
    let done = corpus.judged(new(), approve).await;
    assert_eq!(done, Ok(Reindexed::Activated { from: Epoch(1), to: Epoch(2), embedded: 1 }));
    assert_eq!(corpus.found(new(), "Who rings the bell?").await, ["visit"]);
}

#[tokio::test]
async fn a_run_that_dies_at_any_call_is_completed_by_the_next_and_never_shows_half_an_epoch() {
    type Die = fn(&Corpus, i64);
    let dies: [Die; 2] =
        [|corpus, calls| corpus.store.die_after(calls), |corpus, calls| corpus.records.die_after(calls)];
    for die in dies {
        for calls in 0.. {
            let corpus = Corpus::with(&DOCUMENTS).await;
            die(&corpus, calls);
            let ended = corpus.reindex(new()).await;
            die(&corpus, i64::MAX);
            if corpus.store.active().await == Ok(Some(Epoch(2))) {
                assert_eq!(corpus.store.count(Epoch(2)).await, Ok(3), "after {calls} calls");
            } else {
                assert_eq!(corpus.found(old(), "When do backups run?").await, ["backup"], "after {calls} calls");
            }
            corpus.reindex(new()).await.unwrap();
            for (id, text) in DOCUMENTS {
                assert_eq!(corpus.found(new(), text).await, [id], "after {calls} calls");
            }
            assert_eq!(corpus.store.count(Epoch(2)).await, Ok(3), "after {calls} calls");
            if ended.is_ok() {
                assert!(calls >= 5, "the run made only {calls} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_while_the_epoch_is_judged_changes_nothing_that_is_searched() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let stop = CancellationToken::new();
    let endless = async |_| {
        stop.cancel();
        std::future::pending().await
    };
    let stopped: Result<_, ReindexError> = corpus.run("local", new()).run(&stop, |_, _| {}, endless).await;
    assert_eq!(stopped, Ok(Reindexed::Stopped));
    assert_eq!(corpus.store.active().await, Ok(Some(Epoch(1))));
}

#[tokio::test]
async fn an_evaluation_asks_the_epoch_that_nobody_else_searches_yet() {
    let corpus = Corpus::with(&[]).await;
    for n in 0..8 {
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        let ingest = Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1));
        let text = format!("# Chapter {n} about zq{n}\n\nThe zq{n} xq{n} wq{n} of chapter {n}.\n");
        let source = Source::text(format!("part-{n}").parse().unwrap(), Format::Markdown, &text);
        ingest.ingest(source).await.result.unwrap();
    }
    let measure = async |epoch| {
        let asked = report::Settings { configured: Mode::Hybrid, modes: vec![Mode::Hybrid], k: 5 };
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        let questions = Questions::known_items((&*store, &*records), Tenant::default(), 20).await.unwrap();
        let retrieve = Retrieve::new(store, records, Arc::new(new()), Settings::default()).of_epoch(epoch);
        let mut evaluation = Evaluation::new(Arc::new(retrieve), asked, questions);
        while evaluation.step().await.unwrap() {}
        let report = evaluation.report();
        assert!(report.queries > 0 && report.modes[0].success_at_5 > 0.9, "{report:?}");
        Ok(true)
    };
    assert!(matches!(corpus.judged(new(), measure).await, Ok(Reindexed::Activated { embedded: 8, .. })));
}

#[tokio::test]
async fn an_older_index_of_the_same_model_is_built_anew_and_an_older_cut_is_not() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    corpus.altered("chunker", "older-0").await;
    assert_eq!(corpus.reindex(old()).await, Ok(Reindexed::Fits(Epoch(1))));
    corpus.altered("lexical", "english-1").await;
    let done = corpus.reindex(old()).await;
    assert_eq!(done, Ok(Reindexed::Activated { from: Epoch(1), to: Epoch(2), embedded: 3 }));
    assert_eq!(corpus.reindex(old()).await, Ok(Reindexed::Fits(Epoch(2))));
}

#[tokio::test]
async fn an_epoch_of_before_there_were_ids_is_gone_back_to_and_has_the_id_then() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    corpus.reindex(new()).await.unwrap();
    let mine = Owner { id: Some("one".to_owned()), ..owner("local") };
    let with_id = |embedder: EmbedderDouble| {
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        Reindex::new(store, records, Arc::new(embedder), mine.clone())
    };
    let back = with_id(old()).run(&CancellationToken::new(), |_, _| {}, approved).await;
    assert_eq!(back, Ok(Reindexed::Activated { from: Epoch(2), to: Epoch(1), embedded: 0 }));
    for epoch in [Epoch(1), Epoch(2)] {
        let built = corpus::recorded(&*corpus.records, epoch).await.unwrap().unwrap();
        assert_eq!(built.owner(), mine, "{epoch:?}");
    }
    // Whoever knows no id builds on in the corpus as it is.
    assert_eq!(corpus.reindex(old()).await, Ok(Reindexed::Fits(Epoch(1))));
}

#[tokio::test]
async fn somebody_elses_corpus_and_an_empty_store_are_left_alone() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let foreign = corpus.run("team-a/other", new()).run(&CancellationToken::new(), |_, _| {}, approved).await;
    assert!(matches!(foreign, Err(ReindexError::Corpus(CorpusError::Foreign { .. }))), "{foreign:?}");
    assert_eq!(corpus.store.active().await, Ok(Some(Epoch(1))));
    assert_eq!(Corpus::default().reindex(new()).await, Err(ReindexError::Empty));
}
