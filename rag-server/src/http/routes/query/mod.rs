//! `POST /query`: a question to an answer with citations, or to a refusal; whole, or while it is written.

mod events;
mod request;
mod response;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use utoipa::openapi::HttpMethod;

pub(super) use self::request::QueryRequest;
use self::{
    request::AskRequest,
    response::{CitationsEvent, QueryResponse, TextEvent},
};
use super::super::{
    answering::{self, Measured},
    endpoint::Endpoint,
    error::Problem,
    extract::{Client, JsonBody},
    observe::RequestId,
    state::Api,
};
use crate::{generate::Ask, resilience::Deadline};

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
struct About {
    request_id: String,
    explain: bool,
}

async fn query(
    client: Client,
    State(api): State<Api>,
    Extension(id): Extension<RequestId>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<AskRequest>,
) -> Result<Response, Problem> {
    let (request, _room) = body.into_parts();
    let about = About { request_id: id.0.clone(), explain: request.explain() };
    let streams = request.streams();
    let read_only = api.operations.live().state().live.read_only;
    let ask = Ask { read_only, ..request.checked(&api.retrieval, &client, deadline)? };
    let flows = api.flows()?;
    let answers = &flows.answers;
    if streams {
        return answering::stream(&api, id, about, answers.stream(ask)).await;
    }
    let mut measured = Measured::new(api.clone(), id.0);
    let answer = answers.answer(ask).await;
    measured.ended(&answer);
    Ok(Json(QueryResponse::new(answer?, &about)).into_response())
}
