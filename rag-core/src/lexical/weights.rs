//! What terms weigh: in a passage by BM25, in a question alike.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    MAX_QUERY_BYTES, MAX_QUERY_TERMS,
    terms::{each_term, hash, mixed},
};
use crate::model::{Chunk, SparseVector};

/// Saturation of repeated terms; the value that most engines ship.
const K1: f32 = 1.2;
/// How far a long passage is held against its terms; the value that most engines ship.
const B: f32 = 0.75;
/// Length, in terms, of a passage that is neither short nor long. Fixed, because an average that moves with the corpus would make every stored weight stale.
/// Stop words do not count: an abstract of 170 words, or a chunk filled to the model's limit, has about 100.
const AVERAGE_LENGTH: f32 = 100.0;
/// How much a term of the title or of a heading counts beside one of the text.
const HEADING_WEIGHT: f32 = 0.5;
/// How much a pair of neighbouring words counts in a question beside a single word. Measured on two judged sets (`docs/quality.md`).
const PAIR_WEIGHT: f32 = 0.4;

/// Weights of a passage: how much each term of its title, headings and text tells about it.
pub fn passage(title: &str, headings: &[String], text: &str) -> SparseVector {
    let mut frequencies = BTreeMap::<u32, f32>::new();
    let mut length = 0.0;
    let above = std::iter::once(title).chain(headings.iter().map(String::as_str)).map(|text| (text, HEADING_WEIGHT));
    for (text, weight) in above.chain([(text, 1.0)]) {
        let mut before = None;
        each_term(text, &mut |term| {
            let term = hash(term);
            *frequencies.entry(term).or_default() += weight;
            // A pair is no length: a passage holds as many as it holds terms.
            length += weight;
            if let Some(before) = before.replace(term) {
                *frequencies.entry(pair(before, term)).or_default() += weight;
            }
            true
        });
    }
    let norm = K1 * (1.0 - B + B * length / AVERAGE_LENGTH);
    let (indices, values) = frequencies.into_iter().map(|(term, tf)| (term, tf * (K1 + 1.0) / (tf + norm))).unzip();
    SparseVector { indices, values }
}

/// Terms of a question, each with weight 1, and the pairs of neighbouring ones. Of an overlong question only the beginning counts.
pub fn query(text: &str) -> SparseVector {
    let (mut terms, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    let mut before = None;
    each_term(&text[..text.floor_char_boundary(MAX_QUERY_BYTES)], &mut |term| {
        let term = hash(term);
        terms.insert(term);
        pairs.extend(before.replace(term).map(|before| pair(before, term)));
        terms.len() < MAX_QUERY_TERMS && pairs.len() < MAX_QUERY_TERMS
    });
    let mut weights: BTreeMap<u32, f32> = pairs.into_iter().map(|pair| (pair, PAIR_WEIGHT)).collect();
    weights.extend(terms.into_iter().map(|term| (term, 1.0)));
    let (indices, values) = weights.into_iter().unzip();
    SparseVector { indices, values }
}

/// The share of a question's terms, and pairs of neighbouring terms, that a chunk holds in its title, headings or text; 0 for a question without terms.
pub fn coverage(question: &SparseVector, chunk: &Chunk) -> f32 {
    if question.indices.is_empty() {
        return 0.0;
    }
    let held = passage(&chunk.title, &chunk.headings, &chunk.text).indices;
    let shared = question.indices.iter().filter(|term| held.binary_search(term).is_ok()).count();
    shared as f32 / question.indices.len() as f32
}

/// Names two terms in this order; the first is turned, so that a pair is not its reverse.
fn pair(first: u32, second: u32) -> u32 {
    mixed(first.rotate_left(11).wrapping_mul(0x9e37_79b1) ^ second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(vector: &SparseVector, term: &str) -> Option<f32> {
        vector.indices.iter().position(|index| *index == hash(term)).map(|at| vector.values[at])
    }

    #[test]
    fn a_term_weighs_more_when_repeated_less_in_a_long_passage_and_less_in_a_heading() {
        let once = weight(&passage("", &[], "snapshot of disk"), "snapshot").unwrap();
        let twice = weight(&passage("", &[], "snapshot of snapshot"), "snapshot").unwrap();
        let long = weight(&passage("", &[], &format!("snapshot {}", "disk ".repeat(300))), "snapshot").unwrap();
        let heading = weight(&passage("", &["snapshot".to_owned()], "disk"), "snapshot").unwrap();
        assert!(twice > once && once > long && once > heading && heading > 0.0, "{twice} {once} {long} {heading}");
        assert_eq!(weight(&passage("", &[], "disk"), "snapshot"), None);
    }

    #[test]
    fn the_weight_of_a_term_follows_bm25() {
        // Two terms of length 2: tf 1, norm = 1.2 * (0.25 + 0.75 * 2 / 100).
        let expected = 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 0.02));
        let found = weight(&passage("", &[], "snapshot disk"), "snapshot").unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn an_overlong_question_is_cut_to_a_bounded_number_of_terms() {
        let text: String = (0..100_000).map(|n| format!("wört{n} ")).collect();
        let singles = query(&text).values.iter().filter(|value| **value == 1.0).count();
        assert_eq!(singles, MAX_QUERY_TERMS);
        assert!(query(&"ü b ".repeat(1_000_000)).indices.len() <= 2 * MAX_QUERY_TERMS);
    }

    #[test]
    fn question_and_passage_agree_on_the_names_of_terms() {
        let (question, passage) = (query("snapshots ERR_4711"), passage("", &[], "A snapshot failed: err_4711!"));
        let singles = question.indices.iter().zip(&question.values).filter(|(_, value)| **value == 1.0);
        assert!(singles.clone().count() == 4 && singles.clone().all(|(term, _)| passage.indices.contains(term)));
    }

    #[test]
    fn neighbouring_words_are_found_as_a_pair_in_their_order() {
        let question = query("the reentry of a body");
        let pairs: Vec<u32> = question
            .indices
            .iter()
            .zip(&question.values)
            .filter(|(_, value)| **value < 1.0)
            .map(|(term, _)| *term)
            .collect();
        assert_eq!(pairs.len(), 1);
        assert!(passage("", &[], "Reentry bodies glow.").indices.contains(&pairs[0]));
        for text in ["A body at reentry.", "Reentry of a blunt body."] {
            assert!(!passage("", &[], text).indices.contains(&pairs[0]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn vectors_are_sorted_distinct_and_finite_for_any_text(text in ".{0,300}", title in ".{0,40}") {
            for vector in [passage(&title, &[], &text), query(&text)] {
                prop_assert_eq!(vector.indices.len(), vector.values.len());
                prop_assert!(vector.indices.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(vector.values.iter().all(|value| value.is_finite() && *value > 0.0));
            }
        }
    }
}
