//! What lives as long as an epoch: the flows, with the embedding model whose vectors it has.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{AppError, Models, Nobody, Observer, Process, Stores, models::Model, owner, process::Reranking, unwatched};
use crate::{
    adapters::cached_embedder::CachedEmbedder,
    config::{self, Cache, Config, Embedding, EmbeddingChoice, Fallback, FusionChoice, OnLimit, Server},
    corpus::{self, Owner},
    generate::{AnswerIds, Answers, Extractive, Feedback, Writers},
    http::readiness::Part,
    ingest::Ingest,
    ports::{Embedder, Epoch, Memory, Records, StoreError, SystemClock},
    retention::{Limits, Retention},
    retrieve::{MinScore, Retrieve, Settings, Unrelated, fuse::Fusion},
};

/// How long it is known that a document was deleted: longer than the oldest snapshot of twelve months is kept, so that its restore does not bring the document back.
const DELETION_DAYS: u32 = 400;

/// The flows over one epoch, and what they stand on.
pub struct App {
    /// What outlives them.
    pub process: Arc<Process>,
    /// Documents to an index.
    pub ingest: Arc<Ingest>,
    /// Questions to passages.
    pub retrieve: Arc<Retrieve>,
    /// Questions to passages without any cache: what is measured is the search.
    pub uncached: Arc<Retrieve>,
    /// Questions to answers.
    pub answers: Arc<Answers>,
    /// What removes that whose time is over.
    pub retention: Arc<Retention>,
    /// The embedding model.
    pub embedder: Arc<dyn Embedder>,
    /// The records, with the documents that go with the epoch.
    pub records: Arc<dyn Records>,
    /// The epoch that is searched and written to.
    pub epoch: Epoch,
    /// Whether that epoch is of the previous model, and one of the configured model is to be built.
    pub outdated: bool,
}

impl App {
    /// Opens everything that the configuration names.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let operations = unwatched(config);
        let stores = Stores::open(config, &operations, &Nobody).await?;
        // What was cleared for all servers is not used here either. Where that is not known, nothing is remembered.
        if let Err(error) = operations.look_at_fleet(&*stores.records).await {
            tracing::debug!(%error, "no cache is used");
        }
        let models = Arc::new(Models::new(config, &operations));
        Self::over(&Arc::new(Process::new(models, stores, operations, Arc::new(Nobody))?)).await
    }

    /// Puts the flows over the epoch that is searched now: with the configured model, or with the previous one where it is that one's vectors.
    pub async fn over(process: &Arc<Process>) -> Result<Self, AppError> {
        match process.models.outdated(&process.stores).await? {
            Some(previous) => Ok(Self { outdated: true, ..Self::with(previous, process).await? }),
            None => Self::with(process.models.configured(), process).await,
        }
    }

    async fn with(model: &Model, process: &Arc<Process>) -> Result<Self, AppError> {
        let (config, embedder) = (&model.config, model.embedder(&process.tolls).await?);
        let observer = &process.observer;
        observer.arrived(Part::Model);
        let (stores, epoch) = process.opened(&*embedder, &owner(config)).await?;
        let (stores, vectors, records) = (&stores, Arc::clone(&stores.vectors), Arc::clone(&stores.records));
        observer.arrived(Part::Corpus);
        let ingest = Ingest::new(vectors, records, Arc::clone(&embedder), Arc::new(SystemClock), epoch);
        let ingest = ingest.noting(process.changes.clone());
        let [counting, noticing] = [(); 2].map(|()| Arc::clone(observer));
        let ingest = ingest.counted(move |outcome| counting.ingested(outcome));
        let ingest = Arc::new(ingest.noticed(move |kind| noticing.noticed(kind)));
        let guarded = process.questions(model, Arc::clone(&embedder));
        let asked = match &process.cache {
            Some(cache) => {
                let epochs = process.operations.cache_epochs();
                Arc::new(CachedEmbedder::new(guarded, Arc::clone(cache), epochs, embedding_scope(config)))
            }
            None => guarded,
        };
        // An epoch, and not whichever is active: a question that is on its way when that changes is answered from vectors of its own model.
        let retrieve = retrieve(config, stores, &asked, process.reranker.clone()).of_epoch(epoch);
        let live = process.operations.live().follow();
        let retrieve = retrieve.searching_by_words(move || live.borrow().live.budget.on_limit == OnLimit::Extractive);
        if let Err(error) = retrieve.recall_threshold().await {
            tracing::warn!(%error, "the calibrated threshold was not read; it is looked for again while the server runs");
        }
        let uncached = Arc::new(retrieve.uncached(Arc::clone(&embedder)));
        let memory = process.memory(config, epoch);
        let retrieve = Arc::new(match memory.clone() {
            Some(memory) => retrieve.remembering(memory),
            None => retrieve,
        });
        let ids = AnswerIds::of(&*stores.records, Arc::new(SystemClock)).await.map_err(AppError::Records)?;
        let feedback = Feedback::new(Arc::clone(&stores.records), Arc::new(SystemClock), ids);
        let answers =
            answers(config, (Arc::clone(&retrieve), memory), (embedder, &asked), process).hearing(Arc::new(feedback));
        let retention = Arc::new(retention(config, stores, &ingest, Arc::clone(observer)));
        Ok(Self {
            process: Arc::clone(process),
            ingest,
            retrieve,
            uncached,
            answers: Arc::new(answers),
            retention,
            embedder: asked,
            records: Arc::clone(&stores.records),
            epoch,
            outdated: false,
        })
    }

    /// Flushes and lets go of the stores. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.process.models.keep_costs().await;
        self.process.stores.close().await
    }
}

