//! Answers made of what stands in the passages, word for word, without a language model.
//!
//! ```text
//! question: words, names, kind -> units of the passages -> rank by words, names, meaning -> compose -> (checked by `cite`)
//! ```
//!
//! Guarantees: what is quoted is a slice of its passage; of what the question names, another one of the same kind is never the answer; an answer is a few sentences, rows, or a block of code, whatever the length of the passages.

mod compose;
mod excerpt;
mod named;
mod question;
mod ranking;
mod tokens;
mod units;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use self::question::Question;
use crate::ports::{Draft, Embedder, GenerateError, Generator, Passage};

/// Passages that are read; the answer is in the first few or nowhere.
const MAX_PASSAGES: usize = 8;

/// Picks what answers.
#[derive(Clone, Default)]
pub struct Extractive {
    embedder: Option<Arc<dyn Embedder>>,
    /// The cosine below which nothing is an answer by its meaning, where that is known of the model.
    far: Option<f32>,
}

impl Extractive {
    /// The cosine of the local model below which a sentence is no answer by its meaning.
    pub const FAR_LOCAL: f32 = 0.5;

    /// Compares what could answer with the question by this model, beside the words. What is below `far` and shares few words is no answer; where nothing is known of the model, none is given.
    pub fn comparing(embedder: Arc<dyn Embedder>, far: Option<f32>) -> Self {
        Self { embedder: Some(embedder), far }
    }
}

impl fmt::Debug for Extractive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extractive").finish_non_exhaustive()
    }
}

#[async_trait]
impl Generator for Extractive {
    async fn generate(&self, question: &str, passages: &[Passage], left: Duration) -> Result<Draft, GenerateError> {
        let asked = Question::of(question);
        let (missing, others_alone) = missing(&asked, passages);
        if others_alone {
            return Ok(Draft { missing, ..Draft::default() });
        }
        // What is named may stand in any of them.
        let read = if asked.names.are_none() { MAX_PASSAGES } else { passages.len() };
        let passages = &passages[..passages.len().min(read)];
        let units = units::units(passages);
        let weights = ranking::weights(&units, &asked.terms);
        let mut ranked = ranking::by_words(&asked, &units, passages, &weights);
        if let Some(embedder) = &self.embedder {
            ranked = ranking::by_meaning(ranked, question, (&units, passages), (&**embedder, left)).await;
        }
        let is_makeshift = self.embedder.is_some() && ranked.first().is_some_and(|best| best.cosine.is_none());
        // A question without any known word is near to nothing.
        if !asked.terms.is_empty() && ranking::are_far(&ranked, self.far) {
            return Ok(Draft { missing, ..Draft::default() });
        }
        Ok(Draft { sentences: compose::compose(&asked, &units, &ranked, &weights), missing, is_makeshift })
    }
}

/// What the question names and no passage does, and whether only others of the kind stand there.
fn missing(question: &Question, passages: &[Passage]) -> (Vec<String>, bool) {
    let texts: Vec<&str> = passages
        .iter()
        .flat_map(|Passage { chunk, .. }| {
            let above = chunk.headings.iter().map(String::as_str).chain([chunk.title.as_str()]);
            above.chain([chunk.document.as_str(), chunk.text.as_str()])
        })
        .collect();
    question.names.missing(&texts)
}

#[cfg(test)]
mod tests;
