//! The ranking to the passages of the result: repetitions dropped, neighbours joined, places spread over documents and what they say.

use std::collections::HashMap;

use super::{explain::Notes, overlap, rerank::Candidate, spread};
use crate::{
    model::{ChunkId, Hit},
    ports::Passage,
};

/// The passages of the result, noted.
pub(super) fn shown(ranking: Vec<Candidate>, (question, wanted): (&str, usize), notes: &mut Notes) -> Vec<Passage> {
    let scores: HashMap<ChunkId, f32> =
        ranking.iter().filter_map(|candidate| Some((candidate.hit.chunk.id, candidate.reranked?))).collect();
    let joined = overlap::passages(ranking.into_iter().map(|candidate| candidate.hit));
    let spread = if scores.is_empty() { spread::spread(joined, question) } else { spread::behind(joined, question) };
    let passage = |joined: overlap::Joined| {
        let Hit { chunk, score } = joined.best;
        notes.shown(chunk.id, &joined.others, score.0, scores.get(&chunk.id).copied());
        Passage { chunk, score: score.0 }
    };
    spread.into_iter().take(wanted).map(passage).collect()
}
