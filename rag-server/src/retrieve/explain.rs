//! Why a question found what it found: the stages with their time, and the place of each passage in each leg.
//!
//! Plain values; nothing here decides anything.

use std::{collections::HashMap, time::Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::threshold::Evidence;
use crate::model::{ChunkId, Hit, Legs, Mode};

/// What was left out because the time was short, or because a service failed; in the order in which things are given up.
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
}

/// A stage and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `embed`, `search`, `fuse` or `rerank`.
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
    /// Score after fusion, 0 to 1.
    pub fused: f32,
    /// Score by the reranker, where one was asked.
    pub reranked: Option<f32>,
}

/// How a question was searched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// The mode that was searched: `Hybrid`, `Dense` or `Lexical`.
    pub mode: String,
    /// Candidates of each leg.
    pub candidates: Candidates,
    /// Why the question may be answered: `near`, `rare_term` or `none`.
    pub evidence: String,
    /// Best cosine.
    pub best_cosine: Option<f32>,
    /// Cosine from which a passage is near.
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

/// Collects what an [`Explanation`] tells.
pub(super) struct Notes {
    pub(super) explanation: Explanation,
    places: HashMap<ChunkId, (Option<Place>, Option<Place>)>,
    since: Instant,
}

impl Notes {
    pub(super) fn new(min_score: f32) -> Self {
        let explanation = Explanation { min_score, ..Explanation::default() };
        Self { explanation, places: HashMap::new(), since: Instant::now() }
    }

    /// A stage ended; the next one begins.
    pub(super) fn ended(&mut self, stage: &str) {
        let millis = self.since.elapsed().as_secs_f64() * 1000.0;
        self.explanation.stages.push(Stage { name: stage.to_owned(), millis });
        self.since = Instant::now();
    }

    /// What the legs found, and what it is worth.
    pub(super) fn searched(&mut self, mode: Mode, legs: &Legs, evidence: Evidence) {
        let told = &mut self.explanation;
        told.mode = format!("{mode:?}");
        told.candidates = Candidates { dense: legs.dense.len(), lexical: legs.lexical.len() };
        told.best_cosine = legs.dense.iter().map(|hit| hit.score.0).filter(|score| score.is_finite()).reduce(f32::max);
        let evidence = match evidence {
            Evidence::Near(_) => "near",
            Evidence::RareTerm => "rare_term",
            Evidence::None => "none",
        };
        told.evidence = evidence.to_owned();
        for (place, hit) in ranked(&legs.dense) {
            self.places.entry(hit.chunk.id).or_default().0 = Some(place);
        }
        for (place, hit) in ranked(&legs.lexical) {
            self.places.entry(hit.chunk.id).or_default().1 = Some(place);
        }
    }

    /// A passage of the result.
    pub(super) fn shown(&mut self, chunk: ChunkId, joined: &[ChunkId], fused: f32, reranked: Option<f32>) {
        let (dense, lexical) = self.places.get(&chunk).copied().unwrap_or_default();
        let joined = joined.iter().map(|id| id.0.to_string()).collect();
        let hit = HitExplained { chunk: chunk.0.to_string(), joined, dense, lexical, fused, reranked };
        self.explanation.hits.push(hit);
    }
}

fn ranked(hits: &[Hit]) -> impl Iterator<Item = (Place, &Hit)> {
    (1..).zip(hits).map(|(rank, hit)| (Place { rank, score: hit.score.0 }, hit))
}
