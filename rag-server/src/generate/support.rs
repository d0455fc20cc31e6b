//! Whether what a model wrote stands in the passages that it was given.
//!
//! A sentence is supported when it stands in a passage word for word, or when its embedding is near that of the passage and every number in it is in the passage: a near miss of a figure is the most expensive kind of wrong.
//! A sentence that names no passage is compared with all of them, and gets the number of the one that supports it.

use std::collections::{BTreeMap, BTreeSet};

use super::{cite, marks::Claim};
use crate::{
    model::{AnswerStatus, CheckedSentence},
    ports::{Embedder, Passage},
};

/// Sentences that are compared; the rest of a longer answer counts as unsupported.
const MAX_COMPARED: usize = 64;

/// Checks the claims of an answer against the passages that its writer was given. `near` is the cosine from which two texts speak of the same.
pub(super) async fn check(
    claims: Vec<Claim>,
    passages: &[Passage],
    embedder: &dyn Embedder,
    near: f32,
) -> Vec<CheckedSentence> {
    let candidates = |claim: &Claim| -> Vec<usize> {
        if claim.refs.is_empty() { (1..=passages.len()).collect() } else { claim.refs.clone() }
    };
    let text = |number: usize| passages.get(number - 1).map_or("", |passage| passage.chunk.text.as_str());
    let verbatim = |claim: &Claim| -> Vec<usize> {
        candidates(claim).into_iter().filter(|number| cite::holds(text(*number), &claim.text)).collect()
    };
    let found: Vec<Vec<usize>> = claims.iter().map(verbatim).collect();
    let open: Vec<usize> = (0..claims.len()).filter(|at| found[*at].is_empty()).take(MAX_COMPARED).collect();
    let needed: BTreeSet<usize> = open.iter().flat_map(|at| candidates(&claims[*at])).collect();
    let cosines = Cosines::embed(&claims, &open, &needed, (passages, embedder)).await;
    claims
        .into_iter()
        .zip(found)
        .enumerate()
        .map(|(at, (claim, mut refs))| {
            if refs.is_empty() {
                let named = !claim.refs.is_empty();
                let mut near_ones: Vec<(usize, f32)> = candidates(&claim)
                    .into_iter()
                    .map(|number| (number, cosines.of(at, number)))
                    .filter(|(number, cosine)| *cosine >= near && holds_numbers(text(*number), &claim.text))
                    .collect();
                near_ones.sort_by(|a, b| b.1.total_cmp(&a.1));
                // What it named itself it may name several times; what it is given is the best one.
                near_ones.truncate(if named { usize::MAX } else { 1 });
                refs = near_ones.into_iter().map(|(number, _)| number).collect();
            }
            let supported = !refs.is_empty();
            CheckedSentence { text: claim.text, refs: if supported { refs } else { claim.refs }, supported }
        })
        .collect()
}

/// How far the passages carry an answer with these sentences.
pub(super) fn status(sentences: &[CheckedSentence]) -> AnswerStatus {
    match sentences {
        [] => AnswerStatus::Refused,
        all if all.iter().all(|sentence| sentence.supported) => AnswerStatus::Grounded,
        _ => AnswerStatus::Partial,
    }
}

/// Whether every number of a sentence stands in the passage, too. List marks at its beginning are none.
fn holds_numbers(passage: &str, sentence: &str) -> bool {
    let rest = sentence.trim_start_matches(|c: char| c.is_ascii_digit());
    let mark = rest.strip_prefix(['.', ')']).filter(|body| rest.len() < sentence.len() && body.starts_with(' '));
    let body = mark.unwrap_or(sentence);
    let held: BTreeSet<&str> = numbers(passage).collect();
    numbers(body).all(|number| held.contains(number))
}

fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | ':')))
        .map(|part| part.trim_matches(['.', ',', ':']))
        .filter(|part| part.starts_with(|c: char| c.is_ascii_digit()))
}

