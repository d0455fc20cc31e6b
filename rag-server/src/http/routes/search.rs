//! `POST /search`: a question to the passages that are nearest to it, without an answer.

use axum::{Extension, Json, extract::State, routing::post};
use serde::Serialize;
use utoipa::{ToSchema, openapi::HttpMethod};

use super::{
    super::{
        endpoint::Endpoint,
        error::Problem,
        extract::{Client, JsonBody},
        observe::RequestId,
        passage::PassageView,
        state::Api,
    },
    query::QueryRequest,
};
use crate::{generate::AnswerError, model::Degradation, resilience::Deadline};

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct SearchResponse {
    /// How many chunks were searched.
    searched: u64,
    /// The passages, best first; empty when nothing relevant is stored.
    passages: Vec<PassageView>,
    /// What was left out because the time was short, a service failed or the budget is spent; absent nearly always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degradation>,
    /// Finds the request in the log.
    request_id: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/search", post(search), "Find the passages nearest to a question")
            .keyed()
            .body::<QueryRequest>()
            .answers::<SearchResponse>(200, "the passages, best first; none when nothing relevant is stored")
            .problem(503, "the search is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn search(
    client: Client,
    State(api): State<Api>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<QueryRequest>,
) -> Result<Json<SearchResponse>, Problem> {
    let (request, _room) = body.into_parts();
    let query = request.checked(&api.retrieval, client.tenant())?;
    let found = api.flows()?.retrieve.retrieve(&query, Some(deadline)).await.map_err(AnswerError::Retrieve)?;
    let passages = found.passages.into_iter().map(PassageView::from).collect();
    Ok(Json(SearchResponse { searched: found.searched, passages, degraded: found.degraded, request_id }))
}
