//! `POST /query`: a question to an answer with citations, or to a refusal; whole, or while it is written.

mod events;
mod request;
mod response;

use std::time::Instant;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use utoipa::openapi::HttpMethod;

use self::{
    events::Streamed,
    request::AskRequest,
    response::{CitationsEvent, QueryResponse, TextEvent},
};
use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, JsonBody},
    observe::RequestId,
    state::Api,
};
use crate::{
    generate::AnswerError,
    model::Answer,
    resilience::{Deadline, Permit},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Answer a question from the documents, with citations; with `stream`, server-sent events";
    vec![
        Endpoint::new(HttpMethod::Post, "/query", post(query), summary)
            .keyed()
            .body::<AskRequest>()
            .answers::<QueryResponse>(200, "the answer, or a refusal when nothing relevant is stored")
            .also_sends::<CitationsEvent>()
            .also_sends::<TextEvent>()
            .problem(402, "the budget is spent, and no answer without a language model is wanted")
            .problem(502, "a provider broke off, or the generator failed")
            .problem(503, "the search or every provider is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

/// What of a request is told with its answer.
struct Told {
    request_id: String,
    explain: bool,
}

async fn query(
    client: Client,
    State(api): State<Api>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<AskRequest>,
) -> Result<Response, Problem> {
    let (request, _room) = body.into_parts();
    let told = Told { request_id, explain: request.explain() };
    let streams = request.streams();
    let ask = request.checked(&api.retrieval, client.name(), deadline)?;
    let answers = &api.flows()?.answers;
    let mut measured = Measured::new(api.clone());
    if streams {
        let room = room(&api)?;
        return Streamed { told, room, measured }.respond(answers.stream(ask)).await;
    }
    let answer = answers.answer(ask).await;
    measured.ended(&answer);
    Ok(Json(QueryResponse::new(answer?, told)).into_response())
}

/// Room for a stream, which outlives the request's own.
fn room(api: &Api) -> Result<Permit, Problem> {
    let overloaded = || Problem::new(Code::Overloaded, "too many requests are in flight; try again").retry_after(1);
    api.admission.request().ok_or_else(overloaded)
}

/// Counts one question, however it ends.
struct Measured {
    api: Api,
    began: Instant,
    outcome: &'static str,
    provider_seconds: f64,
}

impl Measured {
    fn new(api: Api) -> Self {
        // What is dropped without an end was given up by its caller.
        Self { api, began: Instant::now(), outcome: "abandoned", provider_seconds: 0.0 }
    }

    fn ended(&mut self, answer: &Result<Answer, AnswerError>) {
        self.outcome = answer.as_ref().map_or("failed", |answer| answer.status.as_str());
        let millis = answer.as_ref().map_or(0, |answer| answer.generation.provider_millis);
        self.provider_seconds = millis as f64 / 1000.0;
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let own = (self.began.elapsed().as_secs_f64() - self.provider_seconds).max(0.0);
        if self.outcome != "abandoned" {
            self.api.metrics.server_seconds.observe(own);
        }
        self.api.metrics.query_outcomes.with_label_values(&[self.outcome]).inc();
    }
}
