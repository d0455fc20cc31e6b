//! Answers made of sentences that stand in the passages, word for word. Calls no model and no network.
//!
//! A sentence is good when it shares the question's telling words: each word counts by how few sentences of the passages hold it. What stands in the heading above, and how well the passage ranked, count a little.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::{
    lexical,
    ports::{Draft, GenerateError, Generator, Passage, Sentence},
    sentences::pieces,
};

/// Passages that are read; the answer is in the first few or nowhere.
const MAX_PASSAGES: usize = 8;
/// Sentences of an answer.
const MAX_SENTENCES: usize = 3;
/// A further sentence must be this good beside the best one.
const FURTHER: f32 = 0.75;
/// How much a word of the question counts that stands only in the title or heading above a sentence.
const HEADING_SHARE: f32 = 0.5;
/// How much the rank of the passage counts beside the words.
const RANK_SHARE: f32 = 0.35;
/// What a sentence gains that has the kind of answer the question asks for, such as a number after "how many".
const KIND_GAIN: f32 = 0.1;

/// Picks sentences.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extractive;

#[async_trait]
impl Generator for Extractive {
    async fn generate(&self, question: &str, passages: &[Passage]) -> Result<Draft, GenerateError> {
        Ok(extract(question, passages))
    }
}

/// A sentence that could be part of the answer.
struct Candidate<'a> {
    text: &'a str,
    passage: usize,
    position: usize,
    terms: BTreeSet<u32>,
    above: BTreeSet<u32>,
    score: f32,
}

fn extract(question: &str, passages: &[Passage]) -> Draft {
    let wanted = lexical::terms(question);
    let mut candidates = candidates(passages, &wanted);
    let rarity = rarity(&candidates, &wanted);
    let total: f32 = rarity.values().sum();
    let asks_number = asks_number(question);
    for candidate in &mut candidates {
        let share = |terms: &BTreeSet<u32>| terms.iter().filter_map(|term| rarity.get(term)).sum::<f32>();
        let own = share(&candidate.terms);
        let above = share(&candidate.above.difference(&candidate.terms).copied().collect());
        let words = if total > 0.0 { (own + HEADING_SHARE * above) / total } else { 0.0 };
        let kind = if asks_number && candidate.text.contains(|c: char| c.is_ascii_digit()) { KIND_GAIN } else { 0.0 };
        candidate.score = words + kind + RANK_SHARE * passages[candidate.passage].score;
    }
    candidates.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| (a.passage, a.position).cmp(&(b.passage, b.position)))
    });
    let mut chosen = choose(candidates);
    // The passage of the best sentence first; within a passage as it reads.
    let order: Vec<usize> = chosen.iter().map(|candidate| candidate.passage).collect();
    chosen.sort_by_key(|c| (order.iter().position(|passage| *passage == c.passage), c.position));
    let sentence = |c: Candidate<'_>| Sentence { text: c.text.to_owned(), passage: c.passage };
    Draft { sentences: chosen.into_iter().map(sentence).collect() }
}

fn candidates<'a>(passages: &'a [Passage], wanted: &BTreeSet<u32>) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for (at, passage) in passages.iter().take(MAX_PASSAGES).enumerate() {
        let chunk = &passage.chunk;
        let mut above = lexical::terms(&chunk.title);
        chunk.headings.iter().for_each(|heading| above.extend(lexical::terms(heading)));
        for (position, piece) in pieces(&chunk.text).into_iter().enumerate() {
            let terms = lexical::terms(piece.text);
            if piece.heading {
                above.extend(terms);
                continue;
            }
            let above = above.intersection(wanted).copied().collect();
            candidates.push(Candidate { text: piece.text, passage: at, position, terms, above, score: 0.0 });
        }
    }
    candidates
}

