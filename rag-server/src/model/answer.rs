//! An answer, with the passages that it rests on.

use serde::{Deserialize, Serialize};

use super::{ChunkId, DocumentId};

/// How far the documents carry the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// Every sentence is supported by the chunk that it cites.
    Grounded,
    /// At least one sentence is not.
    Partial,
    /// Nothing relevant is stored; no provider was called.
    Refused,
}

/// A passage that the answer cites.
#[derive(Debug, Clone, PartialEq)]
pub struct Citation {
    /// Number in the answer's text, from 1.
    pub reference: usize,
    /// The document.
    pub document: DocumentId,
    /// The document's title.
    pub title: String,
    /// Headings above the passage, outermost first.
    pub headings: Vec<String>,
    /// The chunk's text, byte for byte as ingested.
    pub text: String,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// The chunk.
    pub chunk: ChunkId,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// How far the documents carry it.
    pub status: AnswerStatus,
    /// The text, with references like `[1]`.
    pub text: String,
    /// What is cited.
    pub citations: Vec<Citation>,
    /// How many chunks were searched.
    pub searched: u64,
}
