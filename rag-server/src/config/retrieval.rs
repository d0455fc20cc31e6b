//! The keys of `[retrieval]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{MicroUsd, Mode};

/// What a reranker charges. Vendors bill tokens, or searches; where both are set both are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RerankPricing {
    /// For a thousand requests, or for a thousand search units where the service says how many a request was.
    #[schemars(with = "f64", range(min = 0.0, max = 100_000.0))]
    pub usd_per_thousand_requests: MicroUsd,
    /// For a million tokens that it reads: the question together with each of the passages.
    #[schemars(with = "f64", range(min = 0.0, max = 100_000.0))]
    pub usd_per_million_tokens: MicroUsd,
}

/// How the rankings of both legs become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum FusionChoice {
    /// Normalised scores, weighted.
    #[default]
    Convex,
    /// Reciprocal ranks.
    ReciprocalRank,
}

/// A service that puts the best passages into a better order. The question and the passages are sent to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RerankProvider {
    /// Where its API is, such as `https://api.example.com/v1`; `/rerank` is added.
    #[schemars(extend("format" = "http-base-url"))]
    pub base_url: String,
    /// The model.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub model: String,
    /// File that holds its API key; read at each call. Without it no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// How many of the best passages it is given.
    #[serde(default = "RerankProvider::default_top_n")]
    #[schemars(range(min = 2, max = 200))]
    pub top_n: usize,
    /// What it charges. Without it a call costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<RerankPricing>,
    /// Requests that it allows within a minute, to all servers of this corpus together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u64>,
    /// Tokens that it allows within a minute, to all servers of this corpus together; estimated before each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<u64>,
}

impl RerankProvider {
    /// As many as are worth their tokens: what stands below rarely comes up into the first five.
    fn default_top_n() -> usize {
        30
    }
}

/// How a question is searched, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retrieval {
    /// Which legs are searched.
    #[schemars(extend("enum" = ["Hybrid", "Dense", "Lexical"]), with = "String")]
    pub mode: Mode,
    /// How many passages an answer may cite.
    #[schemars(range(min = 1, max = 50))]
    pub top_k: usize,
    /// Relevance below which a question is refused: the best passage's cosine, and up to 0.2 for holding the question's words. Unset, it is calibrated from the collection.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f32>,
    /// How the rankings of both legs become one.
    #[schemars(extend("enum" = ["Convex", "ReciprocalRank"]), with = "String")]
    pub fusion: FusionChoice,
    /// A service that puts the best passages into a better order; skipped, and said, when it fails or the time is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<RerankProvider>,
}

impl Retrieval {
    /// Most passages that a request may ask for.
    pub const MAX_TOP_K: usize = 50;
}

impl Default for Retrieval {
    fn default() -> Self {
        Self { mode: Mode::Hybrid, top_k: 5, min_score: None, fusion: FusionChoice::Convex, rerank: None }
    }
}
