//! The services outside: who embeds, who reranks, who writes answers.

use serde::Serialize;

use super::{PROVIDER_KEY_FILE, PROVIDERS_DIR};
use crate::api::cluster::{EmbeddingModel, Fallback, Provider, Quota, Rerank, SecretKeyRef};
use crate::cluster::validate::{EMBEDDING, Embedder, RERANK, ValidatedCluster};

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Embedding {
    Local { model: EmbeddingModel },
    OpenAi(OpenAiEmbedding),
}

#[derive(Serialize)]
pub(super) struct OpenAiEmbedding {
    base_url: String,
    model: String,
    dimensions: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<String>,
    #[serde(flatten)]
    quota: PerMinute,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<TokenPrice>,
}

#[derive(Serialize)]
struct PerMinute {
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<i32>,
}

impl From<Quota> for PerMinute {
    fn from(Quota { requests_per_minute, tokens_per_minute }: Quota) -> Self {
        Self { requests_per_minute, tokens_per_minute }
    }
}

#[derive(Serialize)]
struct TokenPrice {
    input_usd_per_million_tokens: f64,
    /// Nothing of a service that writes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_usd_per_million_tokens: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct RerankProvider {
    base_url: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<String>,
    top_n: i32,
    #[serde(flatten)]
    quota: PerMinute,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<RerankPrice>,
}

#[derive(Serialize)]
struct RerankPrice {
    usd_per_thousand_requests: f64,
    usd_per_million_tokens: f64,
}

#[derive(Serialize)]
pub(super) struct Generation {
    fallback: Fallback,
    circuit_breaker: CircuitBreaker,
    providers: Vec<GenerationProvider>,
}

#[derive(Serialize)]
struct CircuitBreaker {
    failures: i32,
    open_seconds: i32,
    successes: i32,
}

#[derive(Serialize)]
struct GenerationProvider {
    name: String,
    base_url: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<String>,
    max_tokens: i32,
    context_tokens: i32,
    timeout_seconds: i32,
    #[serde(flatten)]
    quota: PerMinute,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<TokenPrice>,
}

pub(super) fn embedding(cluster: &ValidatedCluster) -> Embedding {
    match &cluster.embedder {
        Embedder::Local(model) => Embedding::Local { model: *model },
        Embedder::OpenAi(service) => Embedding::OpenAi(OpenAiEmbedding {
            base_url: service.base_url.clone(),
            model: service.model.clone(),
            dimensions: service.dimensions,
            api_key_file: outside_key_file(EMBEDDING, service.secret_ref.as_ref()),
            quota: service.quota.into(),
            pricing: service.pricing.as_ref().map(|pricing| TokenPrice {
                input_usd_per_million_tokens: pricing.input_usd_per_million_tokens,
                output_usd_per_million_tokens: None,
            }),
        }),
    }
}

pub(super) fn rerank(service: &Rerank) -> RerankProvider {
    RerankProvider {
        base_url: service.base_url.clone(),
        model: service.model.clone(),
        api_key_file: outside_key_file(RERANK, service.secret_ref.as_ref()),
        top_n: service.top_n,
        quota: service.quota.into(),
        pricing: service.pricing.as_ref().map(|pricing| RerankPrice {
            usd_per_thousand_requests: pricing.usd_per_thousand_requests,
            usd_per_million_tokens: pricing.usd_per_million_tokens,
        }),
    }
}

/// Nothing where all of it is what a server does anyway.
pub(super) fn generation(cluster: &ValidatedCluster) -> Option<Generation> {
    let asked = &cluster.generation;
    let breaker = &asked.circuit_breaker;
    (!asked.providers.is_empty()).then(|| Generation {
        fallback: asked.fallback,
        circuit_breaker: CircuitBreaker {
            failures: breaker.failures,
            open_seconds: breaker.open_seconds,
            successes: breaker.successes,
        },
        providers: asked.providers.iter().map(provider).collect(),
    })
}

fn provider(provider: &Provider) -> GenerationProvider {
    GenerationProvider {
        name: provider.name.clone(),
        base_url: provider.base_url.clone(),
        model: provider.model.clone(),
        api_key_file: outside_key_file(&provider.name, provider.secret_ref.as_ref()),
        max_tokens: provider.max_tokens,
        context_tokens: provider.context_tokens,
        timeout_seconds: provider.timeout_seconds,
        quota: provider.quota.into(),
        pricing: provider.pricing.as_ref().map(|pricing| TokenPrice {
            input_usd_per_million_tokens: pricing.input_usd_per_million_tokens,
            output_usd_per_million_tokens: Some(pricing.output_usd_per_million_tokens),
        }),
    }
}

/// Where the key of a service outside is mounted, if it has one.
pub(super) fn outside_key_file(name: &str, key: Option<&SecretKeyRef>) -> Option<String> {
    key.map(|_| format!("{PROVIDERS_DIR}/{name}/{PROVIDER_KEY_FILE}"))
}
