//! What lives as long as the process, whichever epoch is searched: stores, cache, providers with their breakers and the ledger, reranker, sessions.

use std::{sync::Arc, time::Duration};

use super::{AppError, Models, Observer, Stores, guards, models::Model, tolls::Tolls};
use crate::{
    adapters::{
        counted_cache::CountedCache,
        guarded::{GuardedEmbedder, GuardedReranker},
        memory_cache::MemoryCache,
        openai::{OpenAi, OpenAiSettings},
        redis::{Link, Names, RedisSettings, TieredCache},
        rerank::{HttpReranker, RerankSettings},
        watched::Watched,
    },
    config::{self, Config, Redis, RerankProvider, Retrieval},
    generate::{Meter, Price, Provider, Providers, Sessions},
    operations::{CACHE, Operations},
    ports::{Cache, Changes, Embedder, Reranker, SystemClock},
};

/// A reranker, and how many passages it is given.
pub(super) type Reranking = (Arc<dyn Reranker>, usize);

/// What lives as long as the process.
pub struct Process {
    /// The embedding models, each loaded once.
    pub models: Arc<Models>,
    /// The vectors and the records.
    pub stores: Stores,
    /// How often the corpus changed. It counts on when another epoch is searched, since the cache is still there.
    pub changes: Changes,
    /// What it can be looked at by.
    pub operations: Operations,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) tolls: Arc<Tolls>,
    pub(super) cache: Option<Arc<dyn Cache>>,
    pub(super) reranker: Option<Reranking>,
    pub(super) providers: Option<Arc<Providers>>,
    pub(super) sessions: Arc<Sessions>,
}

impl Process {
    /// Makes everything that the configuration of these models names; nothing is called.
    pub fn new(
        models: Arc<Models>,
        stores: Stores,
        operations: Operations,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AppError> {
        let config = &models.configured().config;
        let cache = cache(config, &operations, &observer)?;
        if let Some(cache) = &cache {
            operations.keep_cache(Arc::clone(cache));
        }
        let tolls = models.tolls(&stores.records, &*observer);
        operations.keep_costs(Arc::clone(&tolls.costs));
        let providers = providers(config, &tolls, observer.meter())?;
        if let Some(providers) = &providers {
            for (sight, provider) in providers.sights().zip(&config.generation.providers) {
                sight.is_at(&provider.base_url);
            }
            operations.keep_providers(Arc::clone(providers));
        }
        let reranker = reranker(&config.retrieval, &tolls)?.map(|(reranker, candidates)| {
            let sight = operations.sight("reranker");
            let watched = Arc::new(Watched::new(reranker, Arc::clone(&sight)));
            let address = config.retrieval.rerank.as_ref().map(|rerank| rerank.base_url.clone()).unwrap_or_default();
            sight.is_at(&address);
            let guard = guards::guard(guards::RERANKING, config, &operations, observer.meter());
            (Arc::new(GuardedReranker::new(watched, address, guard)) as Arc<dyn Reranker>, candidates)
        });
        let changes = Changes::of(Arc::clone(&stores.records));
        let ttl = Duration::from_secs(config.sessions.ttl_seconds);
        let sessions = Arc::new(Sessions::new(Arc::clone(&stores.records), Arc::new(SystemClock), ttl));
        Ok(Self { models, stores, changes, operations, observer, tolls, cache, reranker, providers, sessions })
    }

    /// The model as questions ask it: behind a breaker where it is a service.
    pub(super) fn questions(&self, model: &Model, embedder: Arc<dyn Embedder>) -> Arc<dyn Embedder> {
        match model.guard(|name| guards::guard(name, &model.config, &self.operations, self.observer.meter())) {
            Some(guard) => Arc::new(GuardedEmbedder::new(embedder, guard)),
            None => embedder,
        }
    }
}

/// The cache that the configuration asks for. Nothing is called.
fn cache(
    config: &Config,
    operations: &Operations,
    observer: &Arc<dyn Observer>,
) -> Result<Option<Arc<dyn Cache>>, AppError> {
    let max_bytes = config.cache.max_bytes;
    if max_bytes == 0 {
        return Ok(None);
    }
    let memory: Arc<dyn Cache> = Arc::new(MemoryCache::new(max_bytes));
    let cache = match &config.cache.redis {
        Some(redis) => {
            let link = link(redis, config, operations, &**observer)?;
            let observer = Arc::clone(observer);
            let told = move |command, outcome| observer.asked_redis(command, outcome);
            Arc::new(TieredCache::new(memory, link, redis.ttl(), told))
        }
        None => memory,
    };
    let observer = Arc::clone(observer);
    Ok(Some(Arc::new(CountedCache::new(cache, move |kind, found| observer.looked_up(kind, found)))))
}

/// The way to the Redis that the configuration names, for the entries of its owner.
fn link(
    redis: &Redis,
    config: &Config,
    operations: &Operations,
    observer: &dyn Observer,
) -> Result<Arc<Link>, AppError> {
    let settings = RedisSettings {
        url: redis.url.clone(),
        user_file: redis.user_file.clone(),
        password_file: redis.password_file.clone(),
        ca_file: redis.ca_file.clone(),
        budget: redis.budget(),
    };
    let names = Names::of(&config.owner, config.owner_id.as_deref());
    let guard = guards::redis(operations, observer.meter());
    Link::new(settings, names, guard, operations.sight(CACHE)).map_err(AppError::Cache)
}

/// The reranker that the configuration names. Nothing is called.
pub(super) fn reranker(retrieval: &Retrieval, tolls: &Tolls) -> Result<Option<Reranking>, AppError> {
    let Some(provider) = retrieval.rerank.clone() else { return Ok(None) };
    let toll = tolls.reranking(&provider);
    let RerankProvider { base_url, model, api_key_file, top_n, .. } = provider;
    let settings = RerankSettings { base_url, model, api_key_file };
    let reranker = HttpReranker::behind(toll, settings).map_err(AppError::Reranker)?;
    Ok(Some((Arc::new(reranker), top_n)))
}

/// The providers that the configuration names; none where there are none.
fn providers(config: &Config, tolls: &Tolls, meter: Arc<dyn Meter>) -> Result<Option<Arc<Providers>>, AppError> {
    let generation = &config.generation;
    if generation.providers.is_empty() {
        return Ok(None);
    }
    let provider = |configured| provider(configured, tolls);
    let providers = generation.providers.iter().map(provider).collect::<Result<_, _>>()?;
    Ok(Some(Arc::new(Providers::new(providers, guards::policy(config), Arc::clone(&tolls.ledger), meter))))
}

fn provider(configured: &config::Provider, tolls: &Tolls) -> Result<Provider, AppError> {
    let settings = OpenAiSettings {
        base_url: configured.base_url.clone(),
        model: configured.model.clone(),
        api_key_file: configured.api_key_file.clone(),
    };
    let name = configured.name.clone();
    let model = OpenAi::new(&settings).map_err(|error| AppError::Provider { name: name.clone(), error })?;
    let pricing = configured.pricing.unwrap_or_default();
    let price = Price { input: pricing.input_usd_per_million_tokens, output: pricing.output_usd_per_million_tokens };
    let quota = Arc::new(tolls.quota(&name, configured.requests_per_minute, configured.tokens_per_minute));
    Ok(Provider {
        name,
        model: Arc::new(model),
        max_tokens: configured.max_tokens,
        context_tokens: configured.context_tokens as usize,
        timeout: configured.timeout(),
        price,
        quota,
    })
}
