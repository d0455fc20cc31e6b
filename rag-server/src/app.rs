//! Composition: a configuration becomes adapters, and adapters become the flows. The only place that chooses adapters.

mod models;
mod stores;
mod trial;

use std::{sync::Arc, time::Duration};

use models::Model;
pub use models::Models;
pub use stores::Stores;
pub use trial::{Trial, Verdict};

use crate::{
    adapters::{
        cached_embedder::CachedEmbedder,
        counted_cache::CountedCache,
        extractive::Extractive,
        memory_cache::MemoryCache,
        minilm::ModelError,
        openai::{OpenAi, OpenAiError, OpenAiSettings},
        openai_embedder::ProviderError,
        rerank::{HttpReranker, RerankSettings},
    },
    config::{
        Budget, CircuitBreaker, Config, EmbeddingChoice, Fallback, FusionChoice, LiveFile, OnLimit, RerankProvider,
        Retrieval,
    },
    corpus::{self, CorpusError},
    generate::{Answers, BudgetLimits, Ledger, Limits, Meter, NoMeter, Price, Provider, Providers, Sessions, Writers},
    http::readiness::Part,
    ingest::Ingest,
    ports::{
        Cache, CacheKind, Changes, EmbedError, Embedder, Epoch, Memory, Records, RerankError, Reranker, StoreError,
        SystemClock,
    },
    reindex::Reindex,
    resilience::BreakerPolicy,
    retrieve::{MinScore, Retrieve, Settings, fuse::Fusion},
};

/// Cosine from which on a passage supports a sentence, where `retrieval.min_score` is not set.
const SUPPORTED_FROM: f32 = 0.40;

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
    /// The vectors and the records.
    pub stores: Stores,
    /// The embedding model.
    pub embedder: Arc<dyn Embedder>,
    /// The epoch that is searched and written to.
    pub epoch: Epoch,
    /// Whether that epoch is of the previous model, and one of the configured model is to be built.
    pub outdated: bool,
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

/// Opens the stores for a command that needs nothing else of the server.
pub async fn open_stores(config: &Config) -> Result<Stores, AppError> {
    Stores::open(config, &Nobody(Budget::default())).await
}

/// The run that fits the corpus to the configured embedding model, and what measures the epoch that it builds. Whether the corpus fits already is not asked.
pub async fn reindex(models: &Models, stores: &Stores) -> Result<(Reindex, Trial), AppError> {
    let Model { config, .. } = models.configured();
    let embedder = models.configured().embedder().await?;
    let Stores { vectors, records, .. } = stores.clone();
    let retrieve = retrieve(config, stores, &embedder)?;
    let trial = Trial::new(stores, retrieve, config.retrieval.mode);
    Ok((Reindex::new(vectors, records, embedder, config.owner.clone()), trial))
}

impl App {
    /// Opens everything that the configuration names.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let live = LiveFile::new(config.live.file.clone());
        live.refresh();
        let observer = Arc::new(Nobody(live.state().live.budget.clone()));
        let stores = Stores::open(config, &*observer).await?;
        Self::over(&Models::new(config), &stores, observer).await
    }

    /// Puts the flows over the stores: with the configured model, or with the previous one where it is that one's vectors that are searched.
    pub async fn over(models: &Models, stores: &Stores, observer: Arc<dyn Observer>) -> Result<Self, AppError> {
        match models.outdated(stores).await? {
            Some(previous) => Ok(Self { outdated: true, ..Self::with(previous, stores, observer).await? }),
            None => Self::with(models.configured(), stores, observer).await,
        }
    }

    async fn with(model: &Model, stores: &Stores, observer: Arc<dyn Observer>) -> Result<Self, AppError> {
        let (config, embedder) = (&model.config, model.embedder().await?);
        observer.arrived(Part::Model);
        let Stores { vectors, records, alone } = stores.clone();
        let epoch = corpus::open(&*vectors, &*records, &*embedder, &config.owner).await.map_err(AppError::Corpus)?;
        observer.arrived(Part::Corpus);
        let cache = cache(config, &observer);
        let changes = if alone { Changes::alone() } else { Changes::shared(Arc::clone(&records)) };
        let ingest = Ingest::new(vectors, Arc::clone(&records), Arc::clone(&embedder), Arc::new(SystemClock), epoch);
        let ingest = ingest.noting(changes.clone());
        let ingest = if alone { ingest.sole_writer() } else { ingest };
        let counting = Arc::clone(&observer);
        let ingest = Arc::new(ingest.counted(move |outcome| counting.ingested(outcome)));
        let asked = match &cache {
            Some(cache) => Arc::new(CachedEmbedder::new(Arc::clone(&embedder), Arc::clone(cache))),
            None => Arc::clone(&embedder),
        };
        // An epoch, and not whichever is active: a question that is on its way when that changes is answered from vectors of its own model.
        let retrieve = retrieve(config, stores, &asked)?.of_epoch(epoch);
        if let Err(error) = retrieve.recall_threshold().await {
            tracing::warn!(%error, "the calibrated threshold was not read; it is looked for again while the server runs");
        }
        let uncached = Arc::new(retrieve.uncached(Arc::clone(&embedder)));
        let memory = cache.map(|cache| Memory::new(cache, changes, scope(config, epoch)));
        let retrieve = Arc::new(match memory.clone() {
            Some(memory) => retrieve.remembering(memory),
            None => retrieve,
        });
        let ttl = Duration::from_secs(config.sessions.ttl_seconds);
        let sessions = Arc::new(Sessions::new(Arc::clone(&records), Arc::new(SystemClock), ttl));
        let answers = answers(config, (Arc::clone(&retrieve), memory), (embedder, records), observer)?;
        let answers = Arc::new(answers.remembering(sessions));
        Ok(Self {
            epoch,
            outdated: false,
            ingest,
            retrieve,
            uncached,
            answers,
            stores: stores.clone(),
            embedder: asked,
        })
    }

    /// Flushes and lets go of the stores. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.stores.close().await
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

/// Everything that is set and may change an answer, so that no two configurations and no two epochs share an entry.
fn scope(config: &Config, Epoch(epoch): Epoch) -> Vec<u8> {
    // It is plain data, which always can be written; if it ever could not, processes would only share less.
    let Ok(text) = config.to_toml() else { return uuid::Uuid::new_v4().into_bytes().to_vec() };
    format!("{text}\nepoch {epoch}").into_bytes()
}

/// The search as it is configured, without a memory.
fn retrieve(
    config: &Config,
    Stores { vectors, records, .. }: &Stores,
    embedder: &Arc<dyn Embedder>,
) -> Result<Retrieve, AppError> {
    let retrieve = Retrieve::new(Arc::clone(vectors), Arc::clone(records), Arc::clone(embedder), settings(config));
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
