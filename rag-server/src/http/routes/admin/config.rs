//! `/admin/config`: with what this server really runs. A configuration holds no secret, only the files that do; of keys the fingerprints are shown.

use axum::{Json, extract::State, routing::get};
use serde::Serialize;
use serde_json::Value;
use utoipa::{ToSchema, openapi::HttpMethod};

use super::super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::AdminKey,
    ops::{self, AcceptedCredential},
    state::Api,
};

/// With what this server runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct EffectiveConfig {
    /// SHA-256 in hex of the exact bytes of the configuration file that was accepted.
    sha256: String,
    /// Every key that is set or has a default, as the file would say it. Environment and flags are part of it.
    #[schema(value_type = Object)]
    config: Value,
    /// SHA-256 in hex of the live file; null before one was accepted.
    live_sha256: Option<String>,
    /// What holds of the live settings, decisions of administrators included.
    #[schema(value_type = Object)]
    live: Value,
    /// The keys that are accepted, by their fingerprints.
    credentials: Vec<AcceptedCredential>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Get, "/admin/config", get(config), "The configuration that this server runs with")
            .keyed()
            .answers::<EffectiveConfig>(200, "every key; files that hold secrets by their names alone"),
    ]
}

async fn config(_admin: AdminKey, State(api): State<Api>) -> Result<Json<EffectiveConfig>, Problem> {
    let live = api.operations.live().state();
    let unwritten = |error: serde_json::Error| {
        tracing::error!(%error, "the configuration cannot be shown");
        Problem::new(Code::Internal, "the configuration cannot be shown; the log has more under the request's id")
    };
    Ok(Json(EffectiveConfig {
        sha256: api.config_sha256.clone(),
        config: serde_json::to_value(&api.config).map_err(unwritten)?,
        live_sha256: live.sha256.clone(),
        live: serde_json::to_value(&live.live).map_err(unwritten)?,
        credentials: ops::credentials(&api),
    }))
}
