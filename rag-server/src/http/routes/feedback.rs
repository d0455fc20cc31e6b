//! `POST /feedback`: what somebody thinks of an answer.
//!
//! It is kept under the answer's id and who says it; who says something again about the same answer replaces what was said.

use axum::{Json, extract::State, http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};
use uuid::Uuid;

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Contributor, FromBody, JsonBody},
    state::Api,
};
use crate::generate::{NotHeard, Opinion, Rating};

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
            .problem(404, "no such answer was given to your tenant in the last 30 days")
            .problem(503, "writes are refused for now, or the records are not available"),
    ]
}

async fn feedback(
    Contributor(client): Contributor,
    State(api): State<Api>,
    body: JsonBody<FeedbackRequest>,
) -> Result<(StatusCode, Json<Kept>), Problem> {
    let (FeedbackRequest { answer, rating, comment }, _room) = body.into_parts();
    let bytes = comment.as_ref().map_or(0, String::len);
    if bytes > MAX_COMMENT_BYTES {
        let detail = format!("comment: {bytes} bytes; a comment has at most {MAX_COMMENT_BYTES}");
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let flows = api.flows()?;
    let heard = flows.answers.feedback().ok_or_else(unknown)?;
    let opinion = Opinion { answer, by: client.owner(), rating, comment };
    heard.say(client.tenant(), opinion).await.map_err(|why| match why {
        NotHeard::Unknown => unknown(),
        NotHeard::Store(error) => error.into(),
    })?;
    api.metrics.writing.feedback.with_label_values(&[rating.as_str()]).inc();
    Ok((StatusCode::CREATED, Json(Kept { answer })))
}

fn unknown() -> Problem {
    let detail =
        "no such answer was given to your tenant, or more than 30 days ago; send the `id` of an answer of POST /query";
    Problem::new(Code::NoSuchAnswer, detail)
}
