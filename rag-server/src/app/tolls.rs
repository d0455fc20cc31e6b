//! What calls of outside services cost and may take: the ledger of all parts of the work, and the quotas that all replicas share.

use std::sync::Arc;

use super::guards;
use crate::{
    config::{Budget, OnLimit, OpenAiEmbedding, RerankProvider},
    costs::Costs,
    generate::{BudgetLimits, Ledger, Meter, ServicePrice, ServiceToll},
    operations::Operations,
    ports::{NoToll, Records, SystemClock, Toll},
    quota::{Limits, Quota},
};

/// What is paid from and counted in these records.
pub(super) struct Tolls {
    pub(super) ledger: Arc<Ledger>,
    pub(super) costs: Arc<Costs>,
    records: Arc<dyn Records>,
}

impl Tolls {
    /// Over these records, with the budget of the live settings.
    pub(super) fn new(records: &Arc<dyn Records>, operations: &Operations, meter: Arc<dyn Meter>) -> Self {
        let live = operations.live().follow();
        let limits = Arc::new(move || limits(&live.borrow().live.budget));
        let costs = Arc::new(Costs::new(Arc::clone(records), Arc::new(SystemClock)));
        let ledger = Ledger::new(Arc::clone(records), Arc::new(SystemClock), limits, meter);
        let ledger = Arc::new(ledger.telling(Arc::clone(&costs)));
        Self { ledger, costs, records: Arc::clone(records) }
    }

    /// The quota of the provider of this name.
    pub(super) fn quota(&self, name: &str, requests: Option<u64>, tokens: Option<u64>) -> Quota {
        Quota::new(name, Limits { requests, tokens }, Arc::clone(&self.records), Arc::new(SystemClock))
    }

    /// What calls of an embedding provider pass, whose breaker has this name.
    pub(super) fn embedding(&self, name: &str, provider: &OpenAiEmbedding) -> Arc<dyn Toll> {
        if !is_billed(provider) {
            return Arc::new(NoToll);
        }
        let million_tokens = provider.pricing.unwrap_or_default().input_usd_per_million_tokens;
        let price = ServicePrice { million_tokens, ..ServicePrice::default() };
        let quota = self.quota(name, provider.requests_per_minute, provider.tokens_per_minute);
        Arc::new(ServiceToll::new("embed", price, Arc::clone(&self.ledger), quota))
    }

    /// What calls of the reranker pass.
    pub(super) fn reranking(&self, provider: &RerankProvider) -> Arc<dyn Toll> {
        let RerankProvider { pricing, requests_per_minute, tokens_per_minute, .. } = provider;
        if pricing.is_none() && requests_per_minute.is_none() && tokens_per_minute.is_none() {
            return Arc::new(NoToll);
        }
        let pricing = pricing.unwrap_or_default();
        let price = ServicePrice {
            million_tokens: pricing.usd_per_million_tokens,
            thousand_requests: pricing.usd_per_thousand_requests,
        };
        let quota = self.quota(guards::RERANKING, *requests_per_minute, *tokens_per_minute);
        Arc::new(ServiceToll::new("rerank", price, Arc::clone(&self.ledger), quota))
    }
}

/// Whether calls of an embedding provider cost something or are limited, so that none may be made before the records are there.
pub(super) fn is_billed(provider: &OpenAiEmbedding) -> bool {
    let OpenAiEmbedding { pricing, requests_per_minute, tokens_per_minute, .. } = provider;
    pricing.is_some() || requests_per_minute.is_some() || tokens_per_minute.is_some()
}

fn limits(budget: &Budget) -> BudgetLimits {
    BudgetLimits {
        monthly: budget.monthly_usd,
        daily: budget.daily_usd,
        alert_percents: budget.alert_percents.clone(),
        refuse: budget.on_limit == OnLimit::Refuse,
        cheaper_percent: budget.prefer_cheaper_percent,
    }
}
