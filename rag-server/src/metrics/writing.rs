//! What the writing of answers is measured by: providers, tokens and money.

use std::time::Duration;

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
};

use super::book::Book;
use crate::{generate::Meter, model::MicroUsd, resilience::BreakerState};

/// Bounds of the latency buckets in seconds: providers write for seconds.
const SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What the writing of answers is measured by.
#[derive(Debug, Clone)]
pub struct Writing {
    /// Calls of providers by what became of them: `answered`, `abandoned`, or the class of the failure.
    pub calls: IntCounterVec,
    /// How long the calls of a provider took.
    pub call_seconds: HistogramVec,
    /// Where a provider's circuit breaker stands: 0 closed, 1 open, 2 half-open.
    pub breaker_state: IntGaugeVec,
    /// Changes of a provider's circuit breaker, by the state that it changed to.
    pub breaker_transitions: IntCounterVec,
    /// Requests that a provider's rate limit leaves, as the vendor said last.
    pub rate_limit_remaining: IntGaugeVec,
    /// Tokens that providers read (`prompt`) and wrote (`completion`).
    pub tokens: IntCounterVec,
    /// What was spent in US dollars, by what for.
    pub cost_usd: CounterVec,
    /// The share of a period's budget that is spent.
    pub budget_used: GaugeVec,
    /// Percents of a period's budget that were passed, each counted once by the replica that passed it.
    pub budget_alerts: IntCounterVec,
    /// Sessions that are remembered.
    pub sessions: IntGauge,
    /// What people think of answers, by rating.
    pub feedback: IntCounterVec,
}

impl Writing {
    /// Registers all of them.
    pub(super) fn register(registry: &Book) -> prometheus::Result<Self> {
        fn registered<C: Collector + Clone + 'static>(registry: &Book, metric: C) -> prometheus::Result<C> {
            registry.register(Box::new(metric.clone())).map(|()| metric)
        }
        let counters =
            |name, help, labels: &[&str]| registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let gauges = |name, help| registered(registry, IntGaugeVec::new(Opts::new(name, help), &["provider"])?);
        let seconds = HistogramOpts::new("rag_llm_latency_seconds", "Time of a call of a provider.");
        let calls = counters("rag_llm_requests_total", "Calls of providers by outcome.", &["provider", "outcome"])?;
        let call_seconds = registered(registry, HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["provider"])?)?;
        let breaker_state = gauges(
            "rag_circuit_breaker_state",
            "Where a provider's circuit breaker stands: 0 closed, 1 open, 2 half-open.",
        )?;
        let breaker_transitions = counters(
            "rag_circuit_breaker_transitions_total",
            "Changes of a provider's circuit breaker, by the new state.",
            &["provider", "to"],
        )?;
        let rate_limit_remaining = gauges("rag_rate_limit_remaining", "Requests that a provider's rate limit leaves.")?;
        let tokens = counters("rag_tokens_total", "Tokens read and written by providers.", &["provider", "kind"])?;
        let cost_usd = Opts::new("rag_cost_usd_total", "US dollars spent, by what for.");
        let cost_usd = registered(registry, CounterVec::new(cost_usd, &["part"])?)?;
        let budget_used = Opts::new("rag_budget_used_ratio", "Share of a budget that is spent.");
        let budget_used = registered(registry, GaugeVec::new(budget_used, &["period"])?)?;
        let budget_alerts =
            counters("rag_budget_alerts_total", "Percents of a budget that were passed.", &["period", "percent"])?;
        Ok(Self {
            calls,
            call_seconds,
            breaker_state,
            breaker_transitions,
            rate_limit_remaining,
            tokens,
            cost_usd,
            budget_used,
            budget_alerts,
            sessions: registered(registry, IntGauge::new("rag_sessions_active", "Sessions that are remembered.")?)?,
            feedback: counters("rag_feedback_total", "Feedback on answers, by rating.", &["rating"])?,
        })
    }
}

impl Meter for Writing {
    fn called(&self, provider: &str, outcome: &str, took: Duration) {
        self.calls.with_label_values(&[provider, outcome]).inc();
        self.call_seconds.with_label_values(&[provider]).observe(took.as_secs_f64());
    }

    fn breaker(&self, provider: &str, state: BreakerState, changed: bool) {
        self.breaker_state.with_label_values(&[provider]).set(state.code());
        if changed {
            self.breaker_transitions.with_label_values(&[provider, state.as_str()]).inc();
        }
    }

    fn rate_limit_remaining(&self, provider: &str, requests: u64) {
        let requests = i64::try_from(requests).unwrap_or(i64::MAX);
        self.rate_limit_remaining.with_label_values(&[provider]).set(requests);
    }

    fn tokens(&self, provider: &str, prompt: u64, completion: u64) {
        self.tokens.with_label_values(&[provider, "prompt"]).inc_by(prompt);
        self.tokens.with_label_values(&[provider, "completion"]).inc_by(completion);
    }

    fn cost(&self, part: &'static str, cost: MicroUsd) {
        self.cost_usd.with_label_values(&[part]).inc_by(cost.usd());
    }

    fn budget_used(&self, period: &'static str, share: f64) {
        self.budget_used.with_label_values(&[period]).set(share);
    }

    fn budget_alert(&self, period: &'static str, percent: u8) {
        self.budget_alerts.with_label_values(&[period, &percent.to_string()]).inc();
    }
}
