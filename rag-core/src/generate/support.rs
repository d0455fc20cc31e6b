//! Whether what a model wrote stands in the passages that it was given.
//!
//! A sentence is supported when it is a sentence of a passage, or when a part of one carries it: no check of the wording speaks against it, and its embedding is near that of the part.
//! Compared is with the one or two sentences of a passage that share most words with it, never with the passage as a whole: that a word stands somewhere in it says nothing about what it is said of.
//! How near is near enough depends on the model and the collection: it is counted from the cosine that unrelated texts reach there (`retrieve/calibrate.rs`).
//! A sentence that names no passage is compared with all of them, and gets the number of the one that supports it.

use std::collections::BTreeMap;

use super::{
    cite,
    marks::{self, Claim},
    parts::{self, Comparison, Read},
};
use crate::{
    folding::folded,
    model::{AnswerStatus, CheckedSentence},
    ports::{Embedder, Passage},
};

/// Sentences that are compared; the rest of a longer answer counts as unsupported.
const MAX_COMPARED: usize = 64;
/// How far above unrelated texts, on the way to the same text, a sentence must be that has no word of its own.
const NEAR: f32 = 0.50;
/// How much farther, when all its words are its own.
const NEARER_WITH_OWN_WORDS: f32 = 0.60;

const NOT_NEAR: &str = "its meaning is not near enough to what stands there";
const NOT_COMPARED: &str = "it was not compared with the passages";

/// Checks each sentence of a text with references against the passages that its writer was given. `unrelated` is the cosine that unrelated texts reach.
pub async fn judge(text: &str, passages: &[Passage], embedder: &dyn Embedder, unrelated: f32) -> Vec<CheckedSentence> {
    let claims = marks::claims(text, passages.len());
    let quoted: Vec<Vec<usize>> = claims.iter().map(|claim| quoted(claim, passages)).collect();
    // What is quoted is compared with nothing.
    let all_quoted = quoted.iter().all(|refs| !refs.is_empty());
    let read: Vec<Read> = if all_quoted { Vec::new() } else { passages.iter().map(Read::of).collect() };
    let mut compared = 0;
    let verdict = |(claim, refs): (&Claim, Vec<usize>)| {
        if !refs.is_empty() {
            return Verdict::Quoted(refs);
        }
        compared += 1;
        if compared > MAX_COMPARED { Verdict::Unsupported(NOT_COMPARED) } else { Verdict::by_wording(claim, &read) }
    };
    let verdicts: Vec<Verdict> = claims.iter().zip(quoted).map(verdict).collect();
    let cosines = Cosines::embed(&claims, &verdicts, embedder).await;
    let judged = claims.into_iter().zip(verdicts);
    judged.map(|(claim, verdict)| verdict.sentence(claim, &cosines, unrelated)).collect()
}

/// How far the passages carry an answer with these sentences.
pub(super) fn status(sentences: &[CheckedSentence]) -> AnswerStatus {
    match sentences {
        [] => AnswerStatus::Refused,
        all if all.iter().all(|sentence| sentence.supported) => AnswerStatus::Grounded,
        _ => AnswerStatus::Partial,
    }
}

/// The numbers of the passages that a claim is compared with.
fn candidates(claim: &Claim, passages: usize) -> Vec<usize> {
    if claim.refs.is_empty() { (1..=passages).collect() } else { claim.refs.clone() }
}

/// Those of them that it is a sentence of.
fn quoted(claim: &Claim, passages: &[Passage]) -> Vec<usize> {
    let holds = |number: &usize| {
        let passage = number.checked_sub(1).and_then(|at| passages.get(at));
        passage.is_some_and(|passage| cite::holds(passage, &claim.text))
    };
    candidates(claim, passages.len()).into_iter().filter(holds).collect()
}

/// What is known of a claim before anything is embedded.
enum Verdict {
    /// It is a sentence of these passages.
    Quoted(Vec<usize>),
    /// No check speaks against these.
    Open(Vec<Comparison>),
    /// It is not supported, for this reason.
    Unsupported(&'static str),
}

impl Verdict {
    fn by_wording(claim: &Claim, read: &[Read]) -> Self {
        let of = |number: usize| Some((number, read.get(number.checked_sub(1)?)?));
        let named: Vec<_> = candidates(claim, read.len()).into_iter().filter_map(of).collect();
        match parts::comparisons(&claim.text, &named) {
            Ok(comparisons) => Self::Open(comparisons),
            Err(reason) => Self::Unsupported(reason),
        }
    }

