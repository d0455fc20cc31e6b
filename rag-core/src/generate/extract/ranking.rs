//! Which units answer a question best.
//!
//! Pure beside the embedder. A unit is good when it shares the question's telling words, each of which counts by how few units hold it, and when it is near to it in meaning; what stands above it, the kind of its answer, and the rank of its passage count a little.

use std::{collections::BTreeSet, time::Duration};

use super::{
    excerpt::Weights,
    named::Naming,
    question::{Kind, Question},
    units::Unit,
};
use crate::{
    folding::folded,
    ports::{Embedder, Form, Passage},
    resilience::Deadline,
};

/// How much a word of the question counts that stands only above a unit.
const ABOVE_SHARE: f32 = 0.5;
/// How much the rank of the passage counts beside the words.
const RANK_SHARE: f32 = 0.2;
/// How much the unit's own cosine counts.
const MEANING_SHARE: f32 = 2.0;
/// What a unit gains that has the kind of answer the question asks for, such as a number after "how many".
const KIND_GAIN: f32 = 0.2;
/// What a unit gains that holds a name of the question itself.
const NAME_GAIN: f32 = 0.2;
/// The share that is left of a unit that only repeats the question.
const REPEATED_SHARE: f32 = 0.6;
/// A unit that tells something has so many terms beside those of the question.
const MIN_TOLD: usize = 2;
/// Units whose meaning is compared: a batch of the local model.
const COMPARED: usize = 8;
/// A unit that holds less of the question's words is no answer by its words.
const FEW_WORDS: f32 = 0.3;
/// How long the model may take; half of the time that is left, if that is less. After it the words decide alone.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a unit that are compared, with what announces it.
const MAX_COMPARED: usize = 480;

/// A unit with how well it answers.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    /// Its place among the units, in reading order.
    pub(super) at: usize,
    pub(super) score: f32,
    /// The share of the question's words that it holds, those above it counted less.
    words: f32,
    /// Its cosine with the question, where it was compared.
    pub(super) cosine: Option<f32>,
    /// Whether it denies of something what the question wants to know.
    denied: bool,
}

/// How telling each term of the question is among these units.
pub(super) fn weights(units: &[Unit<'_>], wanted: &BTreeSet<u32>) -> Weights {
    let count = units.len() as f32;
    let weight = |term: &u32| {
        let holding = units.iter().filter(|unit| unit.terms.contains(term)).count() as f32;
        (*term, (1.0 + (count + 1.0) / (holding + 1.0)).ln())
    };
    wanted.iter().map(weight).collect()
}

/// The units by their words, best first. Those that speak of something else of the kind that is named are left out.
pub(super) fn by_words(
    question: &Question,
    units: &[Unit<'_>],
    passages: &[Passage],
    weights: &Weights,
) -> Vec<Ranked> {
    let total: f32 = weights.values().sum();
    let mut ranked = Vec::with_capacity(units.len());
    for (at, unit) in units.iter().enumerate() {
        let passage = &passages[unit.passage];
        let named = match naming(question, unit, passage) {
            Naming::Other => continue,
            Naming::Held => NAME_GAIN,
            Naming::Silent => 0.0,
        };
        let share = |terms: &mut dyn Iterator<Item = &u32>| terms.filter_map(|term| weights.get(term)).sum::<f32>();
        let own = share(&mut unit.terms.iter());
        let above = share(&mut unit.above.difference(&unit.terms));
        let words = if total > 0.0 { (own + ABOVE_SHARE * above) / total } else { 0.0 };
        let tells = unit.form != Form::Sentence || unit.terms.difference(&question.terms).count() >= MIN_TOLD;
        let words = if tells { words } else { words * REPEATED_SHARE };
        let shown =
            if question.kind == Kind::Manner && unit.form == Form::Code { 1.0 } else { question.shown_by(unit.text) };
        let denied = question.is_denied_by(unit.text);
        let score = words + KIND_GAIN * shown + named + RANK_SHARE * passage.score;
        ranked.push(Ranked { at, score, words, cosine: None, denied });
    }
    // What is denied of something is an answer only where nothing else is.
    if ranked.iter().any(|ranked| !ranked.denied) {
        ranked.retain(|ranked| !ranked.denied);
    }
    sort(&mut ranked);
    ranked
}

/// What a unit names, or else what stands above it, from the inside out.
fn naming(question: &Question, unit: &Unit<'_>, passage: &Passage) -> Naming {
    if question.names.are_none() {
        return Naming::Silent;
    }
    let chunk = &passage.chunk;
    let own = question.names.naming(unit.text);
    let above = unit.announced.iter().rev().copied().chain(chunk.headings.iter().rev().map(String::as_str));
    let mut above = above.chain([chunk.title.as_str()]);
    match own {
        Naming::Silent => {
            match above.find_map(|text| Some(question.names.naming(text)).filter(|n| *n != Naming::Silent)) {
                Some(Naming::Other) => Naming::Other,
                _ => Naming::Silent,
            }
        }
        told => told,
    }
}

/// The same units by their meaning as well. Where it is not known, the words decide.
pub(super) async fn by_meaning(
    mut ranked: Vec<Ranked>,
    question: &str,
    (units, passages): (&[Unit<'_>], &[Passage]),
    (embedder, left): (&dyn Embedder, Duration),
) -> Vec<Ranked> {
    let compared = ranked.len().min(COMPARED);
    if compared == 0 {
        return ranked;
    }
    let texts = ranked[..compared].iter().map(|ranked| text(&units[ranked.at], passages)).collect();
    // As the search asks for it, so that it is known already.
    let question = folded(question);
    let vectors = futures::future::try_join(embedder.embed_query(&question), embedder.embed_texts(texts));
    match Deadline::after(PATIENCE.min(left / 2)).run(vectors).await {
        Ok(Ok((question, vectors))) => {
            // Vectors of the model have length 1.
            let cosine = |vector: &[f32]| vector.iter().zip(&question).map(|(a, b)| a * b).sum::<f32>();
            let cosines: Vec<f32> = vectors.iter().map(|vector| cosine(vector)).collect();
            ranked.truncate(cosines.len());
            for (ranked, cosine) in ranked.iter_mut().zip(&cosines) {
                ranked.score += MEANING_SHARE * cosine;
                ranked.cosine = Some(*cosine);
            }
            sort(&mut ranked);
        }
        Ok(Err(error)) => tracing::debug!(%error, "the sentences of an answer were chosen by their words alone"),
        Err(expired) => tracing::debug!(%expired, "the sentences of an answer were chosen by their words alone"),
    }
    ranked
}

/// Whether nothing answers: each unit was compared, is far from the question, and holds few of its words.
pub(super) fn are_far(ranked: &[Ranked], far: Option<f32>) -> bool {
    let is_far =
        |ranked: &Ranked| ranked.words < FEW_WORDS && ranked.cosine.zip(far).is_some_and(|(cosine, far)| cosine < far);
    ranked.iter().all(is_far)
}

/// What is compared of a unit: what announces it, and its beginning.
fn text(unit: &Unit<'_>, passages: &[Passage]) -> String {
    let chunk = &passages[unit.passage].chunk;
    let above = unit.announced.last().copied().or(chunk.headings.last().map(String::as_str)).unwrap_or(&chunk.title);
    let text = format!("{}\n{}", above.trim_matches(['#', '¶', ' ']), unit.text);
    let text = folded(&text);
    text[..text.floor_char_boundary(MAX_COMPARED)].to_owned()
}

fn sort(ranked: &mut [Ranked]) {
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at)));
}
