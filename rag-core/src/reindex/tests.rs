mod meanwhile;

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
