//! Composition: a configuration becomes adapters, and adapters become the flows. The only place that chooses adapters.

mod trial;

use std::{sync::Arc, time::Duration};

pub use trial::Trial;

use crate::{
    adapters::{
        cached_embedder::CachedEmbedder,
        counted_cache::CountedCache,
        extractive::Extractive,
        memory_cache::MemoryCache,
        minilm::{self, MiniLm, ModelError},
        openai::{OpenAi, OpenAiError, OpenAiSettings},
        openai_embedder::{OpenAiEmbedder, OpenAiSettings as EmbedderSettings, Pauses, ProviderError},
        qdrant::{QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore},
        rerank::{HttpReranker, RerankSettings},
        sqlite::SqliteRecords,
    },
    config::{
        Budget, CircuitBreaker, Config, EmbeddingChoice, Fallback, FusionChoice, LiveFile, LocalEmbedding, OnLimit,
        OpenAiEmbedding, Qdrant, RecordsChoice, RerankProvider, Retrieval, VectorStoreChoice,
    },
    corpus::{self, CorpusError},
    generate::{Answers, BudgetLimits, Ledger, Limits, Meter, NoMeter, Price, Provider, Providers, Sessions, Writers},
    http::readiness::Part,
    ingest::Ingest,
    ports::{
        Cache, CacheKind, Changes, EmbedError, Embedder, Memory, Records, RerankError, Reranker, StoreError,
        SystemClock, VectorStore,
    },
    reindex::Reindex,
    resilience::BreakerPolicy,
    retrieve::{MinScore, Retrieve, Settings, fuse::Fusion},
};

/// Cosine from which on a passage supports a sentence, where `retrieval.min_score` is not set.
const SUPPORTED_FROM: f32 = 0.40;

/// How long one call to Qdrant may take; a search takes milliseconds, a large write seconds.
const QDRANT_DEADLINE: Duration = Duration::from_secs(10);

/// Everything that a subcommand needs.
pub struct App {
    /// Documents to an index.
    pub ingest: Arc<Ingest>,
    /// Questions to passages.
    pub retrieve: Arc<Retrieve>,
    /// Questions to passages without any cache: what is measured is the search.
    pub uncached: Arc<Retrieve>,
    /// Questions to answers.
    pub answers: Arc<Answers>,
    /// The vectors.
    pub store: Arc<dyn VectorStore>,
    /// The records.
    pub records: Arc<dyn Records>,
    /// The embedding model.
    pub embedder: Arc<dyn Embedder>,
}

