//! Passages into a better order, by a service that reads the question and each passage together.

use async_trait::async_trait;

use super::NotAdmitted;

/// Why passages were not put into a better order. The fused order stands then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RerankError {
    /// The service did not answer, or not in time.
    #[error("the reranker at {address} did not answer: {cause}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the network said.
        cause: String,
    },
    /// The service refused.
    #[error("the reranker at {address} answered {status}")]
    Refused {
        /// Where.
        address: String,
        /// The status of its answer.
        status: u16,
    },
    /// It was not asked, because it failed too often or wants to be left alone.
    #[error("the reranker at {address} is left alone for another {seconds} s")]
    LeftAlone {
        /// Where.
        address: String,
        /// For how long.
        seconds: u64,
    },
    /// It was not asked, because of the budget or of the rate limit that all servers share.
    #[error("the reranker at {address} was not asked: {cause}")]
    NotAdmitted {
        /// Where.
        address: String,
        /// What keeps it from being asked.
        cause: NotAdmitted,
    },
    /// The answer makes no sense.
    #[error("the answer of the reranker at {address} cannot be used: {cause}")]
    Garbled {
        /// Where.
        address: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The key cannot be read.
    #[error("the key of the reranker cannot be used: {cause}")]
    NoKey {
        /// Why; never the key.
        cause: String,
    },
}

/// Scores passages for a question.
#[async_trait]
pub trait Reranker: Send + Sync {
    /// How relevant each text is, in the order of the texts; higher is better. One finite number for each text.
    async fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError>;
}
