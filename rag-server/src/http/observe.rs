//! The outermost layer: gives each request an id, counts and logs it, and writes the problem document of each error.
//!
//! The log has the route's template and never the path, a question or a body: those may hold names of documents and texts.

use std::time::Instant;

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use super::{
    error::{Code, Problem, ProblemDocument},
    mcp, openai,
    ops::{METRICS_PATH, STATUS_PATH},
    state::Api,
};
use crate::{
    metrics::Metrics,
    ports::lent::{CHUNKS_PATH, RECORD_PATH, RECORDS_PATH},
    telemetry::{REQUEST, propagation},
};

/// Carries the id of a request, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client.
const MAX_ID: usize = 128;

/// The id of the request that is being handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) String);

/// Counts and logs one request when it is dropped, however it ends.
struct Observation {
    metrics: Metrics,
    span: Span,
    id: String,
    method: Method,
    route: String,
    began: Instant,
    /// 499 until there is an answer: the client went away.
    status: u16,
    /// What kind of error it was answered with.
    cause: Option<&'static str>,
}

/// Status of a request whose client did not wait; no HTTP status, but what proxies count.
const CLIENT_GONE: u16 = 499;

impl Drop for Observation {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.metrics.requests.with_label_values(&[self.route.as_str(), &self.status.to_string()]).inc();
        self.metrics.request_seconds.with_label_values(&[self.route.as_str()]).observe(took.as_secs_f64());
        if let Some(cause) = self.cause {
            self.metrics.looks.errors.with_label_values(&[cause]).inc();
        }
        propagation::end(&self.span, self.status, self.cause);
        let millis = (took.as_secs_f64() * 10_000.0).round() / 10.0;
        let (request_id, method, route, status) = (&*self.id, self.method.as_str(), &*self.route, self.status);
        let cause = self.cause;
        if is_a_look(route) && status < 400 {
            tracing::debug!(request_id, method, route, status, cause, millis, "request");
        } else {
            tracing::info!(request_id, method, route, status, cause, millis, "request");
        }
    }
}

/// Whether a route is asked by probes, by scrapes, or again and again while a snapshot is taken, which would drown everything else. What a snapshot begins with is none of these: that somebody reads everything is to be seen.
fn is_a_look(route: &str) -> bool {
    route.starts_with("/health") || [METRICS_PATH, STATUS_PATH, CHUNKS_PATH, RECORD_PATH, RECORDS_PATH].contains(&route)
}

/// The layer.
pub(super) async fn observe(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let route = route.replace("{*", "{");
    let method = method(request.method());
    let span = info_span!(target: REQUEST, "request", request_id = id);
    if !is_a_look(&route) {
        propagation::begin(&span, request.headers(), method.as_str(), &route);
    }
    let mut observation = Observation {
        metrics: api.metrics.clone(),
        span: span.clone(),
        id: id.clone(),
        method,
        route,
        began: Instant::now(),
        status: CLIENT_GONE,
        cause: None,
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let dialect = Dialect::of(request.uri().path());
    let (mut response, cause) = as_problem(next.run(request).instrument(span).await, &id, dialect);
    (observation.status, observation.cause) = (response.status().as_u16(), cause);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A method that nobody knows must not become a value in the log of its own.
fn method(method: &Method) -> Method {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if known.contains(method) { method.clone() } else { Method::TRACE }
}

fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        (1..=MAX_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(sane);
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// How an error is written: clients of a route expect the shape of the API that the route follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// RFC 9457.
    Problem,
    /// The error object of OpenAI's API.
    OpenAi,
    /// JSON-RPC, which the handler wrote; everything else is a problem document.
    JsonRpc,
}

impl Dialect {
    fn of(path: &str) -> Self {
        match path {
            mcp::PATH => Self::JsonRpc,
            path if path.starts_with(openai::PREFIX) => Self::OpenAi,
            _ => Self::Problem,
        }
    }
}

/// Gives every error its document: ours, and those of axum itself, whose headers stay; and tells which kind of error it is.
fn as_problem(mut response: Response, request_id: &str, dialect: Dialect) -> (Response, Option<&'static str>) {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return (response, None);
    }
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if dialect == Dialect::JsonRpc && is_json {
        return (response, Some(Code::of_status(status).slug()));
    }
    let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| foreign(status));
    let cause = problem.code.slug();
    let (status, kind, document) = match dialect {
        Dialect::Problem | Dialect::JsonRpc => {
            // One code stands for several statuses of a part that is not ours.
            let document = ProblemDocument { status: status.as_u16(), ..problem.document(request_id) };
            (status, "application/problem+json", Json(document).into_response())
        }
        Dialect::OpenAi => {
            (openai::status(status), "application/json", Json(openai::document(&problem)).into_response())
        }
    };
    let (mut parts, _) = response.into_parts();
    let (_, body) = document.into_parts();
    parts.status = status;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (Response::from_parts(parts, body), Some(cause))
}

fn foreign(status: StatusCode) -> Problem {
    let code = Code::of_status(status);
    let detail = match code {
        Code::NoSuchRoute => "no route has this path; GET /openapi.json lists them",
        Code::MethodNotAllowed => "the path exists, but not with this method; the header Allow lists those that do",
        Code::Internal => "an internal error; the log has more under the request's id",
        _ => "the request cannot be handled as it is",
    };
    Problem::new(code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_id_of_the_client_is_taken_over() {
        let id = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            request_id(&headers)
        };
        assert_eq!(id(b"trace-1:2.3_4"), "trace-1:2.3_4");
        for strange in ["", "a b", "a\"b", &"x".repeat(129), "ü"] {
            assert!(Uuid::parse_str(&id(strange.as_bytes())).is_ok(), "{strange}");
        }
    }
}