/// How telling each term of the question is among these sentences.
fn rarity(candidates: &[Candidate<'_>], wanted: &BTreeSet<u32>) -> BTreeMap<u32, f32> {
    let count = candidates.len() as f32;
    let weight = |term: &u32| {
        let holding = candidates.iter().filter(|candidate| candidate.terms.contains(term)).count() as f32;
        (*term, (1.0 + (count + 1.0) / (holding + 1.0)).ln())
    };
    wanted.iter().map(weight).collect()
}

/// The best sentences that say something different, best first.
fn choose(candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let floor = candidates.first().map_or(0.0, |best| best.score * FURTHER);
    let mut chosen: Vec<Candidate<'_>> = Vec::with_capacity(MAX_SENTENCES);
    for candidate in candidates {
        if chosen.len() == MAX_SENTENCES || candidate.score < floor {
            break;
        }
        if chosen.iter().all(|better| !repeats(&candidate, better)) {
            chosen.push(candidate);
        }
    }
    chosen
}

/// Whether a sentence has hardly a word of its own beside a better one.
fn repeats(candidate: &Candidate<'_>, better: &Candidate<'_>) -> bool {
    let own = candidate.terms.difference(&better.terms).count();
    own * 5 <= candidate.terms.len()
}

/// Whether the question asks how many, how long or when.
fn asks_number(question: &str) -> bool {
    let question = question.to_lowercase();
    ["how many", "how much", "how long", "how often", "how old", "when ", "what percentage", "what number"]
        .iter()
        .any(|words| question.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Chunk, ChunkId, ContentHash};

    fn passage(headings: &[&str], text: &str, score: f32) -> Passage {
        let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, 0);
        let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
        let (title, text) = ("Handbook".to_owned(), text.to_owned());
        Passage { chunk: Chunk { id, document, version, ordinal: 0, title, headings, text }, score }
    }

    fn answer(question: &str, passages: &[Passage]) -> Vec<(String, usize)> {
        extract(question, passages).sentences.into_iter().map(|sentence| (sentence.text, sentence.passage)).collect()
    }

    #[test]
    fn the_sentence_that_shares_the_telling_words_is_chosen() {
        let text = "The handbook describes snapshots. Every snapshot is encrypted with age. Snapshots may be large.";
        let found = answer("How is a snapshot encrypted?", &[passage(&[], text, 1.0)]);
        assert_eq!(found, [("Every snapshot is encrypted with age.".to_owned(), 0)]);
    }

    #[test]
    fn a_heading_lends_its_words_to_the_sentences_below() {
        let passages = [
            passage(&["Retention of snapshots"], "Daily ones stay 7 days.", 0.9),
            passage(&["Weather"], "Rain stays for days.", 1.0),
        ];
        assert_eq!(answer("How many days are snapshots retained?", &passages)[0].1, 0);
    }

    #[test]
    fn a_repetition_is_not_chosen_twice() {
        let passages = [
            passage(&[], "Snapshots are kept seven days.", 1.0),
            passage(&[], "Snapshots are kept for seven days.", 0.9),
        ];
        assert_eq!(answer("How long are snapshots kept?", &passages).len(), 1);
    }

    #[test]
    fn every_sentence_stands_in_the_passage_that_it_names() {
        let passages = [
            passage(&[], "One snapshot a day. Two on Sundays, kept for a week.", 1.0),
            passage(&[], "A snapshot is kept in the bucket. The bucket is in town.", 0.8),
        ];
        let found = answer("where is a snapshot kept", &passages);
        assert!(!found.is_empty() && found.len() <= MAX_SENTENCES);
        assert!(found.iter().all(|(text, at)| passages[*at].chunk.text.contains(text.as_str())));
    }

    #[test]
    fn a_question_without_any_known_word_takes_the_beginning_of_the_best_passage() {
        let passages = [passage(&[], "First. Second.", 1.0), passage(&[], "Third.", 0.2)];
        assert_eq!(answer("???", &passages)[0], ("First.".to_owned(), 0));
    }
}
