use super::*;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
    ingest::{Format, Ingest, Source},
    model::{DocumentId, Query},
    ports::SystemClock,
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
        corpus::open(&*corpus.store, &*corpus.records, &embedder, "local").await.unwrap();
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
        self.run("local", embedder).run(&CancellationToken::new(), |_, _| {}).await
    }

    fn run(&self, owner: &str, embedder: EmbedderDouble) -> Reindex {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        Reindex::new(store, records, Arc::new(embedder), owner.to_owned())
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
        corpus::open(&*self.store, &*self.records, &embedder, "local").await.unwrap();
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        let retrieve = Retrieve::new(store, records, Arc::new(embedder), Settings::default());
        let query = Query { text: question.to_owned(), top_k: 1, ..Query::default() };
        let found = retrieve.retrieve(&query, None).await.unwrap();
        found.passages.into_iter().map(|passage| passage.chunk.document.to_string()).collect()
    }
}

fn old() -> EmbedderDouble {
    EmbedderDouble::default()
}

fn new() -> EmbedderDouble {
    EmbedderDouble::of("wider", 1024)
}

const DOCUMENTS: [(&str, &str); 3] =
    [("backup", "Backups run nightly."), ("pump", "A pump is greased monthly."), ("menu", "Soup is served at noon.")];

#[tokio::test]
async fn another_model_is_refused_until_the_corpus_is_reindexed_and_then_finds_everything() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let refused = corpus::open(&*corpus.store, &*corpus.records, &new(), "local").await.unwrap_err();
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
async fn a_run_that_was_cut_short_changes_nothing_that_is_searched_and_is_taken_up_again() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let stop = CancellationToken::new();
    // After the first document.
    let stopped = corpus.run("local", new()).run(&stop, |_, _| stop.cancel()).await;
    assert_eq!(stopped, Ok(Reindexed::Stopped));
    assert_eq!(corpus.store.active().await, Ok(Some(Epoch(1))));
    assert_eq!(corpus.found(old(), "When do backups run?").await, ["backup"]);
    let done = corpus.reindex(new()).await;
    assert_eq!(done, Ok(Reindexed::Activated { from: Epoch(1), to: Epoch(2), embedded: 2 }));
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
async fn somebody_elses_corpus_and_an_empty_store_are_left_alone() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let foreign = corpus.run("team-a/other", new()).run(&CancellationToken::new(), |_, _| {}).await;
    assert!(matches!(foreign, Err(ReindexError::Corpus(CorpusError::Foreign { .. }))), "{foreign:?}");
    assert_eq!(corpus.store.active().await, Ok(Some(Epoch(1))));
    assert_eq!(Corpus::default().reindex(new()).await, Err(ReindexError::Empty));
}
