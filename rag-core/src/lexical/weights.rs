//! What the terms of a passage weigh: by BM25.

use std::collections::BTreeMap;

use super::{
    language::Language,
    stems::foreign,
    terms::{Kind, each_term, hash, mixed},
};
use crate::model::SparseVector;

/// Saturation of repeated terms; the value that most engines ship.
const K1: f32 = 1.2;
/// How far a long passage is held against its terms; the value that most engines ship.
const B: f32 = 0.75;
/// Length, in terms, of a passage that is neither short nor long. Fixed, because an average that moves with the corpus would make every stored weight stale.
/// Stop words do not count: an abstract of 170 words, or a chunk filled to the model's limit, has about 100.
const AVERAGE_LENGTH: f32 = 100.0;
/// How much a term of the title or of a heading counts beside one of the text.
const HEADING_WEIGHT: f32 = 0.5;

/// Weights of a passage: how much each term of its title, headings and text tells about it. The words of another language than English are there by its stems as well.
pub fn passage(title: &str, headings: &[String], text: &str) -> SparseVector {
    let mut frequencies = BTreeMap::<u32, f32>::new();
    let mut length = 0.0;
    let above = std::iter::once(title).chain(headings.iter().map(String::as_str));
    let language = Language::of(above.clone().chain([text]));
    for (text, weight) in above.map(|text| (text, HEADING_WEIGHT)).chain([(text, 1.0)]) {
        let mut before = None;
        each_term(text, &mut |term| {
            let name = hash(term.name);
            *frequencies.entry(name).or_default() += weight;
            // What is there beside the words, such as pairs, is no length: a passage holds as many as it holds words.
            length += if matches!(term.kind, Kind::Word | Kind::Gram) { weight } else { 0.0 };
            if let Some(before) = (term.kind == Kind::Word).then(|| before.replace(name)).flatten() {
                *frequencies.entry(pair(before, name)).or_default() += weight;
            }
            let word = term.word.filter(|_| term.kind == Kind::Word);
            let stem = language.zip(word).and_then(|(language, word)| foreign(language, word));
            if let Some(stem) = stem {
                *frequencies.entry(hash(&stem)).or_default() += weight;
            }
            true
        });
    }
    let norm = K1 * (1.0 - B + B * length / AVERAGE_LENGTH);
    let (indices, values) = frequencies.into_iter().map(|(term, tf)| (term, tf * (K1 + 1.0) / (tf + norm))).unzip();
    SparseVector { indices, values }
}

/// Names two terms in this order; the first is turned, so that a pair is not its reverse.
pub(super) fn pair(first: u32, second: u32) -> u32 {
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

    proptest! {
        #[test]
        fn a_vector_is_sorted_distinct_and_finite_for_any_text(text in ".{0,300}", title in ".{0,40}") {
            let vector = passage(&title, &[], &text);
            prop_assert_eq!(vector.indices.len(), vector.values.len());
            prop_assert!(vector.indices.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(vector.values.iter().all(|value| value.is_finite() && *value > 0.0));
        }
    }
}
