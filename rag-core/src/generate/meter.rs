//! What the flow tells about providers, tokens and money, without knowing who counts.

use std::time::Duration;

use crate::{model::MicroUsd, resilience::BreakerState};

/// Counts. Every method may do nothing.
pub trait Meter: Send + Sync {
    /// A provider was called, and this became of it.
    fn called(&self, _provider: &str, _outcome: &str, _took: Duration) {}

    /// A provider's breaker stands here, after a change if `changed`.
    fn breaker(&self, _provider: &str, _state: BreakerState, _changed: bool) {}

    /// So many requests are left of a provider's rate limit.
    fn rate_limit_remaining(&self, _provider: &str, _requests: u64) {}

    /// A provider read and wrote so many tokens.
    fn tokens(&self, _provider: &str, _prompt: u64, _completion: u64) {}

    /// This was spent on a part of the work: `generate`, `embed` or `rerank`.
    fn cost(&self, _part: &'static str, _cost: MicroUsd) {}

    /// So much of a period's budget is spent, as a share of 1.
    fn budget_used(&self, _period: &'static str, _share: f64) {}

    /// A period's budget passed this many percent, which is told once.
    fn budget_alert(&self, _period: &'static str, _percent: u8) {}
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMeter;

impl Meter for NoMeter {}
