//! A conversation to the next thing that a language model says, piece by piece.
//!
//! Guarantees: dropping the pieces ends the call; an error names no secret and quotes nothing that the provider said but codes.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::model::{Cut, Sampling, Turn};

/// What a language model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// What it has to keep to.
    pub system: String,
    /// What was said, oldest first; the last turn is the question.
    pub turns: Vec<Turn>,
    /// Most tokens that it may write.
    pub max_tokens: u32,
    /// How it is to write.
    pub sampling: Sampling,
}

/// Tokens of a call as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Read.
    pub prompt: u64,
    /// Written.
    pub completion: u64,
}

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatPiece {
    /// A piece of text, never empty.
    Text(String),
    /// A piece of what the model thinks aloud: no part of the answer, and paid for like one.
    Thought(String),
    /// The answer ends before it is whole; at most once.
    Cut(Cut),
    /// What the call took; at most once.
    Tokens(Tokens),
}

/// What one window of a vendor's rate limit has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// What is left.
    pub remaining: u64,
    /// When it is full again, from now; none when the vendor does not say.
    pub resets_in: Option<Duration>,
}

/// What a vendor said about its rate limit with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimit {
    /// Requests.
    pub requests: Option<Window>,
    /// Tokens.
    pub tokens: Option<Window>,
    /// How long to stay away.
    pub retry_after: Option<Duration>,
}

/// An answer that has begun.
pub struct ChatStream {
    /// What the vendor said about its rate limit.
    pub rate_limit: RateLimit,
    /// The pieces; the stream ends after the last one, and an answer that broke off ends with an error.
    pub pieces: BoxStream<'static, Result<ChatPiece, ChatError>>,
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("rate_limit", &self.rate_limit).finish_non_exhaustive()
    }
}

/// Why a language model did not answer, by the class of the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// No connection.
    #[error("cannot be reached: {cause}")]
    Unreachable {
        /// What the network said.
        cause: String,
    },
    /// No answer in time.
    #[error("did not answer in time")]
    Timeout,
    /// The key was refused.
    #[error("refused the key (status {status}); check api_key_file")]
    AuthFailed {
        /// The HTTP status.
        status: u16,
    },
    /// The key cannot be read.
    #[error("has no usable key: {cause}")]
    NoKey {
        /// What is wrong with the file.
        cause: String,
    },
    /// The vendor's rate limit is reached.
    #[error("is over its rate limit")]
    RateLimited {
        /// What the vendor said.
        rate_limit: RateLimit,
    },
    /// The request makes no sense to the provider; another one may take it.
    #[error("refused the request (status {status}{code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's code, as `, CODE`; empty without one.
        code: String,
    },
    /// The provider failed.
    #[error("failed (status {status}{code})")]
    Failed {
        /// The HTTP status.
        status: u16,
        /// The provider's code, as `, CODE`; empty without one.
        code: String,
    },
    /// What came is no answer of this protocol.
    #[error("answered something that cannot be read: {cause}")]
    Garbage {
        /// What is wrong with it.
        cause: String,
    },
    /// The connection broke before the end of the answer, or before its beginning.
    #[error("broke off before the end of the answer")]
    CutOff,
}

impl ChatError {
    /// The class, as a metric label: a closed set.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout => "timeout",
            Self::AuthFailed { .. } | Self::NoKey { .. } => "auth_failed",
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Garbage { .. } => "garbage",
            Self::CutOff => "cut_off",
        }
    }

    /// Whether the request may have reached the provider.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoKey { .. } => false,
            Self::Timeout
            | Self::AuthFailed { .. }
            | Self::RateLimited { .. }
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Garbage { .. }
            | Self::CutOff => true,
        }
    }

    /// Whether the provider may have begun to work on the request, and so bills it: what it said with an error's status it did not.
    pub fn was_accepted(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoKey { .. } | Self::AuthFailed { .. } | Self::RateLimited { .. } => false,
            Self::Refused { status, .. } | Self::Failed { status, .. } => (200..300).contains(status),
            Self::Timeout | Self::Garbage { .. } | Self::CutOff => true,
        }
    }

    /// Whether it says that the provider is ill. A rate limit is no illness, and a refused request may be its caller's fault.
    pub fn is_provider_fault(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Refused { .. } => false,
            Self::Unreachable { .. }
            | Self::Timeout
            | Self::AuthFailed { .. }
            | Self::NoKey { .. }
            | Self::Failed { .. }
            | Self::Garbage { .. }
            | Self::CutOff => true,
        }
    }
}

/// A language model of one provider.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Asks. Returns once the provider has begun to answer.
    async fn chat(&self, request: &ChatRequest) -> Result<ChatStream, ChatError>;
}