impl Process {
    /// Opens the corpus, and gives the stores as the flows over its epoch see them. What lives as long as the process sees the same documents from now on.
    async fn opened(&self, embedder: &dyn Embedder, owner: &Owner) -> Result<(Stores, Epoch), AppError> {
        let Stores { vectors, records, editions, .. } = &self.stores;
        let epoch = corpus::open(&**vectors, &**records, embedder, owner).await.map_err(AppError::Corpus)?;
        let edition = corpus::edition(&**records, Some(epoch)).await.map_err(AppError::Corpus)?;
        editions.follow(edition);
        Ok((Stores { records: editions.fixed(edition), ..self.stores.clone() }, epoch))
    }

    /// The cache as the flows over this epoch use it.
    fn memory(&self, config: &Config, epoch: Epoch) -> Option<Memory> {
        let cache = self.cache.as_ref()?;
        let memory = Memory::new(Arc::clone(cache), self.changes.clone(), scope(config, epoch));
        Some(memory.clearing(self.operations.cache_epochs()))
    }
}

/// Everything that is set and may change an answer, so that no two configurations and no two epochs share an entry. Where a server listens and what its cache is change none: replicas may differ in them.
fn scope(config: &Config, Epoch(epoch): Epoch) -> Vec<u8> {
    let (server, cache) = (Server::default(), Cache::default());
    let (listen, management_listen) = (server.listen, server.management_listen);
    let server = Server { listen, management_listen, ..config.server.clone() };
    let text = written(Config { server, cache, ..config.clone() }.to_toml());
    format!("{text}\nepoch {epoch}").into_bytes()
}

/// Where vectors come from, so that no two models of one name share an entry.
fn embedding_scope(config: &Config) -> Vec<u8> {
    let embedding = Embedding { previous: None, ..config.embedding.clone() };
    written(Config { embedding, ..Config::default() }.to_toml()).into_bytes()
}

/// It is plain data, which always can be written; if it ever could not, processes would only share less.
fn written<E>(text: Result<String, E>) -> String {
    text.unwrap_or_else(|_| uuid::Uuid::new_v4().to_string())
}