    fn sentence(self, claim: Claim, cosines: &Cosines, unrelated: f32) -> CheckedSentence {
        let named = !claim.refs.is_empty();
        let unsupported = |reason: &str, claim: Claim| CheckedSentence {
            text: claim.text,
            refs: claim.refs,
            supported: false,
            reason: Some(reason.to_owned()),
        };
        let refs = match self {
            Self::Quoted(refs) => refs,
            Self::Unsupported(reason) => return unsupported(reason, claim),
            Self::Open(_) if cosines.are_missing() => return unsupported(NOT_COMPARED, claim),
            Self::Open(comparisons) => {
                let mut near: Vec<(Comparison, f32)> = comparisons
                    .into_iter()
                    .map(|comparison| {
                        let cosine = cosines.of(&claim.text, &comparison.texts);
                        let above = (cosine - unrelated) / (1.0 - unrelated).max(f32::EPSILON);
                        let spare = above - NEAR - NEARER_WITH_OWN_WORDS * comparison.own_words;
                        (comparison, spare)
                    })
                    .filter(|(_, spare)| *spare >= 0.0)
                    .collect();
                near.sort_by(|a, b| b.1.total_cmp(&a.1));
                // What it named itself it may name several times; what it is given is the best one.
                near.truncate(if named { usize::MAX } else { 1 });
                let mut refs: Vec<usize> = near.into_iter().flat_map(|(comparison, _)| comparison.passages).collect();
                refs.sort_unstable();
                refs.dedup();
                refs
            }
        };
        if refs.is_empty() {
            return unsupported(NOT_NEAR, claim);
        }
        CheckedSentence { text: claim.text, refs, supported: true, reason: None }
    }
}

/// The vectors of what is compared.
struct Cosines(BTreeMap<String, Vec<f32>>);

impl Cosines {
    /// Embeds what is compared, all at once. Without vectors nothing is near: what could not be checked is not claimed.
    async fn embed(claims: &[Claim], verdicts: &[Verdict], embedder: &dyn Embedder) -> Self {
        let mut texts = Vec::new();
        for (claim, verdict) in claims.iter().zip(verdicts) {
            if let Verdict::Open(comparisons) = verdict {
                texts.push(claim.text.clone());
                texts.extend(comparisons.iter().flat_map(|comparison| comparison.texts.iter().cloned()));
            }
        }
        texts.sort_unstable();
        texts.dedup();
        if texts.is_empty() {
            return Self(BTreeMap::new());
        }
        let folded = texts.iter().map(|text| folded(text).into_owned()).collect();
        match embedder.embed_passages(folded).await {
            Ok(vectors) => Self(texts.into_iter().zip(vectors).collect()),
            Err(error) => {
                tracing::warn!(%error, "the sentences of an answer were not compared with their passages");
                Self(BTreeMap::new())
            }
        }
    }

    fn are_missing(&self) -> bool {
        self.0.is_empty()
    }

    /// The best cosine of a text with others.
    fn of(&self, text: &str, others: &[String]) -> f32 {
        let Some(vector) = self.0.get(text) else { return f32::NEG_INFINITY };
        // Vectors of the model have length 1.
        let cosine = |other: &Vec<f32>| vector.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        others.iter().filter_map(|other| self.0.get(other)).map(cosine).fold(f32::NEG_INFINITY, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{self, EmbedderDouble, HighCosines};

    fn passage(text: &str) -> Passage {
        doubles::passage("d".parse().unwrap(), text)
    }

    async fn judged(text: &str, passages: &[&str]) -> Vec<CheckedSentence> {
        let passages: Vec<_> = passages.iter().map(|text| passage(text)).collect();
        judge(text, &passages, &EmbedderDouble::default(), 0.0).await
    }

    async fn checked(text: &str, passages: &[&str]) -> Vec<(bool, Vec<usize>)> {
        let judged = judged(text, passages).await;
        assert!(judged.iter().all(|sentence| sentence.supported == sentence.reason.is_none()), "{judged:?}");
        judged.into_iter().map(|sentence| (sentence.supported, sentence.refs)).collect()
    }

    const SNAPSHOTS: &str = "Daily snapshots are kept for 7 days in the bucket.";
    const PUMPS: &str = "Every pump is greased by the person on duty.";

    #[tokio::test]
    async fn a_sentence_is_supported_word_for_word_or_by_its_meaning() {
        let text = "Snapshots are kept for 7 days. [1] In the bucket, daily snapshots are kept. [1] Daily snapshots are kept for 7 days in the bucket. [1] Cats sleep. [1]";
        let expected = [(true, vec![1]), (true, vec![1]), (true, vec![1]), (false, vec![1])];
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, expected);
    }

    #[tokio::test]
    async fn a_sentence_that_names_the_wrong_passage_is_not_supported_by_the_right_one() {
        let text = "Daily snapshots are kept for 7 days in the bucket. [2]";
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, [(false, vec![2])]);
    }

