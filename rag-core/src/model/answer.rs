//! An answer, with the passages that it rests on.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ChunkId, Degradation, DocumentId, Explanation, MicroUsd};

/// How far the documents carry the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// Every sentence is supported by the chunk that it cites.
    Grounded,
    /// At least one sentence is not, or the text is not whole.
    Partial,
    /// Nothing relevant is stored; no provider was called.
    Refused,
}

impl AnswerStatus {
    /// The name, as a metric label and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grounded => "grounded",
            Self::Partial => "partial",
            Self::Refused => "refused",
        }
    }
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
    /// The text of its chunk, byte for byte as it was cut; where neighbours were joined to it, their texts in order with a blank line between them.
    pub text: String,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// The chunk.
    pub chunk: ChunkId,
}

/// One sentence of an answer and what the check of its citations found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckedSentence {
    /// The sentence, without its references.
    pub text: String,
    /// Numbers of the citations that support it; those that it named itself when none does.
    pub refs: Vec<usize>,
    /// Whether a citation supports it.
    pub supported: bool,
    /// Why it is not supported, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AnswerUsage)]
pub struct Usage {
    /// Tokens that a provider read.
    pub prompt_tokens: u64,
    /// Tokens that a provider wrote.
    pub completion_tokens: u64,
    /// Whether the provider gave no figures, so that they were estimated.
    pub estimated: bool,
    /// What it cost, by the configured prices.
    #[schema(value_type = f64)]
    pub cost_usd: MicroUsd,
}

/// One call of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    /// The provider's configured name.
    pub provider: String,
    /// What became of it: `answered`, or the class of the failure.
    pub outcome: String,
    /// How long it took.
    pub millis: u64,
}

/// What ended a text before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The limit of tokens.
    Length,
    /// The provider's filter of contents.
    ContentFilter,
}

impl Cut {
    /// The name, as OpenAI's API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// How an answer was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generation {
    /// Who wrote it: a provider's name or `extractive`; none when it was refused.
    pub by: Option<String>,
    /// The providers that were tried, in order; those that were not called, because they were not to be, included.
    pub path: Vec<Attempt>,
    /// What it took.
    pub usage: Usage,
    /// What ended it before it was whole; nothing nearly always.
    pub cut: Option<Cut>,
    /// Why it was not written by a provider although one is configured, or why its session does not remember it, in words.
    pub notice: Option<String>,
    /// Milliseconds that the providers took, which is no time of this server.
    pub provider_millis: u64,
    /// Milliseconds until the first piece of text, if a provider wrote it.
    pub first_text_millis: Option<u64>,
    /// Whether it was written for an earlier question that was asked alike; no provider was called then.
    pub cached: bool,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Names this answer, for feedback.
    pub id: Uuid,
    /// How far the documents carry it.
    pub status: AnswerStatus,
    /// The text, with references like `[1]`.
    pub text: String,
    /// What is cited.
    pub citations: Vec<Citation>,
    /// Its sentences, each with what the check found; empty when refused.
    pub sentences: Vec<CheckedSentence>,
    /// How many chunks were searched.
    pub searched: u64,
    /// What was left out because the time was short or a service failed; empty nearly always.
    pub degraded: Vec<Degradation>,
    /// How the passages were found.
    pub explanation: Explanation,
    /// How it was written.
    pub generation: Generation,
}
