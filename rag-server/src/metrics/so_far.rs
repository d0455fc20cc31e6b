//! What was counted so far, read back from the very counters that the scraper sees: there is no second set of them.

use prometheus::{
    core::{Collector, Metric as _},
    proto,
};

use super::Metrics;
use crate::model::MicroUsd;

/// Requests of one route that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The route's template.
    pub route: String,
    /// The HTTP status, or 499 where the client went away.
    pub status: u16,
    /// How many.
    pub requests: u64,
}

/// How long something took, over all times that it was measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Durations {
    /// How often it was measured.
    pub count: u64,
    /// Seconds of all together.
    pub sum_seconds: f64,
    /// How often it took at most so many seconds; each bound counts what those below it do.
    pub up_to_seconds: Vec<(f64, u64)>,
}

/// What a provider of answers was called for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderUse {
    /// Its name.
    pub provider: String,
    /// Calls by what became of them, in the order of the names.
    pub calls: Vec<(String, u64)>,
    /// Tokens that it read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
}

/// Questions to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUse {
    /// Questions to it.
    pub requests: u64,
    /// Those of them that it had the answer to.
    pub hits: u64,
}

impl Metrics {
    /// What each provider that was called was called for, in the order of the names.
    pub fn provider_uses(&self) -> Vec<ProviderUse> {
        let mut calls: Vec<_> = each(&self.writing.calls)
            .iter()
            .map(|metric| {
                let (provider, outcome) = (label(metric, "provider").to_owned(), label(metric, "outcome").to_owned());
                (provider, outcome, metric.get_counter().get_value() as u64)
            })
            .collect();
        calls.sort();
        let mut uses: Vec<ProviderUse> = Vec::new();
        for (provider, outcome, count) in calls {
            if uses.last().is_none_or(|last| last.provider != provider) {
                let tokens = |kind: &str| self.writing.tokens.with_label_values(&[provider.as_str(), kind]).get();
                let (prompt_tokens, completion_tokens) = (tokens("prompt"), tokens("completion"));
                uses.push(ProviderUse { provider, calls: Vec::new(), prompt_tokens, completion_tokens });
            }
            if let Some(last) = uses.last_mut() {
                last.calls.push((outcome, count));
            }
        }
        uses
    }

    /// What the cache of this kind was asked.
    pub fn cache_use(&self, kind: &str) -> CacheUse {
        let (requests, hits) = (&self.cache_requests, &self.cache_hits);
        CacheUse { requests: requests.with_label_values(&[kind]).get(), hits: hits.with_label_values(&[kind]).get() }
    }

    /// Requests by route and status.
    pub fn ended(&self) -> Vec<Ended> {
        let ended = |metric: &proto::Metric| Ended {
            route: label(metric, "route").to_owned(),
            status: label(metric, "status").parse().unwrap_or_default(),
            requests: metric.get_counter().get_value() as u64,
        };
        each(&self.requests).iter().map(ended).collect()
    }

    /// Questions with this outcome.
    pub fn questions(&self, outcome: &str) -> u64 {
        self.query_outcomes.with_label_values(&[outcome]).get()
    }

    /// How long the server itself took for questions.
    pub fn server_durations(&self) -> Durations {
        let metric = self.server_seconds.metric();
        let seconds = metric.get_histogram();
        let up_to = |bucket: &proto::Bucket| (bucket.upper_bound(), bucket.cumulative_count());
        Durations {
            count: seconds.get_sample_count(),
            sum_seconds: seconds.get_sample_sum(),
            up_to_seconds: seconds.get_bucket().iter().map(up_to).collect(),
        }
    }

    /// What was spent, by what for, in the order of the names.
    pub fn costs(&self) -> Vec<(String, MicroUsd)> {
        let cost = |metric: &proto::Metric| {
            (label(metric, "part").to_owned(), MicroUsd::from_usd(metric.get_counter().get_value()))
        };
        let mut costs: Vec<_> = each(&self.writing.cost_usd).iter().map(cost).collect();
        costs.sort();
        costs
    }
}

fn each(collector: &impl Collector) -> Vec<proto::Metric> {
    collector.collect().into_iter().flat_map(|mut family| family.take_metric()).collect()
}

fn label<'m>(metric: &'m proto::Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Meter as _;

    #[test]
    fn calls_of_a_provider_are_added_up_by_what_became_of_them() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(metrics.provider_uses(), []);
        let took = std::time::Duration::from_millis(1);
        for (provider, outcome) in [("b", "answered"), ("a", "timeout"), ("b", "answered"), ("b", "refused")] {
            metrics.writing.called(provider, outcome, took);
        }
        metrics.writing.tokens("b", 7, 3);
        let calls = |calls: &[(&str, u64)]| calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let of = |provider: &str, counted: &[(&str, u64)], prompt_tokens, completion_tokens| ProviderUse {
            provider: provider.to_owned(),
            calls: calls(counted),
            prompt_tokens,
            completion_tokens,
        };
        assert_eq!(
            metrics.provider_uses(),
            [of("a", &[("timeout", 1)], 0, 0), of("b", &[("answered", 2), ("refused", 1)], 7, 3)]
        );
        metrics.cache_requests.with_label_values(&["response"]).inc_by(2);
        metrics.cache_hits.with_label_values(&["response"]).inc();
        assert_eq!(metrics.cache_use("response"), CacheUse { requests: 2, hits: 1 });
    }

    #[test]
    fn what_was_counted_reads_back_as_it_was_counted() {
        let metrics = Metrics::new().unwrap();
        assert_eq!((metrics.ended(), metrics.costs(), metrics.questions("refused")), (vec![], vec![], 0));
        metrics.requests.with_label_values(&["/query", "503"]).inc_by(3);
        metrics.query_outcomes.with_label_values(&["refused"]).inc();
        metrics.writing.cost("generate", MicroUsd(1_500));
        metrics.writing.cost("generate", MicroUsd(1));
        for seconds in [0.002, 0.4, 100.0] {
            metrics.server_seconds.observe(seconds);
        }
        assert_eq!(metrics.ended(), [Ended { route: "/query".to_owned(), status: 503, requests: 3 }]);
        assert_eq!(metrics.costs(), [("generate".to_owned(), MicroUsd(1_501))]);
        assert_eq!(metrics.questions("refused"), 1);
        for _ in 0..2 {
            // Reading takes nothing away.
            let Durations { count, sum_seconds, up_to_seconds } = metrics.server_durations();
            assert!(count == 3 && (sum_seconds - 100.402).abs() < 1e-9, "{count} {sum_seconds}");
            let at = |bound: f64| up_to_seconds.iter().find(|(seconds, _)| *seconds == bound).unwrap().1;
            assert_eq!([0.001, 0.0025, 0.35, 0.5, 30.0].map(at), [0, 1, 1, 2, 2]);
        }
    }
}