    #[tokio::test]
    async fn a_sentence_that_names_no_passage_gets_the_one_that_supports_it() {
        let text = "A pump is greased by the person who is on duty. Cats sleep.";
        assert_eq!(checked(text, &[SNAPSHOTS, PUMPS]).await, [(true, vec![2]), (false, vec![])]);
    }

    #[tokio::test]
    async fn a_sentence_that_is_not_supported_says_why() {
        for (text, reason) in [
            ("Daily snapshots are kept for 9 days. [1]", "a figure, date or unit of it does not stand there"),
            (
                "Daily snapshots are not kept for 7 days. [1]",
                "it denies what stands there, or says what is denied there",
            ),
            ("Weekly snapshots are kept for 7 days. [1]", "it speaks of another period than the passage"),
            ("Daily snapshots are kept in Berlin for 7 days. [1]", "it names something that is not named there"),
            ("Some snapshots are kept for 7 days. [1]", "it says how much or how often otherwise than there"),
            ("Cats sleep. [1]", "no sentence of the passage speaks of it"),
            ("Daily cats of the neighbour chase slow mice around. [1]", NOT_NEAR),
        ] {
            let judged = judged(text, &[SNAPSHOTS]).await;
            assert_eq!(judged[0].reason.as_deref(), Some(reason), "{text}");
        }
    }

    #[tokio::test]
    async fn a_sentence_may_take_its_clauses_from_two_sentences_and_two_passages_but_not_mix_them_up() {
        let passages =
            ["Daily snapshots are kept for 7 days. Weekly snapshots are kept for 5 weeks.", "Zurich has 4 stations."];
        for (text, expected) in [
            ("Daily snapshots are kept for 7 days and weekly snapshots for 5 weeks. [1]", (true, vec![1])),
            ("Daily snapshots are kept for 5 weeks and weekly snapshots for 7 days. [1]", (false, vec![1])),
            ("Daily snapshots are kept for 7 days and Zurich has 4 stations. [1][2]", (true, vec![1, 2])),
            ("Daily snapshots are kept for 4 days and Zurich has 7 stations. [1][2]", (false, vec![1, 2])),
        ] {
            assert_eq!(checked(text, &passages).await, [expected], "{text}");
        }
    }

    #[tokio::test]
    async fn with_an_embedder_whose_cosines_are_all_high_nearness_is_counted_from_what_unrelated_texts_reach() {
        let stored =
            "Daily snapshots of every cluster and its volumes are copied at night into the bucket of a cheap region.";
        let passages = [passage(stored)];
        let judged = async |text: &str, unrelated: f32| {
            judge(text, &passages, &HighCosines::default(), unrelated).await[0].supported
        };
        let right = "Into the bucket of a cheap region daily snapshots of every cluster and its volumes are copied at night. [1]";
        let wrong = "Snapshots cost the bucket. [1]";
        assert!(judged(right, 0.8).await && !judged(wrong, 0.8).await);
        assert!(judged(wrong, 0.0).await, "counted from nothing, everything on the subject is near");
    }

    #[tokio::test]
    async fn more_sentences_than_are_compared_are_not_supported() {
        let text = "In the bucket, daily snapshots are kept. [1]\n\n".repeat(MAX_COMPARED + 1);
        let judged = judged(&text, &[SNAPSHOTS]).await;
        assert!(judged[..MAX_COMPARED].iter().all(|sentence| sentence.supported));
        assert_eq!(judged[MAX_COMPARED].reason.as_deref(), Some(NOT_COMPARED));
    }
}
