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

impl Metrics {
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
