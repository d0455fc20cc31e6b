//! How a query finds its passages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{quota::Quota, vector_store::SecretKeyRef};

/// Defaults for queries that do not say otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retrieval {
    /// Hybrid fuses meaning and words; Dense searches by meaning alone, Lexical by words alone.
    #[serde(default)]
    pub mode: RetrievalMode,

    /// How many passages an answer is made of.
    #[serde(default = "default_top_k")]
    #[schemars(range(min = 1, max = 50))]
    pub top_k: i32,

    /// The lowest relevance at which a passage counts as evidence: its cosine, and up to 0.2 for holding the question's words.
    /// Without evidence the answer is a refusal. Absent: the servers calibrate it from the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: Option<f64>,

    /// A service that puts the best passages into a better order. Absent: the order in which the search found them. When the
    /// service fails, or the time is short, that order stands, and the answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<Rerank>,
}

impl Default for Retrieval {
    fn default() -> Self {
        Self { mode: RetrievalMode::default(), top_k: default_top_k(), min_score: None, rerank: None }
    }
}

/// Which legs of the search are used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RetrievalMode {
    /// Both legs, fused.
    #[default]
    Hybrid,
    /// Vectors alone.
    Dense,
    /// Words alone.
    Lexical,
}

/// A service with a /rerank in the shape of Cohere, Jina and vLLM. Each question and its best passages are sent to it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rerank {
    /// Where its API is, for example https://api.jina.ai/v1; /rerank is added.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub base_url: String,

    /// The model to ask for.
    #[schemars(length(min = 1, max = 200))]
    pub model: String,

    /// The Secret that holds its API key, in the same namespace. Absent: no key, as for a service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,

    /// How many of the best passages it is given.
    #[serde(default = "default_top_n")]
    #[schemars(range(min = 2, max = 200))]
    pub top_n: i32,

    /// What it charges; counted against the budget. Absent: a call costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<RerankPricing>,

    /// What it allows within a minute.
    #[serde(flatten)]
    pub quota: Quota,
}

/// What a reranker charges, in US dollars: for tokens, or for searches. Where both are set both are counted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RerankPricing {
    /// For a thousand requests, or for a thousand search units where the service says how many a request was.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub usd_per_thousand_requests: f64,

    /// For a million tokens that it reads.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub usd_per_million_tokens: f64,
}

fn default_top_k() -> i32 {
    5
}

// As many as are worth their tokens: what stands below rarely comes up into the first five.
fn default_top_n() -> i32 {
    30
}
