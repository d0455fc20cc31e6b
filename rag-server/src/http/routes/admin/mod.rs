//! `/admin`: what a person on call looks at and decides, for one server or for all of them.
//!
//! Looking costs no call of a store. What is decided holds for all servers of the corpus, on the one that is asked by the time it answers and on the others within about a second.

mod blocks;
mod cache;
mod config;
mod stats;
mod switches;

use axum::{Json, extract::State, routing::get};
use utoipa::openapi::HttpMethod;

use super::super::{
    endpoint::Endpoint,
    extract::AdminKey,
    ops::{self, Status},
    state::Api,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let status =
        Endpoint::new(HttpMethod::Get, "/admin/status", get(status), "What this server runs with, and how it is")
            .keyed()
            .answers::<Status>(200, "the same as `/ops/status` of the management port");
    [
        vec![status],
        stats::endpoints(),
        cache::endpoints(),
        config::endpoints(),
        blocks::endpoints(),
        switches::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An endpoint that decides something for all servers.
fn decision(endpoint: Endpoint) -> Endpoint {
    endpoint
        .keyed()
        .problem(409, "it cannot be added to what holds for all servers, or a newer server wrote that")
        .problem(503, "the server is starting, or the records are not available and nothing was decided")
}

async fn status(_admin: AdminKey, State(api): State<Api>) -> Json<Status> {
    Json(ops::status_of(&api).await)
}
