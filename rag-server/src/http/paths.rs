//! Paths as clients put them together: a base URL that ends with a slash makes two of one, and some add one at the end. Both mean the route without it.

use axum::{
    extract::Request,
    http::{Method, Uri, uri::PathAndQuery},
};

/// Before an id whose slashes are its own.
const DOCUMENTS: &str = "/documents/";

/// The request under the path that is meant.
pub(super) fn meant(mut request: Request) -> Request {
    // Who deletes and leaves the name out does not mean all that have one.
    let is_nameless = request.method() == Method::DELETE && request.uri().path().ends_with('/');
    if let Some(uri) = plain(request.uri()).filter(|_| !is_nameless) {
        *request.uri_mut() = uri;
    }
    request
}

/// The same without slashes that say nothing; none where there are none.
fn plain(uri: &Uri) -> Option<Uri> {
    let path = plain_path(uri.path()).filter(|path| path != uri.path())?;
    let with_query = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(with_query).ok()?);
    Uri::from_parts(parts).ok()
}

fn plain_path(path: &str) -> Option<String> {
    // The asterisk of `OPTIONS *` is no path.
    let rest = path.strip_prefix('/')?.trim_start_matches('/');
    let anchored = format!("/{rest}");
    if anchored.strip_prefix(DOCUMENTS).is_some_and(|id| !id.is_empty()) {
        return Some(anchored);
    }
    let segments: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
    Some(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_without_a_name_is_none_of_all() {
        let path = |method: Method| {
            let request = Request::builder().method(method).uri("/sessions/").body(axum::body::Body::empty());
            meant(request.unwrap()).uri().path().to_owned()
        };
        assert_eq!((path(Method::DELETE).as_str(), path(Method::GET).as_str()), ("/sessions/", "/sessions"));
    }

    #[test]
    fn slashes_that_say_nothing_are_left_out_and_those_of_an_id_are_kept() {
        for (given, expected) in [
            ("/v1//chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("//v1/models//?a=b//c", "/v1/models?a=b//c"),
            ("/mcp/", "/mcp"),
            ("/documents/", "/documents"),
            ("//documents?prefix=a//", "/documents?prefix=a//"),
            ("//documents/a", "/documents/a"),
            ("http://localhost:8080//query/", "http://localhost:8080/query"),
            ("//", "/"),
        ] {
            assert_eq!(plain(&given.parse().unwrap()), Some(expected.parse().unwrap()), "{given}");
        }
        for kept in
            ["/", "/query", "/documents", "/documents/a//b/", "/documents//lead", "/documents//", "/v1/models/a/b", "*"]
        {
            assert_eq!(plain(&kept.parse().unwrap()), None, "{kept}");
        }
    }
}
