//! `/health`: whether the process lives, whether it is ready, and how its parts are: in a word for everybody, with more for those with a key.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{path::ParameterIn, schema::Type},
};

use super::super::{
    endpoint::Endpoint,
    error::Problem,
    extract::{Params, Visitor},
    state::Api,
};
use crate::{
    operations::Work,
    ports::{AddressClass, Calls, Health as Seen, Sight},
};

/// What a server without a worker cannot do.
const WORKER_ENDED: &str =
    "jobs are accepted and this server does not work on them: its worker broke down, and begins again in a while";

/// How the server is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Health {
    /// `serving`, `starting` or `stopping`.
    status: &'static str,
    /// Version of rag-server.
    version: &'static str,
    /// What is waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting_for: Vec<String>,
    /// What this server cannot do just now although it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    impaired: Option<String>,
    /// How each part is; only when details are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartHealth>,
}

/// How one part is. Where exactly it is, and what it said, is in the log alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub(super) struct PartHealth {
    /// The part.
    name: String,
    /// `ok`, the class of what is wrong, or `not_called` before anything was asked of it.
    status: String,
    /// Since when that is so; for those with a key, as everything below.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// How far away it is, by its number or its name: `loopback`, `private` or `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressClass>,
    /// How long the last call took that came to an end, in thousandths of a second, to a tenth of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_millis: Option<f64>,
    /// The last failure, also when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
}

/// A failure of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct LastError {
    /// Its class, such as `timeout`.
    class: String,
    /// When it was.
    at: String,
}

#[derive(Debug, Deserialize)]
struct HealthParams {
    detailed: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::probe("/health", get(health), "How the server is")
            .parameter(ParameterIn::Query, "detailed", Type::Boolean, "also how each part was when it was last called")
            .answers::<Health>(200, "how the server is")
            .problem(401, "a key was sent that is not accepted"),
        Endpoint::probe("/health/detailed", get(parts), "How the server and its parts are; a key shows more of them")
            .answers::<Health>(200, "how the server is, and how each part was when it was last called")
            .problem(401, "a key was sent that is not accepted"),
        Endpoint::probe("/health/live", get(live), "Whether the process lives").answers::<Health>(200, "it lives"),
        Endpoint::probe("/health/ready", get(ready), "Whether requests are taken")
            .answers::<Health>(200, "they are")
            .problem(503, "they are not; `waiting_for` says what is waited for"),
    ]
}

fn summary(api: &Api) -> Health {
    let status = match (api.readiness.is_stopping(), api.readiness.is_ready()) {
        (true, _) => "stopping",
        (false, true) => "serving",
        (false, false) => "starting",
    };
    // Questions are answered all the same, so the server stays ready.
    let impaired = api.operations.jobs().and_then(|jobs| match jobs.work() {
        Work::Ended => Some(WORKER_ENDED.to_owned()),
        Work::Working | Work::Paused => jobs.waits_for().map(|what| format!("jobs are accepted and wait: {what}")),
    });
    Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        waiting_for: api.readiness.waiting_for(),
        impaired,
        parts: Vec::new(),
    }
}

async fn live(State(api): State<Api>) -> Json<Health> {
    Json(summary(&api))
}

async fn ready(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    if api.readiness.is_ready() { Ok(Json(summary(&api))) } else { Err(api.not_ready()) }
}

async fn health(State(api): State<Api>, mut parts: Parts) -> Response {
    match detailed(&api, &mut parts).await {
        Ok(health) => Json(health).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn detailed(api: &Api, parts: &mut Parts) -> Result<Health, Problem> {
    let Params(HealthParams { detailed }) = Params::from_request_parts(parts, api).await?;
    if detailed.is_none_or(|wanted| wanted == "false") {
        return Ok(summary(api));
    }
    let visitor = Visitor::from_request_parts(parts, api).await?;
    Ok(with_parts(api, &visitor))
}

async fn parts(visitor: Visitor, State(api): State<Api>) -> Json<Health> {
    Json(with_parts(&api, &visitor))
}

fn with_parts(api: &Api, Visitor(client): &Visitor) -> Health {
    let mut parts: Vec<_> = api.operations.sights().iter().map(|sight| part(sight)).collect();
    let status = if api.keys.refused().is_empty() { "ok" } else { "damaged" };
    parts.push(PartHealth { name: "credentials".to_owned(), status: status.to_owned(), ..PartHealth::default() });
    if client.is_none() {
        parts = parts.into_iter().map(PartHealth::in_a_word).collect();
    }
    Health { parts, ..summary(api) }
}

impl PartHealth {
    /// What strangers are told.
    fn in_a_word(self) -> Self {
        Self { name: self.name, status: self.status, ..Self::default() }
    }
}

fn part(sight: &Sight) -> PartHealth {
    let (status, since) = match sight.last_seen() {
        None => ("not_called".to_owned(), None),
        Some(Seen { since, cause, .. }) => (cause.unwrap_or_else(|| "ok".to_owned()), Some(since.to_string())),
    };
    let Calls { address, took, failed } = sight.calls();
    PartHealth {
        name: sight.name().to_owned(),
        status,
        since,
        address,
        latency_millis: took.map(|took| (took.as_secs_f64() * 10_000.0).round() / 10.0),
        last_error: failed.map(|(class, at)| LastError { class, at: at.to_string() }),
    }
}
