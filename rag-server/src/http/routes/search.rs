//! `POST /search`: a question to the passages that are nearest to it, without an answer.

use axum::{Extension, Json, extract::State, routing::post};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{FromBody, JsonBody, ReaderKey},
    observe::RequestId,
    state::Api,
};
use crate::{
    config::Retrieval,
    generate::AnswerError,
    model::{Mode, Query},
    ports,
};

/// Bytes of a question; the model reads the first 256 tokens.
const MAX_QUESTION_BYTES: usize = 8 * 1024;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchRequest {
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    query: String,
    /// How many passages are wanted, 1 to 50; the configured number without it.
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<usize>,
    /// Which legs are searched; the configured ones without it.
    mode: Option<Mode>,
}

impl FromBody for SearchRequest {
    const MAX_BYTES: Option<usize> = Some(64 * 1024);
}

impl SearchRequest {
    fn checked(self, defaults: &Retrieval) -> Result<Query, Problem> {
        let invalid = |detail: String| Err(Problem::new(Code::InvalidValue, detail));
        let text = self.query;
        if text.trim().is_empty() {
            return invalid("query: the question is empty".to_owned());
        }
        if text.len() > MAX_QUESTION_BYTES {
            return invalid(format!("query: {} bytes; a question has at most {MAX_QUESTION_BYTES}", text.len()));
        }
        let top_k = self.top_k.unwrap_or(defaults.top_k);
        if !(1..=Retrieval::MAX_TOP_K).contains(&top_k) {
            return invalid(format!("top_k: {top_k}; it must be from 1 to {}", Retrieval::MAX_TOP_K));
        }
        Ok(Query { text, mode: self.mode.unwrap_or(defaults.mode), top_k })
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct SearchResponse {
    /// How many chunks were searched.
    searched: u64,
    /// The passages, best first; empty when nothing relevant is stored.
    passages: Vec<FoundPassage>,
    /// Finds the request in the log.
    request_id: String,
}

/// A passage.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct FoundPassage {
    /// The document's id.
    document: String,
    /// The document's title.
    title: String,
    /// The headings above the passage, outermost first, with ` > ` between them.
    heading: String,
    /// The passage exactly as it was ingested.
    text: String,
    /// Fused score, 0 to 1.
    score: f32,
    /// The chunk's id.
    chunk: String,
}

impl From<ports::Passage> for FoundPassage {
    fn from(passage: ports::Passage) -> Self {
        let ports::Passage { chunk, score, .. } = passage;
        Self {
            document: chunk.document.into(),
            title: chunk.title,
            heading: chunk.headings.join(" > "),
            text: chunk.text,
            score,
            chunk: chunk.id.0.to_string(),
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/search", post(search), "Find the passages nearest to a question")
            .keyed()
            .body::<SearchRequest>()
            .answers::<SearchResponse>(200, "the passages, best first; none when nothing relevant is stored")
            .problem(503, "the search is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn search(
    _key: ReaderKey,
    State(api): State<Api>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    body: JsonBody<SearchRequest>,
) -> Result<Json<SearchResponse>, Problem> {
    let (request, _room) = body.into_parts();
    let query = request.checked(&api.retrieval)?;
    let found = api.flows()?.retrieve.retrieve(&query).await.map_err(AnswerError::Retrieve)?;
    let passages = found.passages.into_iter().map(FoundPassage::from).collect();
    Ok(Json(SearchResponse { searched: found.searched, passages, request_id }))
}
