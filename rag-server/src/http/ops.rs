//! The management port: metrics for the scraper, and what the operator asks and decides. Its types are the contract with the operator.
//!
//! Guarantees: an answer costs no call of a store, and every figure is read where it is kept anyway: nothing is counted twice. Fields are only ever added, so that a reader of another version finds what it knows.

mod certificates;
mod class;
mod counters;
mod deny;
mod snapshot;

use axum::{Json, extract::State, http::header, response::IntoResponse, routing::get};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

pub use self::{
    certificates::CertificateExpiry,
    counters::{Bucket, ClassRequests, Counters, PartCost, Questions, ServerSeconds},
    deny::{DENY_PATH, DenyAnswer, DenyRequest},
};
use super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::OperatorKey,
    state::Api,
};
pub use crate::operations::{Database, Moving, RECORDS, VECTOR_STORE};
use crate::{
    operations::{self, Known, Operations, Resident, Work},
    ports::{Health, Held, Index},
    resilience::{BreakerState, Class},
    security::{Credential, Uses},
};

/// Where a server says what it runs with.
pub const STATUS_PATH: &str = "/ops/status";

/// Where the metrics are.
pub const METRICS_PATH: &str = "/metrics";

/// The version of [`Status`] that this server answers with.
pub const STATUS_VERSION: u32 = 2;

/// The first version did not say which one it was.
fn first_version() -> u32 {
    1
}

/// What a server runs with, and how it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of this answer, which grows with its fields. 1, or none at all, before there were `counters`.
    #[serde(default = "first_version")]
    pub status_version: u32,
    /// Version of rag-server.
    pub version: String,
    /// SHA-256 in hex of the exact bytes of the configuration file that was accepted.
    pub config_sha256: String,
    /// The same of the live settings; null before any were accepted.
    pub live_sha256: Option<String>,
    /// Whether requests are taken.
    pub ready: bool,
    /// What is waited for.
    pub waiting_for: Vec<String>,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Documents that answers can come from, as of the last time that they were counted; that is done every few seconds.
    pub documents: u64,
    /// The credentials that are accepted.
    pub credentials: Vec<AcceptedCredential>,
    /// The change to another embedding model, while this server works on it; null otherwise.
    #[serde(default)]
    pub moving: Option<Moving>,
    /// Names this run of the process; counters begin anew with another one.
    #[serde(default)]
    pub boot_id: String,
    /// When it began.
    #[serde(default)]
    pub started_at: String,
    /// What the server needs of others, as its last call of each saw it.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Where the circuit breaker of each provider stands.
    #[serde(default)]
    pub breakers: Vec<Breaker>,
    /// Requests that are handled now.
    #[serde(default)]
    pub in_flight: u64,
    /// Ingestion jobs that were not finished when they were last counted.
    #[serde(default)]
    pub queue: u64,
    /// What the worker of jobs does: `working`, `paused` or `ended`; null before it began.
    #[serde(default)]
    pub jobs: Option<String>,
    /// The epoch of the corpus that is searched; null before one is.
    #[serde(default)]
    pub epoch: Option<u32>,
    /// How often the corpus changed, as of the last count; with the embedded store since the start of the process. Null before that is known.
    #[serde(default)]
    pub corpus_version: Option<u64>,
    /// What the cache holds in the memory of this process; null where there is none. What is in Redis is shared, and Redis counts it.
    #[serde(default)]
    pub cache: Option<CacheHeld>,
    /// When `documents`, `queue` and `corpus_version` were last counted, all of them; null before that was done once.
    #[serde(default)]
    pub counted_at: Option<String>,
    /// Chunks of the epoch that is searched, those of documents that are being written included, as of the last time that they were counted; null before that.
    #[serde(default)]
    pub chunks: Option<u64>,
    /// When `chunks` were counted.
    #[serde(default)]
    pub chunks_counted_at: Option<String>,
    /// What was counted since the process began; null from a server that does not tell.
    #[serde(default)]
    pub counters: Option<Counters>,
    /// The memory of the process; null where the system does not tell.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// The connections to the database of the records; null where the records are elsewhere.
    #[serde(default)]
    pub database: Option<Database>,
    /// The slow questions that ended last, the newest first, at most 20.
    #[serde(default)]
    pub slow_queries: Vec<SlowQuery>,
    /// When the files of certificates expire that connections are checked against, the first one first. Empty where there are none.
    #[serde(default)]
    pub certificates: Vec<CertificateExpiry>,
    /// What this server knows of what holds for all servers; null from a server that does not tell.
    #[serde(default)]
    pub fleet: Option<Fleet>,
}

