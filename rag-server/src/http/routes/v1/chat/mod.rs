//! `POST /v1/chat/completions`: a conversation's last question, answered from the documents, in OpenAI's shape.

mod request;
mod response;
mod stream;

use std::time::Instant;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use utoipa::openapi::HttpMethod;
use uuid::Uuid;

use self::{
    request::ChatRequest,
    response::{ChatCompletion, Usage},
    stream::{Chunk, Streamed},
};
use super::{
    super::super::{
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{JsonBody, ReaderKey},
        state::Api,
    },
    expect_model,
    models::CHAT,
};
use crate::{generate::AnswerError, model::Answer, resilience::Deadline};

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
            .problem(402, "the budget is spent, and no answer without a language model is wanted")
            .problem(404, "no such model")
            .problem(502, "the answer was not written")
            .problem(503, "the search or every provider is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn chat(
    _key: ReaderKey,
    State(api): State<Api>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<ChatRequest>,
) -> Result<Response, Problem> {
    let flows = api.flows()?;
    let (request, _room) = body.into_parts();
    expect_model(flows, request.model(), CHAT)?;
    let conversation = request.checked()?;
    let head = Head { id: format!("chatcmpl-{}", Uuid::new_v4().simple()), created: Timestamp::now().as_second() };
    let prompt_tokens = flows.embedder.count_tokens(&conversation.question);
    let (streams, include_usage) = (conversation.stream, conversation.include_usage);
    let ask = conversation.ask(&api.retrieval, deadline);
    let mut told = Told { api: api.clone(), began: Instant::now(), prompt_tokens, outcome: None };
    if streams {
        let overloaded = || Problem::new(Code::Overloaded, "too many requests are in flight; try again").retry_after(1);
        let room = api.admission.request().ok_or_else(overloaded)?;
        return Streamed { head, told, include_usage, room }.respond(flows.answers.stream(ask)).await;
    }
    let answer = flows.answers.answer(ask).await;
    told.ended(&answer);
    let answer = answer?;
    let usage = told.usage(&answer);
    Ok(Json(ChatCompletion::new(head, answer, usage)).into_response())
}

/// What is told of an answer beside its text; counts it when it is dropped, however it ended.
struct Told {
    api: Api,
    began: Instant,
    prompt_tokens: usize,
    /// What became of it, and the seconds that providers took; none while its caller may still go away.
    outcome: Option<(&'static str, f64)>,
}

impl Told {
    fn ended(&mut self, answer: &Result<Answer, AnswerError>) {
        let outcome = answer.as_ref().map_or("failed", |answer| answer.status.as_str());
        let millis = answer.as_ref().map_or(0, |answer| answer.generation.provider_millis);
        self.outcome = Some((outcome, millis as f64 / 1000.0));
    }

    /// Tokens as the provider counted them; as the embedding model does, where there was none.
    fn usage(&self, answer: &Answer) -> Usage {
        let spent = answer.generation.usage;
        if spent.prompt_tokens > 0 {
            let tokens = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            return Usage::new(tokens(spent.prompt_tokens), tokens(spent.completion_tokens));
        }
        let written = self.api.flows().map_or(0, |flows| flows.embedder.count_tokens(&answer.text));
        Usage::new(self.prompt_tokens, written)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let metrics = &self.api.metrics;
        let outcome = match self.outcome {
            Some((outcome, provider_seconds)) => {
                metrics.server_seconds.observe((self.began.elapsed().as_secs_f64() - provider_seconds).max(0.0));
                outcome
            }
            None => "abandoned",
        };
        metrics.query_outcomes.with_label_values(&[outcome]).inc();
    }
}
