//! Whose web pages may call: those of the server's own origin, and those of the origins that the configuration names.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowHeaders, CorsLayer};

use super::error::{Code, Problem};

/// How long a browser need not ask again whether it may send.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Origins of other pages that may call.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages(Arc<[HeaderValue]>);

impl Pages {
    /// Pages of these origins, beside those of the server's own.
    pub(super) fn of(origins: &[String]) -> Self {
        // The configuration refuses what is no origin.
        Self(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// What tells a browser that those pages may send and read; none where there are none.
    pub(super) fn cors(&self) -> Option<CorsLayer> {
        let read = ["location", "retry-after", "x-request-id"].map(HeaderName::from_static);
        let cors = CorsLayer::new()
            .allow_origin(self.0.to_vec())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            // Clients send headers of their own, which change nothing here.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(read)
            .max_age(MAX_AGE);
        (!self.0.is_empty()).then_some(cors)
    }

    /// Whether nothing says that a request is of a page that may not call.
    fn allow(&self, request: &Request) -> bool {
        let headers = request.headers();
        if headers.get(header::ORIGIN).is_some_and(|origin| self.0.contains(origin)) {
            return true;
        }
        match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            // The browser compared the origins itself, and knows the name that the page has behind a proxy.
            Some(b"same-origin") => true,
            Some(b"none") | None => headers.get(header::ORIGIN).is_none_or(|origin| names_us(origin, request)),
            Some(_) => false,
        }
    }
}

/// The outer layer around every route: a page of another origin can have nothing changed here, whatever its reader may do.
///
/// A browser says whose page sends in headers that no page can set, and sends on behalf of its user: to a server on loopback that asks for no key, for one. Programs that are no browser send neither header.
pub(super) async fn allowed(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    match request.method().is_safe() || pages.allow(&request) {
        true => next.run(request).await,
        false => Problem::new(Code::ForeignPage, "a page of another origin may not call this").into_response(),
    }
}

/// Whether an origin is where the request was sent to. Its scheme is not compared: a proxy may have taken TLS off.
fn names_us(origin: &HeaderValue, request: &Request) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let origin = origin.and_then(|(_, authority)| authority.parse::<Authority>().ok());
    origin.is_some() && origin == authority(request)
}

/// Under which name the server was asked.
pub(super) fn authority(request: &Request) -> Option<Authority> {
    let host = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(host)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn allowed(pages: &Pages, origin: Option<&str>, site: Option<&str>) -> bool {
        let mut request = Request::builder().header(header::HOST, "handbook.team-a.svc:8080");
        for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
            request = value.into_iter().fold(request, |request, value| request.header(name, value));
        }
        pages.allow(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn only_a_page_of_the_servers_own_origin_may_change_anything() {
        let own = |origin: Option<&str>, site: Option<&str>| allowed(&Pages::default(), origin, site);
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
    fn pages_of_the_named_origins_may_call_and_their_neighbours_may_not() {
        let pages = Pages::of(&["https://portal.example.org".to_owned(), "http://localhost:5173".to_owned()]);
        for origin in ["https://portal.example.org", "http://localhost:5173"] {
            for site in [None, Some("cross-site"), Some("same-site")] {
                assert!(allowed(&pages, Some(origin), site), "{origin}");
            }
        }
        for origin in [
            "http://portal.example.org",
            "https://portal.example.org:8443",
            "https://a.portal.example.org",
            "http://localhost",
            "null",
        ] {
            assert!(!allowed(&pages, Some(origin), Some("cross-site")), "{origin}");
        }
    }
}