/// A question that took longer than `server.slow_query_seconds`. Its text is nowhere.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct SlowQuery {
    /// When it ended.
    pub at: String,
    /// Finds the request in log and traces.
    pub request_id: String,
    /// `grounded`, `partial`, `refused`, `failed` or `abandoned`.
    pub outcome: String,
    /// How long it took in all.
    pub seconds: f64,
    /// Where that time went: `embed`, `search`, `rerank`, `providers`, and `rest`, which is everything else. Empty where there is no answer to tell it.
    #[serde(default)]
    pub stages: Vec<StageSeconds>,
}

/// A stage of a question.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct StageSeconds {
    /// The stage.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// What administrators and the operator decided for all servers, as this one knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// Grows with each decision: a server that has the revision of a decision, or a later one, has it in force.
    pub revision: u64,
    /// When that was last found in the record that all servers follow; null before it was read.
    pub seen_at: Option<String>,
    /// The class of what keeps the record from being read; what is known holds on meanwhile.
    pub problem: Option<String>,
    /// Whether administrators refuse writes.
    pub read_only: bool,
    /// Clients that are blocked.
    pub blocks: u64,
    /// Fingerprints of credentials that open nothing, whatever the files hold.
    pub denied: Vec<String>,
}

/// The memory of the process that is really there, mapped files included. The processes that read documents for it are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// Now.
    pub resident_bytes: u64,
    /// The most at any time since the process began.
    pub peak_resident_bytes: u64,
}

/// Something that the server needs of others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Its name, such as `vector store` or `provider NAME`.
    pub name: String,
    /// Whether the last call of it was answered; null before there was one.
    pub reachable: Option<bool>,
    /// Since when that is so.
    pub since: Option<String>,
    /// The class of what is wrong, such as `unreachable`, `auth_failed` or `timeout`.
    pub cause: Option<String>,
}

/// A provider's circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Breaker {
    /// The provider's name.
    pub provider: String,
    /// `closed`, `open` or `half_open`; one that is open stays so until somebody asks after its time is up.
    pub state: String,
}

/// What a cache holds in the memory of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CacheHeld {
    /// Entries.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// One accepted value of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct AcceptedCredential {
    /// `api-key.NAME` or `operator`.
    pub name: String,
    /// `current` or `previous`.
    pub generation: String,
    /// The first 12 hex digits of the SHA-256 of the key.
    pub fingerprint: String,
    /// Requests that this value was accepted for since the process began, in whichever generation it was.
    #[serde(default)]
    pub uses: u64,
    /// When it was accepted last; null if it never was.
    #[serde(default)]
    pub last_used_at: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::probe(METRICS_PATH, get(metrics), "Metrics for Prometheus").answers_plainly(
            200,
            Some("text/plain"),
            "the text format",
        ),
        Endpoint::new(HttpMethod::Get, STATUS_PATH, get(status), "What the server runs with, and how it is")
            .keyed()
            .answers::<Status>(200, "the status"),
        deny::endpoint(),
    ];
    endpoints.extend(snapshot::endpoints());
    endpoints
}

async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    let counts = api.operations.counts();
    let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
    api.metrics.ready.set(api.readiness.is_ready().into());
    let works = api.operations.jobs().is_some_and(|jobs| jobs.work() == Work::Working);
    api.metrics.jobs_worker_up.set(works.into());
    api.metrics.credentials_damaged.set(gauge(api.keys.refused().len() as u64));
    api.metrics.db_connections.set(gauge(api.operations.database().map_or(0, |database| database.open)));
    api.metrics.ingest_queue.set(gauge(counts.waiting));
    api.metrics.writing.sessions.set(gauge(counts.sessions));
    look(&api);
    for class in Class::ALL {
        let label = [class.as_str()];
        api.metrics.doors.places.with_label_values(&label).set(gauge(api.admission.places(class) as u64));
        api.metrics.doors.taken.with_label_values(&label).set(gauge(api.admission.taken(class) as u64));
    }
    let text = api.metrics.text().map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Takes down what is kept elsewhere anyway.
fn look(api: &Api) {
    let (looks, counts) = (&api.metrics.looks, api.operations.counts());
    let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
    for (name, seen) in api.operations.parts() {
        if let Some(Health { reachable, .. }) = seen {
            looks.part_up.with_label_values(&[&name]).set(reachable.into());
        }
    }
    looks.in_flight.set(gauge(api.admission.in_flight() as u64));
    looks.documents.set(gauge(counts.documents));
    if let Some((chunks, _)) = counts.chunks {
        looks.chunks.set(gauge(chunks));
    }
    if let Some(Index { segments, indexed_vectors, is_optimized }) = counts.index {
        looks.index_segments.set(gauge(segments));
        looks.indexed_vectors.set(gauge(indexed_vectors));
        looks.index_optimized.reset();
        if let Some(is_optimized) = is_optimized {
            looks.index_optimized.with_label_values::<&str>(&[]).set(is_optimized.into());
        }
    }
    if let Some(Resident { bytes, .. }) = Resident::of_this_process() {
        looks.resident_bytes.set(gauge(bytes));
    }
    certificates::take_down(&api.operations, looks);
    looks.started.set(api.operations.started().as_duration().as_secs_f64());
}

