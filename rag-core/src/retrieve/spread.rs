//! Spreads the places of an answer over documents.
//!
//! Pure. One long document can fill every place with its sections, and the one that answers is not among them. So a further passage of a document counts less than the one before it:
//! the idea of maximal marginal relevance (Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries", SIGIR 1998), with
//! "same document" for similarity.

use std::collections::HashMap;

use super::overlap::Joined;
use crate::model::Similarity;

/// What a passage counts beside the one before it of the same document. Chosen on one half of a judged set's questions, confirmed on the other (`docs/quality.md`).
const FURTHER: f32 = 0.7;

/// The same passages with the score that they have behind others of their document, best first.
pub(super) fn spread(passages: Vec<Joined>) -> Vec<Joined> {
    let mut counts = HashMap::new();
    let mut passages = passages;
    for passage in &mut passages {
        let count = counts.entry(passage.best.chunk.document.clone()).or_insert(1.0_f32);
        passage.best.score.0 *= *count;
        *count *= FURTHER;
    }
    passages.sort_by(|a, b| Similarity::best_first(a.best.score, b.best.score));
    passages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Chunk, ChunkId, ContentHash, Hit},
        retrieve::overlap,
    };

    fn hit((document, ordinal, score): (&str, u32, f32)) -> Hit {
        let (document, version) = (document.parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, ordinal);
        let (title, text) = (String::new(), format!("{document} {ordinal}"));
        Hit { chunk: Chunk { id, document, version, ordinal, title, headings: vec![], text }, score: Similarity(score) }
    }

    fn ordered(ranking: &[(&str, u32, f32)]) -> Vec<(String, f32)> {
        let passages = spread(overlap::passages(ranking.iter().copied().map(hit), 10, 10));
        passages.into_iter().map(|passage| (passage.best.chunk.text, passage.best.score.0)).collect()
    }

    #[test]
    fn another_document_comes_before_a_further_passage_that_is_hardly_better() {
        let found = ordered(&[("a", 0, 1.0), ("a", 5, 0.9), ("a", 9, 0.8), ("b", 0, 0.7), ("c", 0, 0.1)]);
        let expected = [("a 0", 1.0), ("b 0", 0.7), ("a 5", 0.63), ("a 9", 0.392), ("c 0", 0.1)];
        for ((text, score), (wanted, counted)) in found.iter().zip(expected) {
            assert!(text == wanted && (score - counted).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(found.len(), expected.len());
    }

    #[test]
    fn passages_of_different_documents_and_a_neighbour_that_was_joined_keep_their_score() {
        let found = ordered(&[("a", 0, 1.0), ("a", 1, 0.9), ("b", 0, 0.8), ("c", 0, 0.7)]);
        assert_eq!(found, [("a 0\n\na 1", 1.0), ("b 0", 0.8), ("c 0", 0.7)].map(|(t, s)| (t.to_owned(), s)));
    }
}
