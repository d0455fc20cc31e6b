//! Breakers around the outside services that a search needs; those that write answers have theirs in the flow. They outlive an epoch.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{CircuitBreaker, Config},
    generate::Meter,
    operations::Operations,
    resilience::{BreakerPolicy, Guard},
};

/// What the breakers are called where providers of answers go by their configured names, which hold no underscore.
pub(super) const EMBEDDING: &str = "embedding_provider";
pub(super) const PREVIOUS_EMBEDDING: &str = "previous_embedding_provider";
pub(super) const RERANKING: &str = "rerank_provider";

/// When a service that fails is left alone.
pub(super) fn policy(config: &Config) -> BreakerPolicy {
    let CircuitBreaker { failures, open_seconds, successes } = config.generation.circuit_breaker;
    BreakerPolicy { failures, open: Duration::from_secs(open_seconds), successes }
}

/// A breaker for the service of this name, told to the meter and shown among the others.
pub(super) fn guard(name: &str, config: &Config, operations: &Operations, meter: Arc<dyn Meter>) -> Arc<Guard> {
    let told = move |name: &str, state, changed| meter.breaker(name, state, changed);
    let guard = Arc::new(Guard::new(name, policy(config), Box::new(told)));
    operations.keep_guard(Arc::clone(&guard));
    guard
}
