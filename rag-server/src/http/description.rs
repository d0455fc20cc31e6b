//! `GET /openapi.json`: what the public API has. It is written once, when the router is made, and a client that has it already is told so.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::openapi::OpenApi;

use super::endpoint::Endpoint;

/// Where it is.
const PATH: &str = "/openapi.json";

/// The bytes that are sent. Empty ones are enough for a table that is only described.
#[derive(Debug, Clone, Default)]
pub(super) struct Description {
    json: Bytes,
    tag: Option<HeaderValue>,
}

impl Description {
    pub(super) fn of(api: &OpenApi) -> Self {
        // It is plain data, which always can be written.
        let json = serde_json::to_vec(api).unwrap_or_default();
        let tag = format!("\"{}\"", blake3::hash(&json).to_hex());
        Self { json: json.into(), tag: HeaderValue::try_from(tag).ok() }
    }

    pub(super) fn endpoint(self) -> Endpoint {
        let description = Arc::new(self);
        let handler = get(move |headers: HeaderMap| async move { description.answer(&headers) });
        Endpoint::probe(PATH, handler, "This description")
            .answers_plainly(200, Some("application/json"), "an OpenAPI document")
            .answers_plainly(304, None, "it is the one that `If-None-Match` names")
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.extend(self.tag.clone().map(|tag| (header::ETAG, tag)));
        if self.is_known(asked) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (headers, self.json.clone()).into_response()
    }

    /// Whether the client has these bytes.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        let tag = self.tag.as_ref().and_then(|tag| tag.to_str().ok());
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
        known.any(|one| one == "*" || Some(one) == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_description_is_not_sent_it_again() {
        let description = Description::of(&super::super::public_openapi());
        let asked = |known: &str| {
            let value = HeaderValue::from_str(known).unwrap();
            description.answer(&[(header::IF_NONE_MATCH, value)].into_iter().collect()).status()
        };
        let sent = description.answer(&HeaderMap::new());
        assert_eq!(sent.status(), StatusCode::OK);
        let tag = sent.headers()[header::ETAG].to_str().unwrap();
        for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}"), "*"] {
            assert_eq!(asked(known), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(asked("\"other\""), StatusCode::OK);
    }
}