/// The search as it is configured, without a memory.
pub(super) fn retrieve(
    config: &Config,
    Stores { vectors, records, .. }: &Stores,
    embedder: &Arc<dyn Embedder>,
    reranker: Option<Reranking>,
) -> Retrieve {
    let retrieve = Retrieve::new(Arc::clone(vectors), Arc::clone(records), Arc::clone(embedder), settings(config));
    let retrieve = retrieve.with_tenants(config.auth.api_keys.iter().any(|key| key.tenant.is_some()));
    match reranker {
        Some((reranker, candidates)) => retrieve.reranking(reranker, candidates),
        None => retrieve,
    }
}

/// What is not configured is what was measured for the local model; of others nothing is known.
pub(super) fn settings(config: &Config) -> Settings {
    let local = matches!(config.embedding.choice(), EmbeddingChoice::Local(_));
    let fusion = match config.retrieval.fusion {
        FusionChoice::Convex if local => Fusion::CONFIDENT,
        FusionChoice::Convex => Fusion::default(),
        FusionChoice::ReciprocalRank => Fusion::RECIPROCAL,
    };
    let (calibrated, unrelated) =
        if local { (MinScore::LOCAL, Unrelated::LOCAL) } else { (MinScore::UNKNOWN, Unrelated::UNKNOWN) };
    let min_score = config.retrieval.min_score.map_or(calibrated, MinScore::Fixed);
    Settings { min_score, unrelated, fusion }
}

/// What removes that whose time is over.
fn retention(config: &Config, stores: &Stores, ingest: &Arc<Ingest>, observer: Arc<dyn Observer>) -> Retention {
    let days = |days: u32| SignedDuration::from_hours(i64::from(days) * 24);
    let config::Retention { session_days, feedback_days, job_days } = config.retention;
    let (sessions, feedback, jobs) = (days(session_days), days(feedback_days), days(job_days));
    let limits = Limits { sessions, feedback, jobs, deletions: days(DELETION_DAYS) };
    let retention = Retention::new(Arc::clone(&stores.records), Arc::clone(ingest), Arc::new(SystemClock), limits);
    retention.counted(move |kind, records| observer.forgot(kind, records))
}

/// The flow that writes answers: with providers where there are any.
fn answers(
    config: &Config,
    (retrieve, memory): (Arc<Retrieve>, Option<Memory>),
    (embedder, asked): (Arc<dyn Embedder>, &Arc<dyn Embedder>),
    process: &Process,
) -> Answers {
    // Of other models nothing is known.
    let far = matches!(config.embedding.choice(), EmbeddingChoice::Local(_)).then_some(Extractive::FAR_LOCAL);
    let extractive = Extractive::comparing(Arc::clone(asked), far);
    let answers = Answers::new(retrieve, Arc::new(extractive)).keeping(memory);
    let answers = answers.remembering(Arc::clone(&process.sessions));
    let Some(providers) = process.providers.clone() else { return answers };
    answers.with_providers(Writers {
        providers,
        embedder,
        extractive_fallback: config.generation.fallback == Fallback::Extractive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_toml(text.as_bytes(), "test").unwrap()
    }

    #[test]
    fn replicas_share_entries_wherever_they_listen_and_no_two_ways_to_answer_do() {
        let of = |text: &str| scope(&config(text), Epoch(1));
        let redis = "[cache.redis]\nurl = \"redis://redis\"\n";
        for same in ["[server]\nlisten = \"127.0.0.1:1\"\nmanagement_listen = \"127.0.0.1:2\"\n", redis] {
            assert_eq!(of(same), of(""), "{same}");
        }
        assert_ne!(of("[retrieval]\ntop_k = 6\n"), of(""));
        assert_ne!(scope(&config(""), Epoch(2)), of(""));
    }

    #[test]
    fn vectors_of_one_name_from_two_services_are_not_shared() {
        let service = |host: &str| {
            format!("[embedding.openai]\nbase_url = \"http://{host}/v1\"\nmodel = \"m\"\ndimensions = 3\n")
        };
        let of = |text: &str| embedding_scope(&config(text));
        assert_ne!(of(&service("a")), of(&service("b")));
        assert_eq!(of(&service("a")), of(&format!("{}[embedding.previous.local]\n", service("a"))));
        assert_eq!(of(""), of("[retrieval]\ntop_k = 6\n"));
    }
}