/// Why the parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The embedding model is missing, damaged or does not start.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The provider of the embedding model cannot be used, or not yet.
    #[error(transparent)]
    Embedder(#[from] ProviderError),
    /// The vector store could not be opened or reached.
    #[error("{0}")]
    VectorStore(#[source] StoreError),
    /// The records could not be opened or reached.
    #[error("{0}")]
    Records(#[source] StoreError),
    /// A provider of answers can never be reached as it is configured.
    #[error("the provider {name}: {error}")]
    Provider {
        /// Its name.
        name: String,
        /// Why.
        error: OpenAiError,
    },
    /// The corpus does not fit the configuration, or is somebody else's.
    #[error(transparent)]
    Corpus(CorpusError),
    /// No client for the reranker could be made; most likely there are no certificates to trust.
    #[error("{0}; where the system has no CA certificates, set SSL_CERT_FILE to a PEM file that holds them")]
    Reranker(#[source] RerankError),
    /// This program was built without the embedded engine.
    #[error(
        "this rag-server was built without the embedded vector store; set vector_store.qdrant, or build it with the feature `engine`"
    )]
    NoEngine,
    /// The records are to be kept in a Qdrant, and none is configured.
    #[error("records.vector_store needs vector_store.qdrant; use records.sqlite with the embedded store")]
    NoQdrant,
    /// A thread ended unexpectedly.
    #[error("loading the embedding model ended unexpectedly: {0}")]
    Thread(#[source] tokio::task::JoinError),
}

impl AppError {
    /// The part that is missing, and the class of the cause, if waiting may help.
    pub fn waits_for(&self) -> Option<(Part, &'static str)> {
        let transient = |part, error: &StoreError| error.is_transient().then(|| (part, error.cause()));
        match self {
            Self::VectorStore(error) => transient(Part::VectorStore, error),
            Self::Records(error) => transient(Part::Records, error),
            Self::Corpus(CorpusError::Store(error)) => transient(Part::Corpus, error),
            Self::Embedder(ProviderError::Call(error)) => match error {
                EmbedError::Unavailable { failure, .. } if error.may_pass() => Some((Part::Model, failure.as_str())),
                _ => None,
            },
            Self::Model(_)
            | Self::Embedder(ProviderError::Dimensions { .. })
            | Self::Provider { .. }
            | Self::Reranker(_)
            | Self::Corpus(_)
            | Self::NoEngine
            | Self::NoQdrant
            | Self::Thread(_) => None,
        }
    }
}

/// What is told while the parts come up, and while they work.
pub trait Observer: Send + Sync {
    /// A part is there.
    fn arrived(&self, _part: Part) {}

    /// A document was dealt with.
    fn ingested(&self, _outcome: &'static str) {}

    /// Who counts calls of providers, tokens and money.
    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(NoMeter)
    }

    /// How much answers may cost now.
    fn budget(&self) -> Budget;
    /// A cache was asked, and had it or not.
    fn looked_up(&self, _kind: CacheKind, _found: bool) {}
}

/// Tells nobody, and knows the budget as it was when the command began.
struct Nobody(Budget);

impl Observer for Nobody {
    fn budget(&self) -> Budget {
        self.0.clone()
    }
}

/// The run that fits the corpus to the configured embedding model, and what measures the epoch that it builds. Whether the corpus fits already is not asked.
pub async fn reindex(config: &Config) -> Result<(Reindex, Trial), AppError> {
    let embedder = embedder(config).await?;
    let (store, records) = stores(config, &Nobody(Budget::default())).await?;
    let retrieve = retrieve(config, (&store, &records), &embedder)?;
    let trial = Trial::new(Arc::clone(&store), Arc::clone(&records), retrieve);
    Ok((Reindex::new(store, records, embedder, config.owner.clone()), trial))
}

impl App {
    /// Opens everything that the configuration names.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let embedder = embedder(config).await?;
        let live = LiveFile::new(config.live.file.clone());
        live.refresh();
        Self::over(config, embedder, Arc::new(Nobody(live.state().live.budget.clone()))).await
    }

    /// Opens the stores and puts the flows over them and an embedder.
    pub async fn over(
        config: &Config,
        embedder: Arc<dyn Embedder>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AppError> {
        let (store, records) = stores(config, &*observer).await?;
        let epoch = corpus::open(&*store, &*records, &*embedder, &config.owner).await.map_err(AppError::Corpus)?;
        observer.arrived(Part::Corpus);
        let cache = cache(config, &observer);
        let parts = (Arc::clone(&store), Arc::clone(&records), Arc::clone(&embedder));
        // The lock on the folder of the embedded store keeps every other process out.
        let alone = matches!(config.vector_store.choice(), VectorStoreChoice::Embedded(_));
        let changes = if alone { Changes::alone() } else { Changes::shared(Arc::clone(&records)) };
        let ingest = Ingest::new(parts.0, parts.1, parts.2, Arc::new(SystemClock), epoch).noting(changes.clone());
        let ingest = if alone { ingest.sole_writer() } else { ingest };
        let counting = Arc::clone(&observer);
        let ingest = ingest.counted(move |outcome| counting.ingested(outcome));
        let asked = match &cache {
            Some(cache) => Arc::new(CachedEmbedder::new(Arc::clone(&embedder), Arc::clone(cache))),
            None => Arc::clone(&embedder),
        };
        let retrieve = retrieve(config, (&store, &records), &asked)?;
        if let Err(error) = retrieve.recall_threshold().await {
            tracing::warn!(%error, "the calibrated threshold was not read; it is looked for again while the server runs");
        }
        let uncached = Arc::new(retrieve.uncached(Arc::clone(&embedder)));
        let memory = cache.map(|cache| Memory::new(cache, changes, scope(config)));
        let retrieve = Arc::new(match memory.clone() {
            Some(memory) => retrieve.remembering(memory),
            None => retrieve,
        });
        let ttl = Duration::from_secs(config.sessions.ttl_seconds);
        let sessions = Arc::new(Sessions::new(Arc::clone(&records), Arc::new(SystemClock), ttl));
        let answers = answers(config, (Arc::clone(&retrieve), memory), (embedder, Arc::clone(&records)), observer)?;
        let answers = Arc::new(answers.remembering(sessions));
        Ok(Self { ingest: Arc::new(ingest), retrieve, uncached, answers, store, records, embedder: asked })
    }

    /// Flushes and lets go of the stores. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await?;
        self.records.close().await
    }
}

/// The cache that the configuration asks for.
fn cache(config: &Config, observer: &Arc<dyn Observer>) -> Option<Arc<dyn Cache>> {
    let max_bytes = config.cache.max_bytes;
    let observer = Arc::clone(observer);
    let cache =
        || CountedCache::new(Arc::new(MemoryCache::new(max_bytes)), move |kind, found| observer.looked_up(kind, found));
    (max_bytes > 0).then(|| Arc::new(cache()) as Arc<dyn Cache>)
}

/// Everything that is set and may change an answer, so that no two configurations share an entry.
fn scope(config: &Config) -> Vec<u8> {
    // It is plain data, which always can be written; if it ever could not, processes would only share less.
    let Ok(text) = config.to_toml() else { return uuid::Uuid::new_v4().into_bytes().to_vec() };
    text.into_bytes()
}

/// The search as it is configured, without a memory.
fn retrieve(
    config: &Config,
    (store, records): (&Arc<dyn VectorStore>, &Arc<dyn Records>),
    embedder: &Arc<dyn Embedder>,
) -> Result<Retrieve, AppError> {
    let retrieve = Retrieve::new(Arc::clone(store), Arc::clone(records), Arc::clone(embedder), settings(config));
    let retrieve = retrieve.with_tenants(config.auth.api_keys.iter().any(|key| key.tenant.is_some()));
    Ok(match reranker(&config.retrieval)? {
        Some((reranker, candidates)) => retrieve.reranking(reranker, candidates),
        None => retrieve,
    })
}

/// What is not configured is what was measured for the local model; of others nothing is known.
fn settings(config: &Config) -> Settings {
    let local = matches!(config.embedding.choice(), EmbeddingChoice::Local(_));
    let fusion = match config.retrieval.fusion {
        FusionChoice::Convex if local => Fusion::CONFIDENT,
        FusionChoice::Convex => Fusion::default(),
        FusionChoice::ReciprocalRank => Fusion::RECIPROCAL,
    };
    let calibrated = if local { MinScore::LOCAL } else { MinScore::UNKNOWN };
    Settings { min_score: config.retrieval.min_score.map_or(calibrated, MinScore::Fixed), fusion }
}

/// A reranker, and how many passages it is given.
type Reranking = (Arc<dyn Reranker>, usize);

/// The reranker that the configuration names. Nothing is called.
fn reranker(retrieval: &Retrieval) -> Result<Option<Reranking>, AppError> {
    let Some(provider) = retrieval.rerank.clone() else { return Ok(None) };
    let RerankProvider { base_url, model, api_key_file, top_n } = provider;
    let reranker = HttpReranker::new(RerankSettings { base_url, model, api_key_file }).map_err(AppError::Reranker)?;
    Ok(Some((Arc::new(reranker), top_n)))
}

/// Loads the embedding model, or reaches its provider.
pub async fn embedder(config: &Config) -> Result<Arc<dyn Embedder>, AppError> {
    match config.embedding.choice() {
        EmbeddingChoice::Local(local) => local_embedder(local).await,
        EmbeddingChoice::OpenAi(openai) => {
            let OpenAiEmbedding { base_url, model, dimensions, api_key_file } = openai;
            let pauses = Pauses::default();
            let settings = EmbedderSettings { base_url, model, dimensions, api_key_file, pauses };
            Ok(Arc::new(OpenAiEmbedder::open(settings).await?))
        }
    }
}

async fn local_embedder(LocalEmbedding { path, .. }: LocalEmbedding) -> Result<Arc<dyn Embedder>, AppError> {
    let load = move || {
        let folder = minilm::folder(path.as_deref())?;
        MiniLm::load(&folder)
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(AppError::Thread)??;
    Ok(Arc::new(loaded))
}

/// The flow that writes answers: with providers where there are any.
fn answers(
    config: &Config,
    (retrieve, memory): (Arc<Retrieve>, Option<Memory>),
    (embedder, records): (Arc<dyn Embedder>, Arc<dyn Records>),
    observer: Arc<dyn Observer>,
) -> Result<Answers, AppError> {
    let answers = Answers::new(retrieve, Arc::new(Extractive)).keeping(memory);
    let generation = &config.generation;
    if generation.providers.is_empty() {
        return Ok(answers);
    }
    let meter = observer.meter();
    let limits: Limits = Arc::new(move || limits(&observer.budget()));
    let ledger = Arc::new(Ledger::new(records, Arc::new(SystemClock), limits, Arc::clone(&meter)));
    let CircuitBreaker { failures, open_seconds, successes } = generation.circuit_breaker;
    let policy = BreakerPolicy { failures, open: Duration::from_secs(open_seconds), successes };
    let providers = generation.providers.iter().map(provider).collect::<Result<_, _>>()?;
    let writers = Writers {
        providers: Providers::new(providers, policy, ledger, meter),
        embedder,
        extractive_fallback: generation.fallback == Fallback::Extractive,
        supported_from: config.retrieval.min_score.unwrap_or(SUPPORTED_FROM),
    };
    Ok(answers.with_providers(writers))
}

fn provider(configured: &crate::config::Provider) -> Result<Provider, AppError> {
    let settings = OpenAiSettings {
        base_url: configured.base_url.clone(),
        model: configured.model.clone(),
        api_key_file: configured.api_key_file.clone(),
    };
    let name = configured.name.clone();
    let model = OpenAi::new(&settings).map_err(|error| AppError::Provider { name: name.clone(), error })?;
    let pricing = configured.pricing.unwrap_or_default();
    let price = Price { input: pricing.input_usd_per_million_tokens, output: pricing.output_usd_per_million_tokens };
    Ok(Provider {
        name,
        model: Arc::new(model),
        max_tokens: configured.max_tokens,
        context_tokens: configured.context_tokens as usize,
        timeout: configured.timeout(),
        price,
    })
}

fn limits(budget: &Budget) -> BudgetLimits {
    BudgetLimits {
        monthly: budget.monthly_usd,
        daily: budget.daily_usd,
        alert_percents: budget.alert_percents.clone(),
        refuse: budget.on_limit == OnLimit::Refuse,
    }
}

type Stores = (Arc<dyn VectorStore>, Arc<dyn Records>);

async fn stores(config: &Config, observer: &dyn Observer) -> Result<Stores, AppError> {
    let qdrant = |qdrant: &Qdrant| {
        QdrantConnection::new(QdrantSettings {
            url: qdrant.url.clone(),
            api_key_file: qdrant.api_key_file.clone(),
            deadline: QDRANT_DEADLINE,
        })
        .map_err(AppError::VectorStore)
    };
    let (store, connection): (Arc<dyn VectorStore>, _) = match config.vector_store.choice() {
        VectorStoreChoice::Embedded(path) => (embedded(&path).await?, None),
        VectorStoreChoice::Qdrant(settings) => {
            let connection = qdrant(settings)?;
            let store = QdrantVectorStore::new(connection.clone(), &settings.collection);
            (Arc::new(store), Some((connection, &settings.collection)))
        }
    };
    // The first call is what reaches a store.
    store.active().await.map_err(AppError::VectorStore)?;
    observer.arrived(Part::VectorStore);
    let records: Arc<dyn Records> = match (config.records.choice(&config.vector_store), connection) {
        (RecordsChoice::VectorStore, Some((connection, collection))) => {
            Arc::new(QdrantRecords::new(connection, collection))
        }
        (RecordsChoice::Sqlite(path), _) => Arc::new(SqliteRecords::open(&path).await.map_err(AppError::Records)?),
        (RecordsChoice::VectorStore, None) => return Err(AppError::NoQdrant),
    };
    records.count(crate::ports::Kind::Corpus).await.map_err(AppError::Records)?;
    observer.arrived(Part::Records);
    Ok((store, records))
}

#[cfg(feature = "engine")]
async fn embedded(path: &std::path::Path) -> Result<Arc<dyn VectorStore>, AppError> {
    let store = crate::adapters::edge::EdgeStore::open(path).await.map_err(AppError::VectorStore)?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "engine"))]
async fn embedded(_path: &std::path::Path) -> Result<Arc<dyn VectorStore>, AppError> {
    Err(AppError::NoEngine)
}
