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
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The question's text.
    pub text: String,
    /// Which legs are searched.
    pub mode: Mode,
    /// How many passages may be cited.
    pub top_k: usize,
}
