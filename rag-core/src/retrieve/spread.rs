//! Spreads the places of an answer over documents, and over what they say.
//!
//! Pure. One long document can fill every place with its sections, or one statement with its repetitions, and the one that answers is not among them. So a further passage of a document
//! counts less than the one before it, and one that says nearly the same much less: the idea of maximal marginal relevance (Carbonell and Goldstein, "The Use of MMR, Diversity-Based
//! Reranking for Reordering Documents and Producing Summaries", SIGIR 1998).
//!
//! Guarantee: what a passage counts depends on those that rank before it alone, so a place goes to the same one however many there are.

use std::collections::HashMap;

use super::{overlap::Joined, repeats::Words};
use crate::model::Similarity;

/// What a passage counts beside the one before it of the same document. Chosen on one half of a judged set's questions, confirmed on the other (`docs/quality.md`).
const FURTHER: f32 = 0.72;
/// What the second passage counts that says nearly the same as a better one. Further ones stand behind everything else.
const REPEATED: f32 = 0.3;
/// What each candidate counts beside the one before it where a reranker has ordered them, whose scores have no common scale: a repetition goes back by about twenty places.
const NEXT: f32 = 0.94;

/// The same passages with the score that they have behind others of their document, and behind those that say nearly the same, best first.
pub(super) fn spread(passages: Vec<Joined>, question: &str) -> Vec<Joined> {
    let mut documents = HashMap::new();
    let counted = counts(&passages, question).into_iter().zip(passages).map(|(counts, mut passage)| {
        let further = documents.entry(passage.best.chunk.document.clone()).or_insert(1.0_f32);
        passage.best.score.0 *= *further * counts;
        *further *= FURTHER;
        (counts == 0.0, passage.best.score, passage)
    });
    ordered(counted)
}

/// The same passages in the order of a reranker, repetitions further behind. It has judged each by itself: that two say the same it cannot see.
pub(super) fn behind(passages: Vec<Joined>, question: &str) -> Vec<Joined> {
    let places = std::iter::successors(Some(1.0_f32), |place| Some(place * NEXT));
    let counted = counts(&passages, question).into_iter().zip(places).zip(passages);
    ordered(counted.map(|((counts, place), passage)| (counts == 0.0, Similarity(place * counts), passage)))
}

/// Best first, what has no place of its own at the end.
fn ordered(counted: impl Iterator<Item = (bool, Similarity, Joined)>) -> Vec<Joined> {
    let mut counted: Vec<_> = counted.collect();
    counted.sort_by(|(surplus, score, _), (other_surplus, other_score, _)| {
        surplus.cmp(other_surplus).then_with(|| Similarity::best_first(*score, *other_score))
    });
    counted.into_iter().map(|(_, _, passage)| passage).collect()
}

/// Statements that later passages are compared with; what ranks behind so many takes no place.
const COMPARED: usize = 200;

/// What each passage counts behind those before it that say nearly the same; nothing from the third on.
fn counts(passages: &[Joined], question: &str) -> Vec<f32> {
    let question = Words::of(question);
    // What each statement's next repetition counts.
    let mut statements: Vec<(Words, f32)> = Vec::new();
    let counts = passages.iter().map(|passage| {
        let words = Words::of(&passage.best.chunk.text);
        match statements.iter_mut().find(|(said, _)| said.repeat(&words, &question)) {
            Some((_, next)) => std::mem::replace(next, 0.0),
            None => {
                if statements.len() < COMPARED {
                    statements.push((words, REPEATED));
                }
                1.0
            }
        }
    });
    counts.collect()
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
        let passages = spread(overlap::passages(ranking.iter().copied().map(hit)), "what?");
        passages.into_iter().map(|passage| (passage.best.chunk.text, passage.best.score.0)).collect()
    }

    #[test]
    fn another_document_comes_before_a_further_passage_that_is_hardly_better() {
        let found = ordered(&[("a", 0, 1.0), ("a", 5, 0.9), ("a", 9, 0.8), ("b", 0, 0.7), ("c", 0, 0.1)]);
        let expected = [("a 0", 1.0), ("b 0", 0.7), ("a 5", 0.648), ("a 9", 0.41472), ("c 0", 0.1)];
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

    /// Sheets that differ in their number alone, and one that says something else, each of a document of its own.
    fn sheets() -> Vec<Joined> {
        let sheet = |n: u32| format!("Supplier {n}. Invoices are paid within thirty days of receipt by bank transfer.");
        let texts = (0..8).map(sheet).chain(["Cedar is exempt and paid by cheque at once.".to_owned()]);
        let hits = texts.zip(0_u16..).map(|(text, n)| {
            let mut hit = hit((format!("d{n}").as_str(), 0, 1.0 - f32::from(n) / 20.0));
            hit.chunk.text = text;
            hit
        });
        overlap::passages(hits)
    }

    fn documents(passages: &[Joined]) -> Vec<&str> {
        passages.iter().map(|passage| passage.best.chunk.document.as_str()).collect()
    }

    #[test]
    fn what_says_nearly_the_same_leaves_the_places_to_what_differs() {
        let question = "When are invoices paid?";
        let found = spread(sheets(), question);
        assert_eq!(documents(&found), ["d0", "d8", "d1", "d2", "d3", "d4", "d5", "d6", "d7"]);
        assert!(found.is_sorted_by(|a, b| a.best.score >= b.best.score) && found[3].best.score.0 == 0.0);
        let reranked = behind(sheets(), question);
        assert_eq!(documents(&reranked)[..3], ["d0", "d8", "d1"]);
        assert_eq!(reranked[0].best.score, sheets()[0].best.score);
    }

    #[test]
    fn the_sheet_that_is_asked_for_by_its_number_is_no_repetition() {
        assert_eq!(documents(&spread(sheets(), "When is supplier 3 paid?"))[..2], ["d0", "d3"]);
    }

    #[test]
    fn a_reranker_s_order_of_what_differs_is_left_alone() {
        let ranking = [("a", 0, 0.1), ("a", 5, 0.9), ("b", 0, 0.2), ("a", 9, 0.8)];
        let passages = behind(overlap::passages(ranking.into_iter().map(hit)), "what?");
        assert_eq!(documents(&passages), ["a", "a", "b", "a"]);
    }
}
