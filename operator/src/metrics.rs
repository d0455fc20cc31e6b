//! The operator's own figures, for Prometheus. Labels come from closed sets, never from the names of objects.

mod snapshots;

use std::time::Instant;

use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::error::Verb;
pub use snapshots::SnapshotMetrics;

/// How a pass over one object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All phases ran.
    Done,
    /// A call failed with an error of this class.
    Failed(crate::error::Class),
    /// The pass was dropped before its end: the process stops, or a panic.
    Cut,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(class) => class.name(),
            Self::Cut => "cut",
        }
    }
}

/// All figures of the process.
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    reconciles: HistogramVec,
    writes: IntCounterVec,
    samples: IntCounterVec,
    /// Objects that wait for a retry after an error.
    pub backing_off: IntGauge,
    /// Passes over objects that do not have the shape of their kind.
    pub unreadable: IntCounter,
    /// 1 while this process holds the lease.
    pub leader: IntGauge,
    /// Watched namespaces in which something cannot be listed.
    pub unreadable_namespaces: IntGauge,
    /// Snapshots of clusters, and the trials of a restore.
    pub snapshots: SnapshotMetrics,
}

impl Metrics {
    /// Registers every figure.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let reconciles = HistogramVec::new(
            HistogramOpts::new("ragops_reconcile_seconds", "Duration of one pass over one object, by kind and ending")
                // From a pass that finds nothing to do (about a millisecond) to one that waits for a slow API server.
                .buckets(vec![0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0]),
            &["kind", "ending"],
        )?;
        let writes = IntCounterVec::new(
            Opts::new("ragops_writes_total", "Mutating requests to the API server, by verb and kind of object"),
            &["verb", "kind"],
        )?;
        let samples = IntCounterVec::new(
            Opts::new("ragops_server_samples_total", "Questions to query servers about their status, by outcome"),
            &["outcome"],
        )?;
        let backing_off = IntGauge::new("ragops_backing_off", "Objects that wait for a retry after an error")?;
        let unreadable = IntCounter::new(
            "ragops_unreadable_objects_total",
            "Passes over objects that do not have the shape of their kind",
        )?;
        let leader = IntGauge::new("ragops_leader", "1 while this process holds the lease, otherwise 0")?;
        let unreadable_namespaces = IntGauge::new(
            "ragops_namespaces_unreadable",
            "Watched namespaces that are gone, or in which the operator may not list what it runs",
        )?;
        let snapshots = SnapshotMetrics::new()?;
        let figures: [Box<dyn Collector>; 7] = [
            Box::new(reconciles.clone()),
            Box::new(writes.clone()),
            Box::new(samples.clone()),
            Box::new(backing_off.clone()),
            Box::new(unreadable.clone()),
            Box::new(leader.clone()),
            Box::new(unreadable_namespaces.clone()),
        ];
        let mut names = Vec::new();
        for figure in figures.into_iter().chain(snapshots.collectors()) {
            names.extend(figure.desc().into_iter().map(|described| described.fq_name.clone()));
            registry.register(figure)?;
        }
        Ok(Self {
            registry,
            names,
            reconciles,
            writes,
            samples,
            backing_off,
            unreadable,
            leader,
            unreadable_namespaces,
            snapshots,
        })
    }

    /// The names of all figures, of those too that have counted nothing yet. A test finds each in the documentation.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Starts the measurement of one pass over an object of `kind`. It counts when the guard is dropped, whatever happens.
    pub fn pass(&self, kind: &'static str) -> Pass<'_> {
        Pass { metrics: self, kind, started: Instant::now(), ending: Ending::Cut }
    }

    /// Counts a mutating request.
    pub fn wrote(&self, verb: Verb, kind: &str) {
        self.writes.with_label_values(&[verb.name(), kind]).inc();
    }

    /// Counts a question to a query server.
    pub fn sampled(&self, outcome: &'static str) {
        self.samples.with_label_values(&[outcome]).inc();
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        String::from_utf8(buffer).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// One pass that is being measured.
pub struct Pass<'a> {
    metrics: &'a Metrics,
    kind: &'static str,
    started: Instant,
    ending: Ending,
}

impl Pass<'_> {
    /// Says how the pass ended; without it, it counts as cut.
    pub fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let labels = [self.kind, self.ending.name()];
        self.metrics.reconciles.with_label_values(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_pass_counts_by_its_ending_even_when_it_is_cut() {
        let metrics = Metrics::new().unwrap();
        metrics.pass("RagCluster").end(Ending::Done);
        metrics.pass("RagCluster").end(Ending::Failed(Class::Conflict));
        drop(metrics.pass("RagCluster"));
        let text = metrics.text().unwrap();
        for ending in ["done", "conflict", "cut"] {
            let line = format!("ragops_reconcile_seconds_count{{ending=\"{ending}\",kind=\"RagCluster\"}} 1");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn writes_count_by_verb_and_kind() {
        let metrics = Metrics::new().unwrap();
        metrics.wrote(Verb::Patch, "Deployment");
        metrics.wrote(Verb::Patch, "Deployment");
        assert!(metrics.text().unwrap().contains("ragops_writes_total{kind=\"Deployment\",verb=\"patch\"} 2"));
    }
}