/// The cosines of sentences and passages.
#[derive(Default)]
struct Cosines {
    sentences: BTreeMap<usize, Vec<f32>>,
    passages: BTreeMap<usize, Vec<f32>>,
}

impl Cosines {
    /// Embeds what is compared, all at once. Without vectors nothing is near: what could not be checked is not claimed.
    async fn embed(
        claims: &[Claim],
        open: &[usize],
        needed: &BTreeSet<usize>,
        (passages, embedder): (&[Passage], &dyn Embedder),
    ) -> Self {
        if open.is_empty() {
            return Self::default();
        }
        let sentences = open.iter().map(|at| claims[*at].text.clone());
        let chunks = needed.iter().filter_map(|number| passages.get(number - 1)).map(|p| p.chunk.text.clone());
        let vectors = match embedder.embed_passages(sentences.chain(chunks).collect()).await {
            Ok(vectors) => vectors,
            Err(error) => {
                tracing::warn!(%error, "the sentences of an answer were not compared with their passages");
                return Self::default();
            }
        };
        let mut vectors = vectors.into_iter();
        let sentences = open.iter().copied().zip(vectors.by_ref()).collect();
        Self { sentences, passages: needed.iter().copied().zip(vectors).collect() }
    }

    fn of(&self, claim: usize, number: usize) -> f32 {
        match (self.sentences.get(&claim), self.passages.get(&number)) {
            // Vectors of the model have length 1.
            (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| a * b).sum(),
            _ => f32::NEG_INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles::EmbedderDouble,
        generate::marks,
        model::{Chunk, ChunkId, ContentHash},
    };

    fn passage(text: &str) -> Passage {
        let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, 0);
        let (title, headings, text) = (String::new(), Vec::new(), text.to_owned());
        Passage { chunk: Chunk { id, document, version, ordinal: 0, title, headings, text }, score: 1.0 }
    }

    async fn checked(text: &str, passages: &[&str]) -> Vec<(bool, Vec<usize>)> {
        let passages: Vec<_> = passages.iter().map(|text| passage(text)).collect();
        let claims = marks::claims(text, passages.len());
        let found = check(claims, &passages, &EmbedderDouble::default(), 0.5).await;
        found.into_iter().map(|sentence| (sentence.supported, sentence.refs)).collect()
    }

    const SNAPSHOTS: &str = "Daily snapshots are kept for 7 days in the bucket.";
    const PUMPS: &str = "Every pump is greased by the person on duty.";

    #[tokio::test]
    async fn a_sentence_is_supported_word_for_word_or_by_its_meaning() {
        let text = "Snapshots are kept for 7 days. [1] In the bucket, daily snapshots are kept. [1] Cats sleep. [1]";
        let expected = [(true, vec![1]), (true, vec![1]), (false, vec![1])];
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, expected);
    }

    #[tokio::test]
    async fn a_sentence_that_names_the_wrong_passage_is_not_supported_by_the_right_one() {
        let text = "Daily snapshots are kept for 7 days in the bucket. [2]";
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, [(false, vec![2])]);
    }

    #[tokio::test]
    async fn a_sentence_that_names_no_passage_gets_the_one_that_supports_it() {
        let text = "A pump is greased by whoever is on duty. Cats sleep.";
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, [(true, vec![2]), (false, vec![])]);
    }

    #[tokio::test]
    async fn a_number_that_the_passage_does_not_hold_is_not_supported_however_near_the_words_are() {
        let text = "Daily snapshots are kept for 9 days in the bucket. [1]\n1. Daily snapshots are kept for 7 days, in the bucket. [1]";
        assert_eq!(checked(text, &[SNAPSHOTS]).await, [(false, vec![1]), (true, vec![1])]);
        assert!(holds_numbers("at 10:30, 2.5 s", "In 2.5 s, at 10:30.") && !holds_numbers("12.5", "2.5"));
        assert!(holds_numbers("7 days", "3) After 7 days") && !holds_numbers("8 days", "7 days are kept"));
    }
}
