//! Why a question found what it found: the stages with their time, and the place of each passage in each leg.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was left out because the time was short, a service failed or the budget is spent; in the order in which things are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Degradation {
    /// The passages were not put into a better order: there was no time for it.
    RerankSkipped,
    /// The passages were not put into a better order: the service failed.
    RerankFailed,
    /// Only the dense leg was searched.
    LexicalSkipped,
    /// Fewer passages than were asked for.
    ContextShortened,
    /// Only the words of the question were searched for, not its meaning: the budget for embedding it is spent.
    DenseSkipped,
}

/// A stage and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `embed`, `search` or `rerank`.
    pub name: String,
    /// Milliseconds.
    pub millis: f64,
}

/// Where a leg ranked a passage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// From 1.
    pub rank: usize,
    /// Cosine in the dense leg, BM25 in the lexical leg.
    pub score: f32,
}

/// One passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HitExplained {
    /// The chunk; the best one, where neighbours were joined.
    pub chunk: String,
    /// Chunks that were joined to it because they adjoin it.
    pub joined: Vec<String>,
    /// Its place in the dense leg; none when it was not among the candidates there.
    pub dense: Option<Place>,
    /// Its place in the lexical leg.
    pub lexical: Option<Place>,
    /// Score after fusion, less for each better passage of its document, 0 to 1.
    pub fused: f32,
    /// Score by the reranker, where one was asked.
    pub reranked: Option<f32>,
}

/// How a question was searched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SearchExplanation)]
pub struct Explanation {
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// The mode that was searched: `Hybrid`, `Dense` or `Lexical`.
    pub mode: String,
    /// Candidates of each leg.
    pub candidates: Candidates,
    /// Why the question may be answered: `near`, `worded` (with the question's own words), `identifier` or `none`.
    pub evidence: String,
    /// Best cosine.
    pub best_cosine: Option<f32>,
    /// Relevance from which the question is answered: the best cosine, and up to 0.2 for the question's words.
    pub min_score: f32,
    /// The passages, best first.
    pub hits: Vec<HitExplained>,
    /// Whether the result was remembered from an earlier question; the times are those of that one.
    pub cached: bool,
}

/// Committed hits of each leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Candidates {
    /// By cosine.
    pub dense: usize,
    /// By BM25.
    pub lexical: usize,
}
