//! The embedding models that a configuration names.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::{
    AppError, Observer, Stores, guards,
    tolls::{self, Tolls},
};
use crate::{
    adapters::{
        minilm::{self, MiniLm},
        openai_embedder::{OpenAiEmbedder, OpenAiSettings, Pauses},
        watched::Watched,
    },
    config::{Config, EmbeddingChoice, LocalEmbedding, OpenAiEmbedding},
    corpus,
    http::readiness::Part,
    operations::Operations,
    ports::{Embedder, ModelIdentity, NoToll, Records, Sight, Toll},
    resilience::Guard,
};

/// The configured model and the one that the corpus was built with before, each loaded when it is first needed and once.
pub struct Models {
    configured: Model,
    previous: Option<Model>,
    operations: Operations,
    tolls: OnceLock<Arc<Tolls>>,
}

/// A model, with the configuration in which it is the one that embeds.
pub(super) struct Model {
    pub(super) config: Config,
    /// What calls of it saw.
    sight: Arc<Sight>,
    loaded: OnceCell<Arc<dyn Embedder>>,
    /// What its breaker is called.
    guard_name: &'static str,
    guard: OnceLock<Arc<Guard>>,
}

impl Models {
    /// The models of this configuration; nothing is loaded yet.
    pub fn new(config: &Config, operations: &Operations) -> Self {
        let model = |name, guard_name, config: Config| {
            let (sight, loaded, guard) = (operations.sight(name), OnceCell::new(), OnceLock::new());
            if let EmbeddingChoice::OpenAi(provider) = config.embedding.choice() {
                sight.is_at(&provider.base_url);
            }
            Model { config, sight, loaded, guard_name, guard }
        };
        let before = config.embedding.before();
        let before = before.map(|embedding| Config { embedding, ..config.clone() });
        Self {
            configured: model("embedding model", guards::EMBEDDING, config.clone()),
            previous: before.map(|config| model("previous embedding model", guards::PREVIOUS_EMBEDDING, config)),
            operations: operations.clone(),
            tolls: OnceLock::new(),
        }
    }

    /// What calls of outside services cost and may take, made once: over the first records that there are.
    pub(super) fn tolls(&self, records: &Arc<dyn Records>, observer: &dyn Observer) -> Arc<Tolls> {
        let tolls = || Arc::new(Tolls::new(records, &self.operations, observer.meter()));
        Arc::clone(self.tolls.get_or_init(tolls))
    }

    /// Writes down what was spent since that was done last, for whoever looks at costs.
    pub async fn keep_costs(&self) {
        let Some(tolls) = self.tolls.get() else { return };
        if let Err(error) = tolls.costs.keep().await {
            tracing::debug!(%error, "what was spent was not written for the report of costs; tried again later");
        }
    }

    /// Looks what all replicas spent.
    pub async fn look_at_costs(&self) {
        let Some(tolls) = self.tolls.get() else { return };
        if let Err(error) = tolls.costs.look().await {
            tracing::debug!(%error, "what was spent was not looked at; tried again later");
        }
    }

    /// Loads the model where there is but one and nobody has to pay for it, before anything is known of the corpus.
    pub async fn load_if_one(&self, observer: &dyn Observer) -> Result<(), AppError> {
        if self.previous.is_none() && !self.configured.is_billed() {
            self.configured.load(|_| Arc::new(NoToll)).await?;
            observer.arrived(Part::Model);
        }
        Ok(())
    }

    pub(super) fn configured(&self) -> &Model {
        &self.configured
    }

    /// What the vectors of the previous model are marked with, if there is one.
    pub fn previous_identity(&self) -> Option<ModelIdentity> {
        self.previous.as_ref().map(Model::identity)
    }

    /// The previous model, where it is its vectors that are searched.
    pub(super) async fn outdated(&self, stores: &Stores) -> Result<Option<&Model>, AppError> {
        let Some(previous) = &self.previous else { return Ok(None) };
        let Some(epoch) = stores.vectors.active().await.map_err(AppError::VectorStore)? else { return Ok(None) };
        let searched = corpus::recorded(&*stores.records, epoch).await.map_err(AppError::Corpus)?;
        let is_of = |model: &Model| searched.as_ref().is_some_and(|searched| searched.model == model.identity());
        Ok(Some(previous).filter(|previous| is_of(previous) && !is_of(&self.configured)))
    }
}

#[cfg(test)]
impl Model {
    /// Uses this double instead of what the configuration names.
    pub(super) fn lend(&self, embedder: Arc<dyn Embedder>) {
        assert!(self.loaded.set(embedder).is_ok(), "it is loaded already");
    }
}

impl Model {
    /// What its vectors are of; it need not be loaded for that.
    pub(super) fn identity(&self) -> ModelIdentity {
        identity(&self.config)
    }

    /// The breaker before it where it is a service, made once.
    pub(super) fn guard(&self, make: impl FnOnce(&str) -> Arc<Guard>) -> Option<Arc<Guard>> {
        let is_outside = matches!(self.config.embedding.choice(), EmbeddingChoice::OpenAi(_));
        is_outside.then(|| Arc::clone(self.guard.get_or_init(|| make(self.guard_name))))
    }

    /// Whether its calls cost something or are limited.
    fn is_billed(&self) -> bool {
        matches!(self.config.embedding.choice(), EmbeddingChoice::OpenAi(provider) if tolls::is_billed(&provider))
    }

    /// Loads the model or reaches its provider, unless that was done before.
    pub(super) async fn embedder(&self, tolls: &Tolls) -> Result<Arc<dyn Embedder>, AppError> {
        self.load(|provider| tolls.embedding(self.guard_name, provider)).await
    }

    async fn load(&self, toll: impl FnOnce(&OpenAiEmbedding) -> Arc<dyn Toll>) -> Result<Arc<dyn Embedder>, AppError> {
        let load = async || {
            let embedder = embedder(&self.config, toll).await.inspect_err(|error| {
                if let Some((_, cause)) = error.waits_for() {
                    self.sight.failed(cause, Timestamp::now());
                }
            })?;
            Ok::<_, AppError>(Arc::new(Watched::new(embedder, Arc::clone(&self.sight))) as Arc<dyn Embedder>)
        };
        self.loaded.get_or_try_init(load).await.cloned()
    }
}

/// What vectors of the configured model are marked with.
pub(super) fn identity(config: &Config) -> ModelIdentity {
    match config.embedding.choice() {
        EmbeddingChoice::Local(_) => minilm::identity(),
        EmbeddingChoice::OpenAi(provider) => ModelIdentity { name: provider.model, dimension: provider.dimensions },
    }
}

async fn embedder(
    config: &Config,
    toll: impl FnOnce(&OpenAiEmbedding) -> Arc<dyn Toll>,
) -> Result<Arc<dyn Embedder>, AppError> {
    match config.embedding.choice() {
        EmbeddingChoice::Local(local) => local_embedder(local).await,
        EmbeddingChoice::OpenAi(provider) => {
            let toll = toll(&provider);
            let OpenAiEmbedding { base_url, model, dimensions, api_key_file, .. } = provider;
            let pauses = Pauses::default();
            let settings = OpenAiSettings { base_url, model, dimensions, api_key_file, pauses };
            Ok(Arc::new(OpenAiEmbedder::behind(toll, settings).await?))
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
