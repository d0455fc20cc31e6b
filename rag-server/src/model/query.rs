//! A question and how it is to be searched.

use serde::{Deserialize, Serialize};

/// Which legs of the search are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Mode {
    /// Dense and lexical, fused.
    #[default]
    Hybrid,
    /// Only the dense embedding.
    Dense,
    /// Only BM25.
    Lexical,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Query {
    /// The question's text.
    pub text: String,
    /// Which legs are searched.
    pub mode: Mode,
    /// How many passages may be cited.
    pub top_k: usize,
}

/// Who said something in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

/// Something that was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// What an answer may come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything that is stored and that the caller may see.
    #[default]
    FullBook,
    /// This text alone; nothing is searched.
    Selection(String),
}

/// How a provider is to write. What is not set is the provider's or the configuration's choice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 for the likeliest text.
    pub temperature: Option<f32>,
    /// Share of the likeliest words that are considered.
    pub top_p: Option<f32>,
    /// Longest answer; the configured limit holds, too.
    pub max_tokens: Option<u32>,
    /// The same seed gives the same text, as far as the provider keeps that.
    pub seed: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

impl Query {
    /// Bytes that differ between any two different questions.
    pub fn identity(&self) -> Vec<u8> {
        // A question is plain data without maps, which can always be written, and only in one way.
        serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes())
    }
}
