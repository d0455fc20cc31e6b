//! Why nothing could be said about a question.

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
