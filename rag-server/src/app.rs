//! Composition: a configuration becomes adapters, and adapters become the flows. The only place that chooses adapters.

mod damage;
mod epoch;
mod guards;
mod models;
mod process;
mod snapshots;
mod stores;
#[cfg(test)]
mod tests;
mod tolls;
mod trial;

use std::sync::Arc;

pub use damage::Damage;
pub use epoch::App;
use models::Model;
pub use models::Models;
pub use process::Process;
pub use snapshots::{
    ArchivePlace, Drilling, SnapshotSetupError, archived, create, download, drill, lent, new_folder, remove, replace,
    restore,
};
pub use stores::Stores;
pub use trial::{Trial, Verdict};

use crate::{
    adapters::{minilm::ModelError, openai::OpenAiError, openai_embedder::ProviderError, redis::BadAddress},
    config::{Config, LiveSettings},
    corpus::{self, CorpusError, Owner},
    generate::{Meter, NoMeter},
    http::readiness::Part,
    operations::Operations,
    ports::{CacheKind, EmbedError, Kind, RerankError, StoreError},
    reindex::Reindex,
};

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
    /// The address of the second cache is none.
    #[error("cache.redis.url: {0}")]
    Cache(#[source] BadAddress),
    /// This program was built without the embedded engine.
    #[error(
        "this rag-server was built without the embedded vector store; set vector_store.qdrant, or build it with the feature `engine`"
    )]
    NoEngine,
    /// The records are to be kept in a Qdrant, and none is configured.
    #[error("records.vector_store needs vector_store.qdrant; use records.sqlite with the embedded store")]
    NoQdrant,
    /// Something was lost, and nobody said yet that it may be.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// A thread ended unexpectedly.
    #[error("loading the embedding model ended unexpectedly: {0}")]
    Thread(#[source] tokio::task::JoinError),
}

impl AppError {
    /// The part that is missing, and the class of the cause, if it may come without a change of the configuration.
    pub fn waits_for(&self) -> Option<(Part, &'static str)> {
        let transient = |part, error: &StoreError| error.is_transient().then(|| (part, error.cause()));
        match self {
            Self::VectorStore(error) => transient(Part::VectorStore, error),
            Self::Records(error) => transient(Part::Records, error),
            Self::Corpus(CorpusError::Store(error)) => transient(Part::Corpus, error),
            // A person removes it, or whatever named it; until then the server is there to say so.
            Self::Corpus(CorpusError::Foreign { .. }) => Some((Part::Corpus, corpus::FOREIGN)),
            // Whoever began the restore goes on with it, which takes the stores.
            Self::Corpus(CorpusError::Restoring { .. }) => Some((Part::Corpus, corpus::RESTORING)),
            // A person says that it may be lost, or puts a copy back.
            Self::Damaged(_) => Some((Part::Corpus, damage::DAMAGED)),
            Self::Embedder(ProviderError::Call(error)) => match error {
                EmbedError::Unavailable { failure, .. } if error.may_pass() => Some((Part::Model, failure.as_str())),
                _ => None,
            },
            Self::Model(_)
            | Self::Embedder(ProviderError::Dimensions { .. })
            | Self::Provider { .. }
            | Self::Reranker(_)
            | Self::Cache(_)
            | Self::Corpus(_)
            | Self::NoEngine
            | Self::NoQdrant
            | Self::Thread(_) => None,
        }
    }

    /// The store that another process has, and the class of the cause.
    pub fn in_use(&self) -> Option<(Part, &'static str)> {
        match self {
            Self::VectorStore(error @ StoreError::InUse { .. }) => Some((Part::VectorStore, error.cause())),
            Self::Records(error @ StoreError::InUse { .. }) => Some((Part::Records, error.cause())),
            _ => None,
        }
    }
}

/// What is told while the parts come up, and while they work.
pub trait Observer: Send + Sync {
    /// A part is there.
    fn arrived(&self, _part: Part) {}

    /// A document was dealt with.
    fn ingested(&self, _outcome: &'static str) {}

    /// Something was said of a document that was read.
    fn noticed(&self, _kind: &'static str) {}

    /// Who counts calls of providers, tokens and money.
    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(NoMeter)
    }

    /// Records were removed because their time was over.
    fn forgot(&self, _kind: Kind, _records: u64) {}

    /// A cache was asked, and had it or not.
    fn looked_up(&self, _kind: CacheKind, _found: bool) {}

    /// Redis was to be asked to `get` or `put` an entry, and this became of it.
    fn asked_redis(&self, _command: &'static str, _outcome: &'static str) {}
}

/// Tells nobody.
struct Nobody;

impl Observer for Nobody {}

/// What a command is looked at by, which nobody does: it ends with its work.
fn unwatched(config: &Config) -> Operations {
    Operations::new(LiveSettings::new(config.live.file.clone()))
}

/// Opens the stores for a command that needs nothing else of the server.
pub async fn open_stores(config: &Config) -> Result<Stores, AppError> {
    Stores::open(config, &unwatched(config), &Nobody).await
}

/// The models of this configuration, for a command.
pub fn open_models(config: &Config) -> Models {
    Models::new(config, &unwatched(config))
}

/// The run that fits the corpus to the configured embedding model, and what measures the epoch that it builds. Whether the corpus fits already is not asked.
pub async fn reindex(models: &Models, stores: &Stores) -> Result<(Reindex, Trial), AppError> {
    let Model { config, .. } = models.configured();
    let tolls = models.tolls(&stores.records, &Nobody);
    let embedder = models.configured().embedder(&tolls).await?;
    let Stores { vectors, records, .. } = stores.clone();
    let retrieve = epoch::retrieve(config, stores, &embedder, process::reranker(&config.retrieval, &tolls)?);
    let trial = Trial::new(stores, retrieve, config.retrieval.mode);
    Ok((Reindex::new(vectors, records, embedder, owner(config)), trial))
}

/// Refuses stores that hold somebody else's corpus, or the half of a restore, before anything is put over them that would keep them open.
pub async fn expect_own(config: &Config, Stores { vectors, records, .. }: &Stores) -> Result<(), AppError> {
    corpus::begun::refuse(&**records).await.map_err(AppError::Corpus)?;
    let epoch = vectors.active().await.map_err(AppError::VectorStore)?.unwrap_or(corpus::FIRST);
    let found = corpus::recorded(&**records, epoch).await.map_err(AppError::Corpus)?;
    found.map_or(Ok(()), |found| corpus::owned(&found, &owner(config))).map_err(AppError::Corpus)
}

/// Whom a server of this configuration works for.
fn owner(config: &Config) -> Owner {
    Owner { name: config.owner.clone(), id: config.owner_id.clone() }
}
