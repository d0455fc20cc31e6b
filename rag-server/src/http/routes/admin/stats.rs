//! `/admin/stats`: what this server did since it began, and what the corpus holds. Everything is counted elsewhere already.

use axum::{Json, extract::State, routing::get};
use serde::Serialize;
use utoipa::{ToSchema, openapi::HttpMethod};

use super::super::super::{
    endpoint::Endpoint,
    extract::AdminKey,
    ops::{Counters, PartCost, Questions},
    state::Api,
};
use crate::{
    metrics::{CacheUse, ProviderUse},
    ports::CacheKind,
};

/// What this server did since it began, and what the corpus holds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Stats {
    /// Names this run of the process: what is counted begins anew with another one.
    boot_id: String,
    /// When it began.
    started_at: String,
    /// Questions to this server, by what became of them.
    questions: Questions,
    /// Documents of the corpus.
    documents: u64,
    /// Sessions that are remembered.
    sessions: u64,
    /// Ingestion jobs that are not finished.
    jobs: u64,
    /// When documents, sessions and jobs were last counted; null before that was done once.
    counted_at: Option<String>,
    /// Chunks of the epoch that is searched; null before they were counted.
    chunks: Option<u64>,
    /// When they were.
    chunks_counted_at: Option<String>,
    /// Calls of each provider of answers by this server, and tokens.
    providers: Vec<ProviderStats>,
    /// What this server spent, by what for.
    cost: Vec<PartCost>,
    /// Questions to each cache of this server.
    caches: Vec<CacheStats>,
}

/// What a provider of answers was called for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ProviderStats {
    /// Its name.
    provider: String,
    /// Calls by what became of them.
    calls: Vec<OutcomeStats>,
    /// Tokens that it read.
    prompt_tokens: u64,
    /// Tokens that it wrote.
    completion_tokens: u64,
}

/// Calls that ended alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct OutcomeStats {
    /// `answered`, `abandoned`, or the class of the failure.
    outcome: String,
    /// How many.
    calls: u64,
}

/// Questions to a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct CacheStats {
    /// `embedding`, `retrieval` or `response`.
    kind: &'static str,
    /// Questions to it.
    requests: u64,
    /// Those of them that it had the answer to.
    hits: u64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Get, "/admin/stats", get(stats), "What this server did, and what the corpus holds")
            .keyed()
            .answers::<Stats>(200, "the figures of this server; ask the others for theirs, or the metrics for all"),
    ]
}

/// What every cache of this server was asked.
pub(super) fn caches(api: &Api) -> Vec<CacheStats> {
    let of = |kind: CacheKind| {
        let CacheUse { requests, hits } = api.metrics.cache_use(kind.as_str());
        CacheStats { kind: kind.as_str(), requests, hits }
    };
    CacheKind::ALL.map(of).to_vec()
}

async fn stats(_admin: AdminKey, State(api): State<Api>) -> Json<Stats> {
    let (operations, counts) = (&api.operations, api.operations.counts());
    let Counters { questions, cost, .. } = Counters::of(&api.metrics);
    Json(Stats {
        boot_id: operations.boot().to_string(),
        started_at: operations.started().to_string(),
        questions,
        documents: counts.documents,
        sessions: counts.sessions,
        jobs: counts.waiting,
        counted_at: counts.counted.map(|at| at.to_string()),
        chunks: counts.chunks.map(|(chunks, _)| chunks),
        chunks_counted_at: counts.chunks.map(|(_, at)| at.to_string()),
        providers: api.metrics.provider_uses().into_iter().map(provider).collect(),
        cost,
        caches: caches(&api),
    })
}

fn provider(ProviderUse { provider, calls, prompt_tokens, completion_tokens }: ProviderUse) -> ProviderStats {
    let calls = calls.into_iter().map(|(outcome, calls)| OutcomeStats { outcome, calls }).collect();
    ProviderStats { provider, calls, prompt_tokens, completion_tokens }
}
