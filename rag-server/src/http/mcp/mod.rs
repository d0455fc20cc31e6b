//! `/mcp`: the Model Context Protocol over streamable HTTP, so that assistants can search, ask and ingest.
//!
//! A tool is a call of a public route, with the caller's own key: roles, limits and messages are those of the route, and nothing is decided here.
//! No sessions are kept: every request stands alone, so any replica answers it, and a client that goes away leaves nothing behind.

mod message;
mod tools;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
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
    json,
    room::Room,
    state::Api,
};
use crate::{config::Role, resilience::Bodies};

/// Where it is.
pub(super) const PATH: &str = "/mcp";

/// Bytes of a refusal in words.
const MAX_WORDS: usize = 4 * 1024;

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
            .answers_plainly(400, Some("application/json"), "a JSON-RPC error: not JSON, or no request")
            .problem(406, "the client takes no JSON")
            .problem(415, "the content type is not JSON, or the body is encoded in a way that is not decoded"),
    ]
}

async fn serve(caller: Client, api: Api, routes: Router<Api>, request: Request) -> Result<Response, Problem> {
    let limit = api.server.max_body_bytes;
    let kind = if caller.role() >= Role::Writer { Bodies::Documents } else { Bodies::Texts };
    let mut room = Room::open(&api, kind, request.headers())?;
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::POST {
        expect_json_both_ways(&mut parts.headers)?;
    }
    let mut bytes = room.read(body, extract::declared_length(&parts.headers)).await?;
    if parts.method == Method::POST {
        let marked = bytes.len() - json::mended(&mut bytes).len();
        bytes.drain(..marked);
        if let Err(refused) = message::check(&bytes) {
            return Ok(refused.into_response());
        }
    }
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
    Ok(in_our_words(service.handle(request).await.map(Body::new)).await)
}

/// Refuses a client that sends something else than JSON or takes none, and says of the others what the protocol wants to hear: every answer here is JSON, so that none need take a stream of events.
fn expect_json_both_ways(headers: &mut HeaderMap) -> Result<(), Problem> {
    extract::json_content_type(headers)?;
    if !accepts_json(headers) {
        let detail = "answers are application/json; have the header Accept name it, or leave the header out";
        return Err(Problem::new(Code::NotAcceptable, detail));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    Ok(())
}

/// Whether a client takes JSON; one that says nothing takes everything.
fn accepts_json(headers: &HeaderMap) -> bool {
    let ranges: Vec<String> = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|range| String::from_utf8_lossy(range).to_ascii_lowercase().replace([' ', '\t'], ""))
        .filter(|range| !range.is_empty())
        .collect();
    let takes = |range: &String| {
        let mut parts = range.split(';');
        let names_json = matches!(parts.next(), Some("application/json" | "application/*" | "*/*"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        names_json && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    };
    ranges.is_empty() || ranges.iter().any(takes)
}

/// What the transport refuses in plain words becomes a problem with those words.
async fn in_our_words(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    // Of a method there is nothing to say but what every route says.
    let is_refused = status.is_client_error() || status.is_server_error();
    if is_json || !is_refused || status == StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, MAX_WORDS).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let mut response = Response::from_parts(parts, Body::empty());
    if !said.is_empty() {
        response.extensions_mut().insert(Problem::new(Code::of_status(status), said));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_json_is_answered_whatever_else_it_takes() {
        let accepts = |value: Option<&'static str>| {
            let headers = value.into_iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            accepts_json(&headers.collect())
        };
        for value in [
            "application/json",
            "application/json, text/event-stream",
            "text/event-stream,application/json;q=0.1",
            "Application/JSON; charset=utf-8",
            "application/*",
            "*/*",
            "",
        ] {
            assert!(accepts(Some(value)), "{value}");
        }
        assert!(accepts(None));
        for value in ["text/event-stream", "text/html", "application/json;q=0", "application/json; q=0.0, text/html"] {
            assert!(!accepts(Some(value)), "{value}");
        }
    }
}
