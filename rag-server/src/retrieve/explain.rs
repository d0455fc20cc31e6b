//! Collects why a question found what it found. Nothing here decides anything.

use std::{collections::HashMap, time::Instant};

use super::{candidates, threshold::Evidence};
use crate::model::{Candidates, ChunkId, Explanation, HitExplained, Mode, Place, Scored, Stage};

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
    pub(super) fn searched(&mut self, mode: Mode, found: &candidates::Candidates, evidence: Evidence) {
        let legs = found.legs();
        let told = &mut self.explanation;
        told.mode = format!("{mode:?}");
        told.candidates = Candidates { dense: legs.dense.len(), lexical: legs.lexical.len() };
        told.best_cosine = found.best_cosine();
        let evidence = match evidence {
            Evidence::Near(_) => "near",
            Evidence::Worded(_) => "worded",
            Evidence::RareTerm => "rare_term",
            Evidence::None => "none",
        };
        told.evidence = evidence.to_owned();
        for (place, hit) in ranked(&legs.dense) {
            self.places.entry(hit.chunk).or_default().0 = Some(place);
        }
        for (place, hit) in ranked(&legs.lexical) {
            self.places.entry(hit.chunk).or_default().1 = Some(place);
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

fn ranked(hits: &[Scored]) -> impl Iterator<Item = (Place, &Scored)> {
    (1..).zip(hits).map(|(rank, hit)| (Place { rank, score: hit.score.0 }, hit))
}
