//! `/mcp`: the Model Context Protocol over streamable HTTP, so that assistants can search, ask and ingest.
//!
//! A tool is a call of a public route, with the caller's own key: roles, limits and messages are those of the route, and nothing is decided here.
//! No sessions are kept: every request stands alone, so any replica answers it, and a client that goes away leaves nothing behind.

mod tools;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService, streamable_http_server::session::never::NeverSessionManager,
};
use utoipa::openapi::HttpMethod;

use self::tools::Tools;
use super::{
    endpoint::Endpoint,
    error::Problem,
    extract::{self, Client},
    room::Room,
    state::Api,
};
use crate::{config::Role, resilience::Bodies};

/// Where it is.
pub(super) const PATH: &str = "/mcp";

/// The route, over a router of all that tools may call.
pub(super) fn endpoints(routes: Router<Api>) -> Vec<Endpoint> {
    let handler = any(move |caller: Client, State(api): State<Api>, request: Request| {
        let routes = routes.clone();
        async move { serve(caller, api, routes, request).await }
    });
    let summary =
        "Model Context Protocol: tools to search, ask, list, fetch and ingest; streamable HTTP without sessions";
    vec![
        Endpoint::new(HttpMethod::Post, PATH, handler, summary)
            .keyed()
            .answers_plainly(200, Some("application/json"), "a JSON-RPC response")
            .answers_plainly(202, None, "a notification was taken"),
    ]
}

async fn serve(caller: Client, api: Api, routes: Router<Api>, request: Request) -> Result<Response, Problem> {
    let limit = api.server.max_body_bytes;
    let kind = if caller.role() >= Role::Writer { Bodies::Documents } else { Bodies::Texts };
    let mut room = Room::open(&api, kind, request.headers())?;
    let (parts, body) = request.into_parts();
    let bytes = room.read(body, extract::declared_length(&parts.headers)).await?;
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(extract::RoomTaken);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(limit)
        // Whoever listens beyond loopback asks for a key, which a page that rebinds its name does not have; without keys the guard lets loopback's names pass alone.
        .disable_allowed_hosts();
    let tools = Tools::new(api, routes);
    let service =
        StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(NeverSessionManager::default()), config);
    Ok(service.handle(request).await.map(Body::new).into_response())
}
