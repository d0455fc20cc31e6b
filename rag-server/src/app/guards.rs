//! Breakers around the outside services that a search needs; those that write answers have theirs in the flow. They outlive an epoch.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{CircuitBreaker, Config},
    generate::Meter,
    operations::Operations,
    resilience::{BreakerPolicy, Guard, Told},
};

/// What the breakers are called where providers of answers go by their configured names, which hold no underscore.
pub(super) const EMBEDDING: &str = "embedding_provider";
pub(super) const PREVIOUS_EMBEDDING: &str = "previous_embedding_provider";
pub(super) const RERANKING: &str = "rerank_provider";
const REDIS: &str = "redis_cache";

/// When Redis is left alone. A call of it saves milliseconds, so few are lost on one that fails, and a try beside the requests costs nobody anything, so it is made soon and one that succeeds is enough.
const REDIS_POLICY: BreakerPolicy = BreakerPolicy { failures: 3, open: Duration::from_secs(5), successes: 1 };

/// When a service that fails is left alone.
pub(super) fn policy(config: &Config) -> BreakerPolicy {
    let CircuitBreaker { failures, open_seconds, successes } = config.generation.circuit_breaker;
    BreakerPolicy { failures, open: Duration::from_secs(open_seconds), successes }
}

/// A breaker for the service of this name, told to the meter and shown among the others.
pub(super) fn guard(name: &str, config: &Config, operations: &Operations, meter: Arc<dyn Meter>) -> Arc<Guard> {
    kept(Guard::new(name, policy(config), told(meter)), operations)
}

/// The breaker of Redis. It says nothing itself: it is tried every few seconds while it is away, which the adapter says once.
pub(super) fn redis(operations: &Operations, meter: Arc<dyn Meter>) -> Arc<Guard> {
    kept(Guard::new(REDIS, REDIS_POLICY, told(meter)).unlogged(), operations)
}

fn told(meter: Arc<dyn Meter>) -> Told {
    Box::new(move |name, state, changed| meter.breaker(name, state, changed))
}

fn kept(guard: Guard, operations: &Operations) -> Arc<Guard> {
    let guard = Arc::new(guard);
    operations.keep_guard(Arc::clone(&guard));
    guard
}
