//! `/health`: whether the process lives, whether it is ready, and, for those with a key, how its parts are.

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
    extract::{Client, Params},
    state::Api,
};
use crate::{operations::Work, ports::Health as Seen};

/// What a server without a worker cannot do.
const WORKER_ENDED: &str =
    "jobs are accepted and this server does not work on them: its worker broke down, and begins again in a while";

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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

/// How one part is. Where it is, and what exactly it said, is in the log alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct PartHealth {
    /// The part.
    name: String,
    /// `ok`, the class of what is wrong, or `not_called` before anything was asked of it.
    status: String,
    /// Since when that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Debug, Deserialize)]
struct HealthParams {
    detailed: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::probe("/health", get(health), "How the server is; details need a key")
            .parameter(ParameterIn::Query, "detailed", Type::Boolean, "also how each part was when it was last called")
            .answers::<Health>(200, "how the server is")
            .problem(401, "details are asked for without a key, or with an unknown one"),
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
    let mut health = summary(api);
    if detailed.is_none_or(|wanted| wanted == "false") {
        return Ok(health);
    }
    let _client = Client::from_request_parts(parts, api).await?;
    health.parts = api.operations.parts().into_iter().map(part).collect();
    let status = if api.keys.refused().is_empty() { "ok" } else { "damaged" };
    health.parts.push(PartHealth { name: "credentials".to_owned(), status: status.to_owned(), since: None });
    Ok(health)
}

fn part((name, seen): (String, Option<Seen>)) -> PartHealth {
    match seen {
        None => PartHealth { name, status: "not_called".to_owned(), since: None },
        Some(Seen { since, cause, .. }) => {
            let status = cause.unwrap_or_else(|| "ok".to_owned());
            PartHealth { name, status, since: Some(since.to_string()) }
        }
    }
}
