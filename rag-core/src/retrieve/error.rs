//! Why nothing could be said about a question.

use super::unembedded::is_over_budget;
use crate::ports::{EmbedError, StoreError};

/// Why nothing could be said about a question. It never means that nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetrieveError {
    /// The question was not embedded.
    #[error("{0}")]
    Embed(#[source] EmbedError),
    /// The vector store did not answer.
    #[error("{0}; this is not an empty result")]
    Search(#[source] StoreError),
    /// The documents' records did not answer.
    #[error("{0}; this is not an empty result")]
    Records(#[source] StoreError),
}

impl RetrieveError {
    /// Whether the budget is what keeps the question from being embedded, and its words found nothing or may not be searched for alone.
    pub fn is_over_budget(&self) -> bool {
        match self {
            Self::Embed(error) => is_over_budget(error),
            Self::Search(_) | Self::Records(_) => false,
        }
    }
}
