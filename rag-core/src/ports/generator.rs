//! Passages to an answer.

use async_trait::async_trait;

use crate::model::Chunk;

/// A passage that the answer may use.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Passage {
    /// The chunk.
    pub chunk: Chunk,
    /// Fused score, 0 to 1.
    pub score: f32,
}

/// One sentence of an answer and the passage that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Index into the passages that were given.
    pub passage: usize,
}

/// An answer before its citations are checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// Sentences in reading order.
    pub sentences: Vec<Sentence>,
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
    /// Answers `question` from `passages`, which are never empty.
    async fn generate(&self, question: &str, passages: &[Passage]) -> Result<Draft, GenerateError>;
}