async fn status(State(api): State<Api>, _key: OperatorKey) -> Json<Status> {
    Json(status_of(&api).await)
}

/// What this server runs with, and how it is: one answer behind two doors.
pub(super) async fn status_of(api: &Api) -> Status {
    let operations = &api.operations;
    let (live, counts) = (operations.live().state(), operations.counts());
    Status {
        status_version: STATUS_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_sha256: api.config_sha256.clone(),
        live_sha256: live.sha256.clone(),
        ready: api.readiness.is_ready(),
        waiting_for: api.readiness.waiting_for(),
        read_only: live.live.read_only,
        documents: counts.documents,
        credentials: credentials(api),
        moving: operations.moving(),
        boot_id: operations.boot().to_string(),
        started_at: operations.started().to_string(),
        parts: operations.parts().into_iter().map(part).collect(),
        breakers: operations.breakers().into_iter().map(breaker).collect(),
        in_flight: api.admission.in_flight() as u64,
        queue: counts.waiting,
        jobs: operations.jobs().map(|jobs| jobs.work().as_str().to_owned()),
        epoch: operations.epoch().map(|epoch| epoch.0),
        corpus_version: counts.corpus_version,
        cache: held(operations).await,
        counted_at: counts.counted.map(|at| at.to_string()),
        chunks: counts.chunks.map(|(chunks, _)| chunks),
        chunks_counted_at: counts.chunks.map(|(_, at)| at.to_string()),
        counters: Some(Counters::of(&api.metrics)),
        memory: Resident::of_this_process().map(memory),
        database: operations.database(),
        slow_queries: operations.slow_queries().into_iter().map(slow_query).collect(),
        certificates: certificates::certificates(operations),
        fleet: Some(fleet(operations)),
    }
}

fn fleet(operations: &Operations) -> Fleet {
    let Known { state, seen } = operations.fleet();
    Fleet {
        revision: state.revision,
        seen_at: seen.map(|at| at.to_string()),
        problem: operations.fleet_problem().map(str::to_owned),
        read_only: state.read_only.on,
        blocks: state.standing_blocks(Timestamp::now()).count() as u64,
        denied: state.denied.keys().cloned().collect(),
    }
}

/// What the cache holds; nothing where there is none.
pub(super) async fn held(operations: &Operations) -> Option<CacheHeld> {
    let Held { entries, bytes } = operations.cache()?.held().await;
    Some(CacheHeld { entries, bytes })
}

/// The credentials that are accepted.
pub(super) fn credentials(api: &Api) -> Vec<AcceptedCredential> {
    let accepted = |credential: &Credential| {
        let Uses { count, last } = api.keys.uses(credential);
        AcceptedCredential {
            name: credential.name.clone(),
            generation: credential.generation.as_str().to_owned(),
            fingerprint: credential.fingerprint(),
            uses: count,
            last_used_at: last.map(|at| at.to_string()),
        }
    };
    let known = api.keys.accepted();
    known.iter().filter(|credential| !api.keys.is_denied(&credential.fingerprint())).map(accepted).collect()
}

fn part((name, seen): (String, Option<Health>)) -> Part {
    match seen {
        Some(Health { reachable, since, cause }) => {
            Part { name, reachable: Some(reachable), since: Some(since.to_string()), cause }
        }
        None => Part { name, ..Part::default() },
    }
}

fn breaker((provider, state): (String, BreakerState)) -> Breaker {
    Breaker { provider, state: state.as_str().to_owned() }
}

fn slow_query(slow: operations::SlowQuery) -> SlowQuery {
    let stage = |operations::StageTime { name, took }| StageSeconds { name, seconds: took.as_secs_f64() };
    SlowQuery {
        at: slow.at.to_string(),
        request_id: slow.request_id,
        outcome: slow.outcome.to_owned(),
        seconds: slow.took.as_secs_f64(),
        stages: slow.stages.into_iter().map(stage).collect(),
    }
}

fn memory(Resident { bytes, peak_bytes }: Resident) -> Memory {
    Memory { resident_bytes: bytes, peak_resident_bytes: peak_bytes }
}
