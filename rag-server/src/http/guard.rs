//! What every request passes before its handler: is it of a page of our own, is the name right, is there room, and is it done in time. A handler that panics costs its own request alone.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use super::{
    error::{Code, Problem},
    state::Api,
    upload::{LEAST, SPAN, Upload},
};
use crate::resilience::Deadline;

/// How long a refused client may go on sending before its connection is closed under it.
const MAX_DISCARD: Duration = Duration::from_secs(2);

/// The outer layer around every route: a page of another origin can have nothing changed here, whatever its reader may do.
///
/// A browser says whose page sends in headers that no page can set, and sends on behalf of its user: to a server on loopback that asks for no key, for one. Programs that are no browser send neither header.
pub(super) async fn own_pages(request: Request, next: Next) -> Response {
    match request.method().is_safe() || is_own(&request) {
        true => next.run(request).await,
        false => Problem::new(Code::ForeignPage, "a page of another origin may not call this").into_response(),
    }
}

/// Whether nothing says that the request is of a page of another origin.
fn is_own(request: &Request) -> bool {
    let headers = request.headers();
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        // The browser compared the origins itself, and knows the name that the page has behind a proxy.
        Some(b"same-origin") => true,
        Some(b"none") | None => headers.get(header::ORIGIN).is_none_or(|origin| names_us(origin, request)),
        Some(_) => false,
    }
}

/// Whether an origin is where the request was sent to. Its scheme is not compared: a proxy may have taken TLS off.
fn names_us(origin: &HeaderValue, request: &Request) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let origin = origin.and_then(|(_, authority)| authority.parse::<Authority>().ok());
    origin.is_some() && origin == authority(request)
}

/// The layer around routes that do work.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut request, upload) = Upload::watch(request);
    let deadline = Deadline::after(api.server.request_timeout());
    request.extensions_mut().insert(deadline);
    let response = match admit(&api, &request) {
        Err(problem) => problem.into_response(),
        Ok(_permit) => match deadline.run(AssertUnwindSafe(next.run(request)).catch_unwind()).await {
            Ok(Ok(_)) if upload.stalled() => stalled().into_response(),
            Ok(Ok(response)) => response,
            // The panic's place is in the log already; its message is for nobody.
            Ok(Err(_)) => internal().into_response(),
            Err(_) => return expired(&api, &upload).into_response(),
        },
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        // An unfinished discard only means that the client learns less.
        let _finished = Deadline::after(MAX_DISCARD).run(upload.discard()).await;
    }
    response
}

/// The layer around routes that answer at once: only a panic is caught.
pub(super) async fn alone(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| internal().into_response())
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "an internal error; the log has more under the request's id")
}

fn stalled() -> Problem {
    let detail = format!("less than {LEAST} bytes of the body came within {} s; send it again", SPAN.as_secs());
    Problem::new(Code::RequestTimeout, detail)
}

fn admit(api: &Api, request: &Request) -> Result<crate::resilience::Permit, Problem> {
    if api.is_anonymous() && !is_local(request) {
        return Err(Problem::new(
            Code::HostNotAllowed,
            "without API keys the server answers only to localhost and loopback addresses in the header Host",
        ));
    }
    let overloaded = || Problem::new(Code::Overloaded, "too many requests are in flight; try again").retry_after(1);
    api.admission.request().ok_or_else(overloaded)
}

/// Whether a request names this machine. A web page that had its own name resolved to loopback does not.
fn is_local(request: &Request) -> bool {
    authority(request).is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

/// Under which name the server was asked.
fn authority(request: &Request) -> Option<Authority> {
    let host = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(host)
}

fn expired(api: &Api, upload: &Upload) -> Problem {
    let seconds = api.server.request_timeout_seconds;
    if upload.arrived() {
        let detail = format!("no answer within {seconds} s; this is not an empty result, try again");
        Problem::new(Code::DeadlineExceeded, detail).retry_after(1)
    } else {
        Problem::new(Code::RequestTimeout, format!("the body did not arrive within {seconds} s; send less at once"))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_a_page_of_the_servers_own_origin_may_change_anything() {
        let own = |origin: Option<&str>, site: Option<&str>| {
            let mut request = Request::builder().header(header::HOST, "handbook.team-a.svc:8080");
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                request = value.into_iter().fold(request, |request, value| request.header(name, value));
            }
            is_own(&request.body(Body::empty()).unwrap())
        };
        let ours = Some("https://handbook.team-a.svc:8080");
        assert!(own(None, None) && own(ours, None) && own(ours, Some("none")) && own(None, Some("none")));
        // A proxy may have given the request another name; the browser knows the page's.
        assert!(own(Some("https://docs.example.org"), Some("same-origin")));
        for origin in ["null", "https://evil.example", "http://handbook.team-a.svc", "", "handbook.team-a.svc:8080"] {
            assert!(!own(Some(origin), None) && !own(Some(origin), Some("none")), "{origin}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin, none"] {
            assert!(!own(None, Some(site)) && !own(ours, Some(site)), "{site}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        let local = |host: &str| is_local(&Request::builder().header(header::HOST, host).body(Body::empty()).unwrap());
        for name in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080", "[::ffff:127.0.0.1]"] {
            assert!(local(name), "{name}");
        }
        for name in ["localhost.example.org", "10.0.0.1", "example.org:8080", "", "127.0.0.1.example.org"] {
            assert!(!local(name), "{name}");
        }
        assert!(!is_local(&Request::new(Body::empty())));
    }
}
