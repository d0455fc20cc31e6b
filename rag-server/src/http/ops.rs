//! The management port: metrics for the scraper, and what the operator asks. Its types are the contract with the operator.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Json, extract::State, http::header, response::IntoResponse, routing::get};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::OperatorKey,
    state::Api,
};
use crate::{ports::Kind, resilience::Deadline};

/// Where a server says what it runs with.
pub const STATUS_PATH: &str = "/ops/status";

/// Where the metrics are.
pub const METRICS_PATH: &str = "/metrics";

/// How long the records may take to count documents; the operator waits a second or two in all.
const MAX_COUNT: Duration = Duration::from_millis(700);

/// What a server runs with, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Status {
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
    /// Documents that answers can come from, as of the last time that the records answered.
    pub documents: u64,
    /// The credentials that are accepted.
    pub credentials: Vec<AcceptedCredential>,
    /// The change to another embedding model, while this server works on it; null otherwise.
    #[serde(default)]
    pub moving: Option<Moving>,
}

/// How far the vectors of another embedding model are. Those of the previous one are searched meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Moving {
    /// The model that they are made with.
    pub model: String,
    /// Documents that were brought over.
    pub documents: u64,
    /// Documents that there are.
    pub of: u64,
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
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::probe(METRICS_PATH, get(metrics), "Metrics for Prometheus").answers_plainly(
            200,
            Some("text/plain"),
            "the text format",
        ),
        Endpoint::new(HttpMethod::Get, STATUS_PATH, get(status), "What the server runs with, and how it is")
            .keyed()
            .answers::<Status>(200, "the status"),
    ]
}

async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    api.metrics.ready.set(api.readiness.is_ready().into());
    api.metrics.credentials_damaged.set(api.keys.damage().is_some().into());
    if let Some(waiting) = count(&api, Kind::Pending).await {
        api.metrics.ingest_queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
    if let Some(sessions) = count(&api, Kind::Session).await {
        api.metrics.writing.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }
    let text = api.metrics.text().map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

async fn status(State(api): State<Api>, _key: OperatorKey) -> Json<Status> {
    let live = api.live.state();
    let accepted = api.keys.accepted();
    let credential = |credential: &crate::security::Credential| AcceptedCredential {
        name: credential.name.clone(),
        generation: credential.generation.as_str().to_owned(),
        fingerprint: credential.fingerprint(),
    };
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_sha256: api.config_sha256.clone(),
        live_sha256: live.sha256.clone(),
        ready: api.readiness.is_ready(),
        waiting_for: api.readiness.waiting_for(),
        read_only: live.live.read_only,
        documents: documents(&api).await,
        credentials: accepted.iter().map(credential).collect(),
        moving: api.moving(),
    })
}

/// The number of documents; the last known one when the records do not answer.
async fn documents(api: &Api) -> u64 {
    if let Some(count) = count(api, Kind::Document).await {
        api.documents.store(count, Ordering::Relaxed);
    }
    api.documents.load(Ordering::Relaxed)
}

/// How many records of a kind there are, if that is known soon.
async fn count(api: &Api, kind: Kind) -> Option<u64> {
    let records = Arc::clone(&api.flows().ok()?.records);
    Deadline::after(MAX_COUNT).run(records.count(kind)).await.ok()?.ok()
}
