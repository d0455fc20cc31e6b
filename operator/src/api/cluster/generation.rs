//! Who writes answers, and what they may cost.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{quota::Quota, vector_store::SecretKeyRef};

/// Answers are written by the first provider that can; without one they are made of sentences of the documents.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
        "self.providers.all(p, self.providers.exists_one(q, q.name == p.name))"
    )
    .message("each provider needs a name of its own: the circuit breaker, the metrics and the mounted key go by it")
    .field_path(".providers"))]
pub struct Generation {
    /// OpenAI-compatible services, tried in this order. None: answers are made of sentences of the documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub providers: Vec<Provider>,

    /// When a provider that fails is left alone, and when it is trusted again.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,

    /// What happens when every provider has failed.
    #[serde(default)]
    pub fallback: Fallback,
}

/// An OpenAI-compatible service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.name in ['extractive', 'embedding', 'rerank', 'tracing'])")
    .message("extractive, embedding, rerank and tracing name other parts of the service; choose another name")
    .field_path(".name"))]
pub struct Provider {
    /// Names it in answers, metrics and logs: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Where its API is, for example https://api.example.com/v1; /chat/completions is added.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub base_url: String,

    /// The model to ask for.
    #[schemars(length(min = 1, max = 200))]
    pub model: String,

    /// The Secret that holds its API key, in the same namespace. Absent: no key, as for a service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,

    /// The most tokens of an answer.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_tokens: i32,

    /// The tokens that passages and history may take in the prompt.
    #[serde(default = "context_tokens")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub context_tokens: i32,

    /// For how many seconds a whole answer may take; the deadline of the request cuts it, too.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i32,

    /// What it charges. Absent: a call costs nothing, and no budget is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,

    /// What it allows within a minute.
    #[serde(flatten)]
    pub quota: Quota,
}

/// What a provider charges, in US dollars.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pricing {
    /// For a million tokens that it reads.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub input_usd_per_million_tokens: f64,

    /// For a million tokens that it writes.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub output_usd_per_million_tokens: f64,
}

/// When a provider that fails is left alone, and when it is trusted again.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Failures in a row after which nothing is sent to it.
    #[serde(default = "failures")]
    #[schemars(range(min = 1, max = 100))]
    pub failures: i32,

    /// For how many seconds.
    #[serde(default = "open_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub open_seconds: i32,

    /// Successes in a row, one call at a time, after which it is trusted again.
    #[serde(default = "successes")]
    #[schemars(range(min = 1, max = 100))]
    pub successes: i32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { failures: failures(), open_seconds: open_seconds(), successes: successes() }
    }
}

/// What happens when every provider has failed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Fallback {
    /// The answer is made of sentences of the documents.
    #[default]
    Extractive,
    /// No answer: 503 with Retry-After.
    None,
}

/// What providers may cost, in US dollars, over all servers together. Takes effect on running servers within about a minute.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.monthlyUsd) || has(self.dailyUsd)")
    .message("a budget needs monthlyUsd, dailyUsd or both; leave budget out for none"))]
pub struct Budget {
    /// In a calendar month (UTC). Absent: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000_000.0))]
    pub monthly_usd: Option<f64>,

    /// On a day (UTC). Absent: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000_000.0))]
    pub daily_usd: Option<f64>,

    /// At which shares of a limit, in percent, an alert is raised.
    #[serde(default = "alert_percents")]
    #[schemars(length(max = 10), inner(range(min = 1, max = 100)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub alert_percents: Vec<i32>,

    /// What happens once a limit is reached.
    #[serde(default)]
    pub on_limit: OnLimit,

    /// From which share of a limit on, in percent, the cheapest provider is asked first, and the others in the order of their
    /// prices. Absent: they are asked in the order of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub prefer_cheaper_percent: Option<i32>,
}

/// What happens once a budget is spent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum OnLimit {
    /// Answers are made of sentences of the documents.
    #[default]
    Extractive,
    /// Questions that need a provider are answered with 402.
    Refuse,
}

fn max_tokens() -> i32 {
    512
}

fn context_tokens() -> i32 {
    3000
}

fn timeout_seconds() -> i32 {
    30
}

fn failures() -> i32 {
    5
}

fn open_seconds() -> i32 {
    30
}

fn successes() -> i32 {
    3
}

fn alert_percents() -> Vec<i32> {
    vec![50, 80, 100]
}
