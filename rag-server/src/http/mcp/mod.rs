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
    http::{HeaderMap, header, uri::Authority},
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
    error::{Code, Problem},
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
            .answers_plainly(202, None, "a notification was taken")
            .problem(403, "the page that sent it is of another origin"),
    ]
}

async fn serve(caller: Client, api: Api, routes: Router<Api>, request: Request) -> Result<Response, Problem> {
    same_origin(request.headers())?;
    let limit = api.server.max_body_bytes;
    let kind = if caller.role() >= Some(Role::Writer) { Bodies::Documents } else { Bodies::Texts };
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

/// Refuses a page of another origin: a browser says whose page sends, and sends on its own behalf.
fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let authority = |text: &str| text.parse::<Authority>().ok();
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).and_then(|(_, rest)| authority(rest));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(authority);
    match (origin, host) {
        (Some(origin), Some(host)) if origin == host => Ok(()),
        _ => Err(Problem::new(Code::HostNotAllowed, "a page of another origin may not call this")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_page_of_the_servers_own_origin_may_call() {
        let allowed = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("handbook.team-a.svc:8080"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            same_origin(&headers).is_ok()
        };
        assert!(allowed(None) && allowed(Some("https://handbook.team-a.svc:8080")));
        for origin in ["null", "https://evil.example", "http://handbook.team-a.svc", "", "handbook.team-a.svc:8080"] {
            assert!(!allowed(Some(origin)), "{origin}");
        }
    }
}
