//! How a query finds its passages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defaults for queries that do not say otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retrieval {
    /// Hybrid fuses meaning and words; Dense searches by meaning alone, Lexical by words alone.
    #[serde(default)]
    pub mode: RetrievalMode,

    /// How many passages an answer is made of.
    #[serde(default = "default_top_k")]
    #[schemars(range(min = 1, max = 100))]
    pub top_k: i32,

    /// The lowest similarity (cosine) at which a passage counts as evidence; without evidence the answer is a refusal.
    #[serde(default = "default_min_score")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
}

impl Default for Retrieval {
    fn default() -> Self {
        Self { mode: RetrievalMode::default(), top_k: default_top_k(), min_score: default_min_score() }
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

fn default_top_k() -> i32 {
    5
}

// Measured for the local model: nearly all questions about the corpus are above, nearly all others below.
fn default_min_score() -> f64 {
    0.4
}
