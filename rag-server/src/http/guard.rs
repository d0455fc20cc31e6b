//! What every request passes before its handler: is the name right, has its class a place, and is it done in time. A handler that panics costs its own request alone.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use super::{
    entry::{self, Entry},
    error::{Code, Problem},
    pages::authority,
    state::Api,
    upload::{LEAST, SPAN, Upload},
};
use crate::{ports::Payer, resilience::Deadline};

/// How long a refused client may go on sending before its connection is closed under it.
const MAX_DISCARD: Duration = Duration::from_secs(2);

/// The layer around routes that do work.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut request, upload) = Upload::watch(request);
    let deadline = Deadline::after(api.server.request_timeout());
    request.extensions_mut().insert(deadline);
    let response = match admit(&api, &mut request, &upload) {
        Err(problem) => problem.into_response(),
        Ok(_leaves) => match deadline.run(Payer::is_named_by(AssertUnwindSafe(next.run(request)).catch_unwind())).await
        {
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

/// Gives the place of a request back.
struct Leaves(Option<Entry>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.iter().for_each(Entry::leave);
    }
}

/// Lets a request in. One whose body has yet to come takes its place when it is there, which whoever reads it sees to.
fn admit(api: &Api, request: &mut Request, upload: &Upload) -> Result<Leaves, Problem> {
    if api.is_anonymous() && !is_local(request) {
        return Err(Problem::new(
            Code::HostNotAllowed,
            "without API keys the server answers only to localhost and loopback addresses in the header Host",
        ));
    }
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(class) = entry::class_of(request.method(), route) else { return Ok(Leaves(None)) };
    let entry = Entry::begin(api, class)?;
    let sends = *request.method() == Method::POST || *request.method() == Method::PUT;
    if upload.arrived() || !sends {
        entry.enter(api)?;
    }
    request.extensions_mut().insert(entry.clone());
    Ok(Leaves(Some(entry)))
}

/// Whether a request names this machine. A web page that had its own name resolved to loopback does not.
fn is_local(request: &Request) -> bool {
    authority(request).is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
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
    use axum::{body::Body, http::header};

    use super::*;

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
