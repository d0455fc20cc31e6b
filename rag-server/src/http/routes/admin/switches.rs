//! `/admin/read-only` and `/admin/breakers`: what is switched, on all servers at once.

use axum::{
    Json,
    routing::{post, put},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::{
    super::super::{
        decide::Decider,
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{FromBody, JsonBody, PathId},
        state::Api,
    },
    decision,
};
use crate::{config::ReadOnlyBy, operations::Change};

/// What administrators want.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReadOnlyRequest {
    /// Whether writes are refused.
    read_only: bool,
}

impl FromBody for ReadOnlyRequest {
    const MAX_BYTES: Option<usize> = Some(1024);
}

/// Whether writes are refused, and who refuses them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ReadOnlyView {
    /// Whether they are, on this server.
    read_only: bool,
    /// Whether the live file refuses them, which in a cluster `spec.readOnly` of the RagCluster sets; it wins.
    live_file: bool,
    /// Whether administrators refuse them, on all servers.
    administrator: bool,
    /// What is to be said where both do not agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

/// A breaker that was reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ResetView {
    /// The outside service.
    provider: String,
    /// Where its breaker stands on this server.
    state: &'static str,
    /// The revision of what holds for all servers.
    revision: u64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read_only = "Refuse writes on all servers, or take them again";
    let reset = "Trust an outside service again, on all servers";
    vec![
        decision(Endpoint::new(HttpMethod::Put, "/admin/read-only", put(set_read_only), read_only))
            .body::<ReadOnlyRequest>()
            .answers::<ReadOnlyView>(200, "who refuses writes now"),
        decision(Endpoint::new(HttpMethod::Post, "/admin/breakers/{provider}/reset", post(reset_breaker), reset))
            .parameter(ParameterIn::Path, "provider", Type::String, "its name among `breakers` of `/admin/status`")
            .answers::<ResetView>(200, "its breaker is closed")
            .problem(404, "no such service"),
    ]
}

async fn set_read_only(by: Decider, body: JsonBody<ReadOnlyRequest>) -> Result<Json<ReadOnlyView>, Problem> {
    let (ReadOnlyRequest { read_only }, _room) = body.into_parts();
    by.decide(Change::ReadOnly(read_only)).await?;
    Ok(Json(view(&by.api)))
}

fn view(api: &Api) -> ReadOnlyView {
    let live = api.operations.live().state();
    let ReadOnlyBy { live_file, administrator, restore } = live.read_only_by;
    let notice = match (live_file, restore) {
        _ if administrator => None,
        (true, _) => Some(
            "writes stay refused: the live file refuses them, which wins; set spec.readOnly of the RagCluster, or read_only in the file, to false",
        ),
        (false, true) => Some("writes stay refused until the restore is done that is at work"),
        (false, false) => None,
    };
    ReadOnlyView { read_only: live.live.read_only, live_file, administrator, notice }
}

async fn reset_breaker(by: Decider, PathId(provider): PathId) -> Result<Json<ResetView>, Problem> {
    let names: Vec<String> = by.api.operations.breakers().into_iter().map(|(name, _)| name).collect();
    if !names.contains(&provider) {
        let detail = match names.is_empty() {
            true => "no outside service is configured, so there is no breaker".to_owned(),
            false => format!("no such service; there are {}", names.join(", ")),
        };
        return Err(Problem::new(Code::NoSuchProvider, detail));
    }
    let changed = by.decide(Change::Reset(provider.clone())).await?;
    let breakers = by.api.operations.breakers();
    let state = breakers.into_iter().find(|(name, _)| *name == provider).map_or("closed", |(_, state)| state.as_str());
    Ok(Json(ResetView { provider, state, revision: changed.state.revision }))
}
