//! `POST /query`: a question to an answer with citations, or to a refusal.

use std::time::Instant;

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
    model::{Answer, AnswerStatus, Citation, Mode, Query},
};

/// Bytes of a question; the model reads the first 256 tokens.
const MAX_QUESTION_BYTES: usize = 8 * 1024;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryRequest {
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    query: String,
    /// How many passages may be cited, 1 to 50; the configured number without it.
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<usize>,
    /// Which legs are searched; the configured ones without it.
    mode: Option<Mode>,
}

impl FromBody for QueryRequest {
    const MAX_BYTES: Option<usize> = Some(64 * 1024);
}

impl QueryRequest {
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

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct QueryResponse {
    /// How far the documents carry the answer.
    status: AnswerStatus,
    /// The answer, with references like `[1]` into the citations.
    answer: String,
    /// How many chunks were searched.
    searched: u64,
    /// The passages that were found, best first; empty when refused.
    citations: Vec<CitationView>,
    /// Finds the request in the log.
    request_id: String,
}

/// A passage.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct CitationView {
    /// The number in the answer.
    #[serde(rename = "ref")]
    reference: usize,
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

impl From<Citation> for CitationView {
    fn from(citation: Citation) -> Self {
        Self {
            reference: citation.reference,
            document: citation.document.into(),
            title: citation.title,
            heading: citation.headings.join(" > "),
            text: citation.text,
            score: citation.score,
            chunk: citation.chunk.0.to_string(),
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/query", post(query), "Answer a question from the documents, with citations")
            .keyed()
            .body::<QueryRequest>()
            .answers::<QueryResponse>(200, "the answer, or a refusal when nothing relevant is stored")
            .problem(503, "the search is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn query(
    _key: ReaderKey,
    State(api): State<Api>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    body: JsonBody<QueryRequest>,
) -> Result<Json<QueryResponse>, Problem> {
    let (request, _room) = body.into_parts();
    let query = request.checked(&api.retrieval)?;
    let answers = &api.flows()?.answers;
    let began = Instant::now();
    let answer = answers.answer(&query).await;
    api.metrics.server_seconds.observe(began.elapsed().as_secs_f64());
    let outcome = answer.as_ref().map_or("failed", |answer| outcome(answer.status));
    api.metrics.query_outcomes.with_label_values(&[outcome]).inc();
    let Answer { status, text, citations, searched } = answer?;
    let citations = citations.into_iter().map(CitationView::from).collect();
    Ok(Json(QueryResponse { status, answer: text, searched, citations, request_id }))
}

fn outcome(status: AnswerStatus) -> &'static str {
    match status {
        AnswerStatus::Grounded => "grounded",
        AnswerStatus::Partial => "partial",
        AnswerStatus::Refused => "refused",
    }
}
