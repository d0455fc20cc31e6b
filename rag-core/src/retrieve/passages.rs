//! The ranking to the passages of the result: repetitions dropped, neighbours joined, places spread over documents.

use std::collections::HashMap;

use super::{explain::Notes, hybrid::to_read, overlap, rerank::Candidate, spread};
use crate::{
    model::{ChunkId, Hit},
    ports::Passage,
};

/// The passages of the result, noted.
pub(super) fn shown(ranking: Vec<Candidate>, wanted: usize, notes: &mut Notes) -> Vec<Passage> {
    let scores: HashMap<ChunkId, f32> =
        ranking.iter().filter_map(|candidate| Some((candidate.hit.chunk.id, candidate.reranked?))).collect();
    // More than are wanted, so that there is something to be spread over.
    let joined = overlap::passages(ranking.into_iter().map(|candidate| candidate.hit), wanted, to_read(wanted));
    let spread = if scores.is_empty() { spread::spread(joined) } else { joined };
    let passage = |joined: overlap::Joined| {
        let Hit { chunk, score } = joined.best;
        notes.shown(chunk.id, &joined.others, score.0, scores.get(&chunk.id).copied());
        Passage { chunk, score: score.0 }
    };
    spread.into_iter().take(wanted).map(passage).collect()
}
