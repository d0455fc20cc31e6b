//! What a search returns: hits with a score whose direction is part of its type.

use std::cmp::Ordering;

use super::{Chunk, ChunkId};

/// A score where higher is better; distances never wear this type.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Similarity(pub f32);

impl Similarity {
    /// Orders best first; a score that is not a number comes last.
    pub fn best_first(a: Self, b: Self) -> Ordering {
        match (a.0.is_nan(), b.0.is_nan()) {
            (false, false) => b.0.total_cmp(&a.0),
            (a_nan, b_nan) => a_nan.cmp(&b_nan),
        }
    }
}

/// Term weights: parallel arrays, indices strictly increasing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseVector {
    /// Hashes of terms.
    pub indices: Vec<u32>,
    /// Weight of each term.
    pub values: Vec<f32>,
}

/// One chunk that a search found, by its id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// What was found.
    pub chunk: ChunkId,
    /// Cosine in the dense leg, BM25 in the lexical leg, 0 to 1 in the fused ranking.
    pub score: Similarity,
}

/// One chunk of the fused ranking, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// What was found.
    pub chunk: Chunk,
    /// From 0 to 1.
    pub score: Similarity,
}

/// The hits of both legs, each best first. A leg that was not asked for is empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Legs {
    /// By cosine of the dense embedding.
    pub dense: Vec<Scored>,
    /// By BM25.
    pub lexical: Vec<Scored>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_score_comes_first_and_no_number_last() {
        let mut scores = [f32::NAN, 0.1, 0.9, -1.0].map(Similarity);
        scores.sort_by(|a, b| Similarity::best_first(*a, *b));
        assert_eq!(scores.map(|s| s.0.to_string()), ["0.9", "0.1", "-1", "NaN"].map(String::from));
    }
}
