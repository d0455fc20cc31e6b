//! What outlives an epoch, what does not, and what is searched with. The stores and the model are doubles.

use std::sync::Arc;

use super::{epoch::settings, stores::Here, *};
use crate::{
    config::Config,
    corpus,
    doubles::{self, EmbedderDouble, RecordsDouble, StoreDouble},
    lexical,
    model::{Point, Query},
    ports::{Changes, Edition, Editions, Embedder, Epoch, Kind, Records, VectorStore},
    resilience::BreakerState,
    retrieve::fuse::Fusion,
};

/// A process over doubles, with one document whose text differs from epoch to epoch.
struct World {
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
    process: Arc<Process>,
}

fn config(text: &str) -> Config {
    Config::from_toml(text.as_bytes(), "test").unwrap()
}

impl World {
    async fn new(text: &str) -> Self {
        let config = config(text);
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        let operations = unwatched(&config);
        let models = Arc::new(Models::new(&config, &operations));
        models.configured().lend(Arc::new(EmbedderDouble::default()));
        let vectors = Arc::clone(&store) as _;
        let editions = Arc::new(Editions::new(Arc::clone(&records) as _, Edition::First));
        let stores = Stores { vectors, records: Arc::clone(&editions) as _, editions, here: Here::default() };
        let mut process = Process::new(models, stores, operations, Arc::new(Nobody)).unwrap();
        // As where no other process can write: the count is in this one alone.
        process.changes = Changes::alone();
        let process = Arc::new(process);
        // As at every start of a server: nothing is remembered before it is known what was cleared.
        process.operations.look_at_fleet(&*records).await.unwrap();
        let body = serde_json::json!({ "version": "v" });
        records.put_if_absent(Kind::Document, "backup.md", body).await.unwrap();
        Self { store, records, process }
    }

    /// The flows over an epoch in which the document says this.
    async fn searching(&self, epoch: Epoch, text: &str) -> App {
        let embedder = EmbedderDouble::default();
        let built = corpus::built_with(&embedder, &owner(&self.process.models.configured().config));
        corpus::record(&*self.records, epoch, &built).await.unwrap();
        self.store.create_epoch(epoch, 512).await.unwrap();
        let chunk = doubles::chunk("backup.md".parse().unwrap(), text);
        let dense = embedder.embed_query(text).await.unwrap();
        let sparse = lexical::passage("", &[], text);
        self.store.upsert(epoch, vec![Point { chunk, dense, sparse, labels: Vec::new() }]).await.unwrap();
        self.store.activate(epoch).await.unwrap();
        App::over(&self.process).await.unwrap()
    }
}

fn question() -> Query {
    Query { text: "how long are snapshots kept".to_owned(), top_k: 5, ..Query::default() }
}

async fn found(app: &App) -> (String, bool) {
    let found = app.retrieve.retrieve(&question(), None).await.unwrap();
    (found.passages[0].chunk.text.clone(), found.explanation.cached)
}

#[tokio::test]
async fn the_cache_outlives_an_epoch_and_what_was_found_in_one_is_never_given_for_another() {
    let world = World::new("").await;
    let old = world.searching(Epoch(1), "snapshots are kept seven days").await;
    assert_eq!(found(&old).await, ("snapshots are kept seven days".to_owned(), false));
    assert!(found(&old).await.1, "nothing was remembered");
    let new = world.searching(Epoch(2), "snapshots are kept nine days").await;
    assert_eq!(found(&new).await, ("snapshots are kept nine days".to_owned(), false));
    // The old flows finish what they began, from the same cache.
    assert_eq!(found(&old).await, ("snapshots are kept seven days".to_owned(), true));
    assert!(world.process.operations.cache().is_some());
}

#[tokio::test]
async fn a_corpus_of_another_cluster_is_waited_for_with_words() {
    let world = World::new("owner = \"team-a/handbook\"\nowner_id = \"other\"\n").await;
    let one = Owner { name: "team-a/handbook".to_owned(), id: Some("one".to_owned()) };
    let built = corpus::built_with(&EmbedderDouble::default(), &one);
    corpus::record(&*world.records, Epoch(1), &built).await.unwrap();
    world.store.create_epoch(Epoch(1), 512).await.unwrap();
    world.store.activate(Epoch(1)).await.unwrap();
    let Err(refused) = App::over(&world.process).await else { panic!("it is served") };
    assert_eq!(refused.waits_for(), Some((Part::Corpus, corpus::FOREIGN)), "{refused}");
}

#[tokio::test]
async fn changes_are_counted_on_when_another_epoch_is_searched() {
    let world = World::new("").await;
    let app = world.searching(Epoch(1), "snapshots are kept seven days").await;
    world.process.changes.note().await.unwrap();
    found(&app).await;
    // Back and forth: what was kept at the first count must not be taken for the one of a later beginning.
    world.searching(Epoch(2), "snapshots are kept nine days").await;
    let again = world.searching(Epoch(1), "snapshots are kept eleven days").await;
    world.process.changes.note().await.unwrap();
    assert_eq!(found(&again).await, ("snapshots are kept eleven days".to_owned(), false));
}

#[tokio::test]
async fn a_breaker_that_opened_stays_open_when_another_epoch_is_searched() {
    let world = World::new(
        "[generation.circuit_breaker]\nfailures = 1\n[[generation.providers]]\nname = \"away\"\nbase_url = \"http://127.0.0.1:1\"\nmodel = \"m\"\n",
    )
    .await;
    let app = world.searching(Epoch(1), "snapshots are kept seven days").await;
    let path = async |app: &App| {
        let answer = app.answers.answer(question()).await.unwrap();
        answer.generation.path.into_iter().map(|attempt| attempt.outcome).collect::<Vec<_>>()
    };
    let operations = &world.process.operations;
    assert_eq!(operations.breakers(), [("away".to_owned(), BreakerState::Closed)]);
    assert_eq!(path(&app).await, ["unreachable"]);
    let app = world.searching(Epoch(2), "snapshots are kept nine days").await;
    assert_eq!(path(&app).await, ["open"]);
    assert_eq!(operations.breakers(), [("away".to_owned(), BreakerState::Open)]);
    let seen = operations.parts().into_iter().find(|(name, _)| name == "provider away").and_then(|(_, seen)| seen);
    assert_eq!(seen.unwrap().cause.as_deref(), Some("unreachable"));
}

#[tokio::test]
async fn an_embedding_provider_has_one_breaker_whichever_epoch_is_searched_and_a_local_model_none() {
    let outside = "[embedding.openai]\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\ndimensions = 512\n";
    for (config, breakers) in [("", &[][..]), (outside, &[("embedding_provider".to_owned(), BreakerState::Closed)])] {
        let world = World::new(config).await;
        for epoch in [Epoch(1), Epoch(2)] {
            world.searching(epoch, "snapshots are kept seven days").await;
            assert_eq!(world.process.operations.breakers(), breakers);
        }
    }
}

#[test]
fn the_legs_are_weighted_as_was_measured_for_the_local_model_and_carefully_for_others() {
    let other = "[embedding.openai]\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\ndimensions = 8\n";
    let reciprocal = "[retrieval]\nfusion = \"ReciprocalRank\"\n";
    assert_ne!(Fusion::CONFIDENT, Fusion::default());
    assert_eq!(settings(&config("")).fusion, Fusion::CONFIDENT);
    assert_eq!(settings(&config(other)).fusion, Fusion::default());
    for embedding in ["", other] {
        assert_eq!(settings(&config(&[reciprocal, embedding].concat())).fusion, Fusion::RECIPROCAL);
    }
}
