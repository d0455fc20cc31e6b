//! The server's metrics, by the names that the manuals use. Every label has a closed set of values.

mod book;
mod doors;
mod looks;
mod so_far;
mod writing;

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder,
};

use self::book::Book;
pub use self::{
    doors::Doors,
    looks::Looks,
    so_far::{CacheUse, Durations, Ended, ProviderUse},
    writing::Writing,
};

/// Bounds of the latency buckets in seconds, close together around the objective of 500 ms.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Everything that is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Book,
    /// Requests by route template and status.
    pub requests: IntCounterVec,
    /// Who was let in.
    pub doors: Doors,
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
    /// Connections to the database of the records that are open; 0 where the records are elsewhere.
    pub db_connections: IntGauge,
    /// Questions to each cache: `embedding`, `retrieval`, `response`.
    pub cache_requests: IntCounterVec,
    /// Questions to each cache that had the answer.
    pub cache_hits: IntCounterVec,
    /// Reads and writes of the cache in Redis, by command (`get`, `put`) and by what became of it: `found`, `absent`, `foreign`, `kept`, `too_large`, `left_alone`, or the class of the failure.
    pub redis_requests: IntCounterVec,
    /// Uses of each credential, by generation.
    pub credential_uses: IntCounterVec,
    /// Requests whose credential was refused, by reason: `missing`, `unknown`, `denied`, `role`, `blocked`.
    pub credentials_refused: IntCounterVec,
    /// Providers, tokens and money.
    pub writing: Writing,
    /// What whoever is on call looks at first.
    pub looks: Looks,
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
        let registry = Book::default();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let (request_seconds, server_seconds) = times(&registry)?;
        say_version(&registry)?;
        Ok(Self {
            requests: counters("http_requests_total", "Requests by route and status.", &["route", "status"])?,
            doors: Doors::register(&registry)?,
            request_seconds,
            server_seconds,
            query_outcomes: counters("rag_query_outcome_total", "Questions by outcome.", &["outcome"])?,
            query_accuracy: accuracy(&registry)?,
            ingested: counters("rag_ingest_documents_total", "Documents by outcome.", &["outcome"])?,
            notices: counters("rag_ingest_notices_total", "Notices of ingested documents, by kind.", &["kind"])?,
            retention_removed: counters(
                "rag_retention_removed_total",
                "Records whose time was over, by kind.",
                &["kind"],
            )?,
            ingest_queue: gauge("rag_ingest_queue", "Ingestion jobs that are not finished.")?,
            db_connections: gauge("rag_db_connections", "Open connections to the database of the records.")?,
            cache_requests: counters("rag_cache_requests_total", "Questions to a cache.", &["cache"])?,
            cache_hits: counters("rag_cache_hits_total", "Questions to a cache that had the answer.", &["cache"])?,
            redis_requests: counters(
                "rag_redis_requests_total",
                "Calls of Redis by outcome.",
                &["command", "outcome"],
            )?,
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
            looks: Looks::register(&registry)?,
            ready: gauge("rag_ready", "1 when the server is ready.")?,
            jobs_worker_up: gauge("rag_jobs_worker_up", "1 while this server works on ingestion jobs.")?,
            credentials_damaged: gauge(
                "rag_credentials_damaged",
                "Key files that are missing or damaged; each costs its own key alone.",
            )?,
            registry,
        })
    }

    /// The names of all metrics, of those too that have counted nothing yet. A test finds each in the documentation.
    pub fn names(&self) -> Vec<String> {
        self.labels().into_iter().map(|(name, _)| name).collect()
    }

    /// The same, each with its labels.
    pub fn labels(&self) -> Vec<(String, Vec<String>)> {
        self.registry.labels()
    }

    /// All metrics in the text format of Prometheus.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// How well the search found what it should, by mode.
fn accuracy(registry: &Book) -> prometheus::Result<GaugeVec> {
    let accuracy = Opts::new("rag_query_accuracy", "nDCG@10 of the last evaluation, 0 to 1, by mode.");
    let accuracy = GaugeVec::new(accuracy, &["mode"])?;
    registry.register(Box::new(accuracy.clone()))?;
    Ok(accuracy)
}

/// How long requests take, by route, and questions without their providers.
fn times(registry: &Book) -> prometheus::Result<(HistogramVec, Histogram)> {
    let seconds = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    let requests =
        HistogramVec::new(seconds("http_request_duration_seconds", "Time of a request, by route."), &["route"])?;
    let questions =
        Histogram::with_opts(seconds("rag_server_seconds", "Time of a question, waiting for providers excluded."))?;
    registry.register(Box::new(requests.clone()))?;
    registry.register(Box::new(questions.clone()))?;
    Ok((requests, questions))
}

/// A gauge that is always 1 and names the running version.
fn say_version(registry: &Book) -> prometheus::Result<()> {
    let build = IntGaugeVec::new(Opts::new("rag_server_build_info", "The running version."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}
