//! Composition: a configuration becomes adapters, and adapters become the flows. The only place that chooses adapters.

use std::{sync::Arc, time::Duration};

use crate::{
    adapters::{
        extractive::Extractive,
        minilm::{self, MiniLm, ModelError},
        qdrant::{QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore},
        rerank::{HttpReranker, RerankSettings},
        sqlite::SqliteRecords,
    },
    config::{
        Config, FusionChoice, LocalEmbedding, Qdrant, RecordsChoice, RerankProvider, Retrieval, VectorStoreChoice,
    },
    corpus::{self, CorpusError},
    generate::Answers,
    http::readiness::Part,
    ingest::Ingest,
    ports::{Embedder, Records, RerankError, Reranker, StoreError, SystemClock, VectorStore},
    retrieve::{Retrieve, Settings, fuse::Fusion},
};

/// How long one call to Qdrant may take; a search takes milliseconds, a large write seconds.
const QDRANT_DEADLINE: Duration = Duration::from_secs(10);

/// Everything that a subcommand needs.
pub struct App {
    /// Documents to an index.
    pub ingest: Arc<Ingest>,
    /// Questions to passages.
    pub retrieve: Arc<Retrieve>,
    /// Questions to answers.
    pub answers: Arc<Answers>,
    /// The vectors.
    pub store: Arc<dyn VectorStore>,
    /// The records.
    pub records: Arc<dyn Records>,
}

/// Why the parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The embedding model is missing, damaged or does not start.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The vector store could not be opened or reached.
    #[error("{0}")]
    VectorStore(#[source] StoreError),
    /// The records could not be opened or reached.
    #[error("{0}")]
    Records(#[source] StoreError),
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
            Self::Model(_)
            | Self::Corpus(_)
            | Self::Reranker(_)
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
}

/// Tells nobody.
struct Nobody;

impl Observer for Nobody {}

impl App {
    /// Opens everything that the configuration names.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        let embedder = embedder(config).await?;
        Self::over(config, embedder, Arc::new(Nobody)).await
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
        let parts = (Arc::clone(&store), Arc::clone(&records), Arc::clone(&embedder));
        let ingest = Ingest::new(parts.0, parts.1, parts.2, Arc::new(SystemClock), epoch);
        // The lock on the folder of the embedded store keeps every other process out.
        let alone = matches!(config.vector_store.choice(), VectorStoreChoice::Embedded(_));
        let ingest = if alone { ingest.sole_writer() } else { ingest };
        let ingest = ingest.counted(move |outcome| observer.ingested(outcome));
        let retrieve = Retrieve::new(Arc::clone(&store), Arc::clone(&records), embedder, settings(&config.retrieval));
        let retrieve = Arc::new(match reranker(&config.retrieval)? {
            Some((reranker, candidates)) => retrieve.reranking(reranker, candidates),
            None => retrieve,
        });
        let answers = Arc::new(Answers::new(Arc::clone(&retrieve), Arc::new(Extractive)));
        Ok(Self { ingest: Arc::new(ingest), retrieve, answers, store, records })
    }

    /// Flushes and lets go of the stores. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await?;
        self.records.close().await
    }
}

fn settings(retrieval: &Retrieval) -> Settings {
    let fusion = match retrieval.fusion {
        FusionChoice::Convex => Fusion::default(),
        FusionChoice::ReciprocalRank => Fusion::RECIPROCAL,
    };
    Settings { min_score: retrieval.min_score, fusion }
}

/// The reranker that the configuration names, and how many passages it is given. Nothing is called.
fn reranker(retrieval: &Retrieval) -> Result<Option<(Arc<dyn Reranker>, usize)>, AppError> {
    let Some(provider) = retrieval.rerank.clone() else { return Ok(None) };
    let RerankProvider { base_url, model, api_key_file, top_n } = provider;
    let reranker = HttpReranker::new(RerankSettings { base_url, model, api_key_file }).map_err(AppError::Reranker)?;
    Ok(Some((Arc::new(reranker), top_n)))
}

/// Loads the embedding model.
pub async fn embedder(config: &Config) -> Result<Arc<dyn Embedder>, AppError> {
    let LocalEmbedding { path, .. } = config.embedding.local.clone();
    let load = move || {
        let folder = minilm::folder(path.as_deref())?;
        MiniLm::load(&folder)
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(AppError::Thread)??;
    Ok(Arc::new(loaded))
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
