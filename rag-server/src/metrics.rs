//! The server's metrics, by the names that the manuals use. Every label has a closed set of values.

mod so_far;
mod writing;

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use self::{
    so_far::{Durations, Ended},
    writing::Writing,
};

/// Bounds of the latency buckets in seconds, close together around the objective of 500 ms.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Everything that is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Requests by route template and status.
    pub requests: IntCounterVec,
    /// Connections that the server ended or refused, by port and cause: `idle` made room for a newcomer, `port_full`, `address_full`, `unread` did not read.
    pub connections_cut: IntCounterVec,
    /// How long requests took, by route template.
    pub request_seconds: HistogramVec,
    /// How long the server itself took for a question, waiting for providers excluded.
    pub server_seconds: Histogram,
    /// Questions by what became of them: `grounded`, `partial`, `refused`, `failed`, or `abandoned` by the caller.
    pub query_outcomes: IntCounterVec,
    /// nDCG@10 of the last evaluation, 0 to 1, by mode: `Hybrid`, `Dense` or `Lexical`; absent before the first evaluation.
    pub query_accuracy: GaugeVec,
    /// Documents by what became of them.
    pub ingested: IntCounterVec,
    /// What was said of documents that were ingested all the same, by kind.
    pub notices: IntCounterVec,
    /// Records that were removed because their time was over, by kind: `session`, `feedback`, `job`, `idempotency`, `deletion`, `document`.
    pub retention_removed: IntCounterVec,
    /// Ingestion jobs that are not finished.
    pub ingest_queue: IntGauge,
    /// Questions to each cache: `embedding`, `retrieval`, `response`.
    pub cache_requests: IntCounterVec,
    /// Questions to each cache that had the answer.
    pub cache_hits: IntCounterVec,
    /// Uses of each credential, by generation.
    pub credential_uses: IntCounterVec,
    /// Requests whose credential was refused, by reason: `missing`, `unknown`, `role`.
    pub credentials_refused: IntCounterVec,
    /// Providers, tokens and money.
    pub writing: Writing,
    /// 1 when the server is ready.
    pub ready: IntGauge,
    /// 1 while this server works on jobs.
    pub jobs_worker_up: IntGauge,
    /// Key files that are missing or damaged.
    pub credentials_damaged: IntGauge,
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let seconds = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let request_seconds =
            HistogramVec::new(seconds("http_request_duration_seconds", "Time of a request, by route."), &["route"])?;
        let server_seconds =
            Histogram::with_opts(seconds("rag_server_seconds", "Time of a question, waiting for providers excluded."))?;
        registry.register(Box::new(request_seconds.clone()))?;
        registry.register(Box::new(server_seconds.clone()))?;
        let query_accuracy = Opts::new("rag_query_accuracy", "nDCG@10 of the last evaluation, 0 to 1, by mode.");
        let query_accuracy = GaugeVec::new(query_accuracy, &["mode"])?;
        registry.register(Box::new(query_accuracy.clone()))?;
        say_version(&registry)?;
        Ok(Self {
            requests: counters("http_requests_total", "Requests by route and status.", &["route", "status"])?,
            connections_cut: counters(
                "rag_connections_cut_total",
                "Connections that the server ended or refused, by port and cause.",
                &["port", "cause"],
            )?,
            request_seconds,
            server_seconds,
            query_outcomes: counters("rag_query_outcome_total", "Questions by outcome.", &["outcome"])?,
            query_accuracy,
            ingested: counters("rag_ingest_documents_total", "Documents by outcome.", &["outcome"])?,
            notices: counters("rag_ingest_notices_total", "Notices of ingested documents, by kind.", &["kind"])?,
            retention_removed: counters(
                "rag_retention_removed_total",
                "Records whose time was over, by kind.",
                &["kind"],
            )?,
            ingest_queue: gauge("rag_ingest_queue", "Ingestion jobs that are not finished.")?,
            cache_requests: counters("rag_cache_requests_total", "Questions to a cache.", &["cache"])?,
            cache_hits: counters("rag_cache_hits_total", "Questions to a cache that had the answer.", &["cache"])?,
            credential_uses: counters(
                "rag_credential_uses_total",
                "Uses of a credential by generation.",
                &["credential", "generation"],
            )?,
            credentials_refused: counters(
                "rag_credentials_refused_total",
                "Requests without a sufficient credential, by reason.",
                &["reason"],
            )?,
            writing: Writing::register(&registry)?,
            ready: gauge("rag_ready", "1 when the server is ready.")?,
            jobs_worker_up: gauge("rag_jobs_worker_up", "1 while this server works on ingestion jobs.")?,
            credentials_damaged: gauge(
                "rag_credentials_damaged",
                "Key files that are missing or damaged; each costs its own key alone.",
            )?,
            registry,
        })
    }

    /// All metrics in the text format of Prometheus.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A gauge that is always 1 and names the running version.
fn say_version(registry: &Registry) -> prometheus::Result<()> {
    let build = IntGaugeVec::new(Opts::new("rag_server_build_info", "The running version."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}
