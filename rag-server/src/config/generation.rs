//! The keys of `[generation]` and `[sessions]`.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::MicroUsd;

/// Who writes answers. Without a provider they are made of sentences of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generation {
    /// What happens when every provider failed: Extractive answers with sentences of the documents, None with 503.
    #[schemars(extend("enum" = ["Extractive", "None"]), with = "String")]
    pub fallback: Fallback,
    /// When a provider that fails is left alone.
    pub circuit_breaker: CircuitBreaker,
    /// OpenAI-compatible services, tried in this order.
    #[schemars(length(max = 8))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
}

/// What happens when every provider failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Fallback {
    /// An answer made of sentences of the documents.
    #[default]
    Extractive,
    /// No answer.
    None,
}

/// When a provider that fails is left alone, and when it is trusted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// Failures in a row after which nothing is sent to it.
    #[schemars(range(min = 1, max = 100))]
    pub failures: u32,
    /// For how long.
    #[schemars(range(min = 1, max = 3600))]
    pub open_seconds: u64,
    /// Successes in a row, one call at a time, after which it is trusted again.
    #[schemars(range(min = 1, max = 100))]
    pub successes: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { failures: 5, open_seconds: 30, successes: 3 }
    }
}

/// An OpenAI-compatible service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Names it in answers, metrics and the log: 1 to 63 of a-z, 0-9 and `-`.
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub name: String,
    /// Where its API is, such as `https://api.example.com/v1`; `/chat/completions` is added.
    #[schemars(extend("format" = "http-base-url"))]
    pub base_url: String,
    /// The model to ask for.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub model: String,
    /// File that holds its API key; read at each call. A local service may need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Most tokens of an answer.
    #[serde(default = "Provider::default_max_tokens")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_tokens: u32,
    /// Tokens that passages and history may take in the prompt, as the embedding model counts them.
    #[serde(default = "Provider::default_context_tokens")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub context_tokens: u32,
    /// How long a whole answer may take; the deadline of the request cuts it, too.
    #[serde(default = "Provider::default_timeout_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u64,
    /// What it charges. Without it a call costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Requests that it allows within a minute, to all servers of this corpus together. Without it only what it says with its answers is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u64>,
    /// Tokens that it allows within a minute, read and written, to all servers of this corpus together. They are estimated before each call: those of the prompt, and all that it may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<u64>,
}

impl Provider {
    fn default_max_tokens() -> u32 {
        512
    }

    fn default_context_tokens() -> u32 {
        3000
    }

    fn default_timeout_seconds() -> u64 {
        30
    }

    /// How long a whole answer may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// What a provider charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pricing {
    /// For a million tokens that it reads.
    #[schemars(with = "f64", range(min = 0.0, max = 100_000.0))]
    pub input_usd_per_million_tokens: MicroUsd,
    /// For a million tokens that it writes.
    #[schemars(with = "f64", range(min = 0.0, max = 100_000.0))]
    pub output_usd_per_million_tokens: MicroUsd,
}

/// Conversations that the server remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// How long a session is remembered after its last question.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub ttl_seconds: u64,
}

impl Default for Sessions {
    /// A day: long enough to come back to a conversation, short enough to forget it.
    fn default() -> Self {
        Self { ttl_seconds: 86_400 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_left_alone_after_five_failures_for_half_a_minute_until_three_successes() {
        let CircuitBreaker { failures, open_seconds, successes } = Generation::default().circuit_breaker;
        assert_eq!((failures, open_seconds, successes), (5, 30, 3));
    }
}
