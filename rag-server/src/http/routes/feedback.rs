//! `POST /feedback`: what somebody thinks of an answer.
//!
//! It is kept under the answer's id and the key that gave it; who says something again about the same answer replaces what was said.

use axum::{Json, extract::State, http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};
use uuid::Uuid;

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, FromBody, JsonBody},
    state::Api,
};
use crate::ports::{Change, Kind, StoreError, update};

/// Bytes of a comment.
const MAX_COMMENT_BYTES: usize = 4 * 1024;

/// What somebody thinks of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FeedbackRequest {
    /// The answer's `id`.
    #[schema(value_type = String, format = "uuid")]
    answer: Uuid,
    /// Whether it helped.
    rating: Rating,
    /// Why, up to 4096 bytes.
    #[schema(max_length = 4096)]
    comment: Option<String>,
}

/// Whether an answer helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Rating {
    /// It did.
    Up,
    /// It did not.
    Down,
}

impl Rating {
    fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Kept {
    /// The answer's id.
    #[schema(value_type = String, format = "uuid")]
    answer: Uuid,
}

impl FromBody for FeedbackRequest {
    const MAX_BYTES: Option<usize> = Some(16 * 1024);
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/feedback", post(feedback), "Say what you think of an answer")
            .keyed()
            .body::<FeedbackRequest>()
            .answers::<Kept>(201, "it is kept")
            .problem(503, "the records are not available"),
    ]
}

async fn feedback(
    client: Client,
    State(api): State<Api>,
    body: JsonBody<FeedbackRequest>,
) -> Result<(StatusCode, Json<Kept>), Problem> {
    let (FeedbackRequest { answer, rating, comment }, _room) = body.into_parts();
    let bytes = comment.as_ref().map_or(0, String::len);
    if bytes > MAX_COMMENT_BYTES {
        let detail = format!("comment: {bytes} bytes; a comment has at most {MAX_COMMENT_BYTES}");
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let body = serde_json::json!({
        "answer": answer, "by": client.name(), "rating": rating, "comment": comment, "at": jiff::Timestamp::now(),
    });
    let (records, id) = (&api.flows()?.records, format!("{answer}/{}", client.name()));
    update(&**records, Kind::Feedback, &id, |_| Ok::<_, StoreError>(Change::Write(body.clone(), ()))).await?;
    api.metrics.writing.feedback.with_label_values(&[rating.as_str()]).inc();
    Ok((StatusCode::CREATED, Json(Kept { answer })))
}
