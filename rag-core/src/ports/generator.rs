//! Passages to an answer.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::Chunk;

/// What stands where something was left out of a quotation.
pub const GAP: &str = "…";

/// A passage that the answer may use.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Passage {
    /// The chunk.
    pub chunk: Chunk,
    /// Fused score, 0 to 1.
    pub score: f32,
}

/// How a part of an answer stands in its passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole sentence: its line breaks say nothing.
    Sentence,
    /// Whole lines: rows of a table, items of a list. Lines between them may be left out.
    Lines,
    /// Lines of code in a row, with their indents.
    Code,
    /// Stretches of a text that is too long to be quoted whole, with [`GAP`] between them.
    Excerpt,
}

/// One sentence of an answer, or what stands in the place of one, and the passage that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Index into the passages that were given.
    pub passage: usize,
    /// How it stands there.
    pub form: Form,
}

/// An answer before its citations are checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Sentences in reading order.
    pub sentences: Vec<Sentence>,
    /// What the question names and no passage does.
    pub missing: Vec<String>,
    /// Whether something was missing for it that is there at another time.
    pub is_makeshift: bool,
}

/// Why no answer was generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The provider failed.
    #[error("the generator {name} failed: {cause}")]
    Failed {
        /// Which generator.
        name: String,
        /// What it said.
        cause: String,
    },
}

/// Writes an answer from passages, and from nothing else.
#[async_trait]
pub trait Generator: Send + Sync {
    /// Answers `question` from `passages`, which are never empty, with so much time left.
    async fn generate(&self, question: &str, passages: &[Passage], left: Duration) -> Result<Draft, GenerateError>;
}
