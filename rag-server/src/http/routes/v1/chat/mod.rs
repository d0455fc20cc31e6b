//! `POST /v1/chat/completions`: a conversation's last question, answered from the documents, in OpenAI's shape.

mod request;
mod response;
mod stream;

use std::time::Instant;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use utoipa::openapi::HttpMethod;
use uuid::Uuid;

use self::{
    request::{ChatRequest, Conversation},
    response::{ChatCompletion, Usage},
    stream::Chunk,
};
use super::{
    super::super::{
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{JsonBody, ReaderKey},
        state::{Api, Flows},
    },
    expect_model,
    models::CHAT,
};
use crate::model::{Answer, AnswerStatus, Query};

/// What every piece of one completion repeats.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    created: i64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Answer the last question of a conversation from the documents; OpenAI's shape";
    vec![
        Endpoint::new(HttpMethod::Post, "/v1/chat/completions", post(chat), summary)
            .keyed()
            .body::<ChatRequest>()
            .answers::<ChatCompletion>(200, "the answer or a refusal; with `stream`, server-sent events of chunks")
            .also_sends::<Chunk>()
            .problem(404, "no such model")
            .problem(503, "the search is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn chat(_key: ReaderKey, State(api): State<Api>, body: JsonBody<ChatRequest>) -> Result<Response, Problem> {
    let flows = api.flows()?;
    let (request, _room) = body.into_parts();
    expect_model(flows, request.model(), CHAT)?;
    let conversation = request.checked()?;
    let head = Head { id: format!("chatcmpl-{}", Uuid::new_v4().simple()), created: Timestamp::now().as_second() };
    let answer = answered(&api, flows, &conversation).await?;
    let usage = usage(flows, &conversation, &answer);
    if !conversation.stream {
        return Ok(Json(ChatCompletion::new(head, answer, usage)).into_response());
    }
    let overloaded = || Problem::new(Code::Overloaded, "too many requests are in flight; try again").retry_after(1);
    let room = api.admission.request().ok_or_else(overloaded)?;
    Ok(stream::events(head, answer, conversation.include_usage.then_some(usage), room).into_response())
}

async fn answered(api: &Api, flows: &Flows, conversation: &Conversation) -> Result<Answer, Problem> {
    let query = Query { text: conversation.question.clone(), mode: api.retrieval.mode, top_k: api.retrieval.top_k };
    let began = Instant::now();
    let answer = flows.answers.answer(&query).await;
    api.metrics.server_seconds.observe(began.elapsed().as_secs_f64());
    let outcome = answer.as_ref().map_or("failed", |answer| match answer.status {
        AnswerStatus::Grounded => "grounded",
        AnswerStatus::Partial => "partial",
        AnswerStatus::Refused => "refused",
    });
    api.metrics.query_outcomes.with_label_values(&[outcome]).inc();
    Ok(answer?)
}

/// Tokens as the embedding model counts them.
fn usage(flows: &Flows, conversation: &Conversation, answer: &Answer) -> Usage {
    Usage::new(flows.embedder.count_tokens(&conversation.question), flows.embedder.count_tokens(&answer.text))
}
