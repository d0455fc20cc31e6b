//! `POST /v1/rerank`: orders documents by their nearness to a question, in the shape of Cohere's and Jina's APIs.
//!
//! Caveat: the score is the cosine of the embedding model, a bi-encoder. It reads question and document apart, so it is weaker than a cross-encoder, and it adds nothing to what the dense leg of a search ranked already.

use axum::{Extension, Json, extract::State, routing::post};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::{
    super::super::{
        endpoint::Endpoint,
        error::Problem,
        extract::{Client, FromBody, JsonBody},
        observe::RequestId,
        question,
        state::Api,
    },
    expect_model, invalid,
};
use crate::{model::Similarity, ports::Embedder, resilience::Bodies};

/// Documents of one request; as many as Cohere takes.
const MAX_DOCUMENTS: usize = 1000;

/// Documents to order.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RerankRequest {
    /// The embedding model, by its name in `/v1/models`.
    model: Option<String>,
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    query: String,
    /// The documents, 1 to 1000; of each the beginning counts, as much as the model reads.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000)]
    documents: Vec<Document>,
    /// How many results are wanted; all without it.
    #[schema(minimum = 1)]
    top_n: Option<usize>,
    /// Whether results hold their document's text.
    #[serde(default)]
    return_documents: bool,
}

impl FromBody for RerankRequest {
    const MAX_BYTES: Option<usize> = None;
    const KIND: Bodies = Bodies::Texts;
}

/// A document: its text, or an object that holds it.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or an object with the member text")]
pub(super) enum Document {
    Text(String),
    Object { text: String },
}

impl Document {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { text } => text,
        }
    }
}

/// The documents in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RerankResponse {
    /// Finds the request in the log.
    id: String,
    /// The model.
    model: String,
    /// The nearest first.
    results: Vec<Ranked>,
}

/// One document.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ranked {
    /// Its place in the request.
    index: usize,
    /// Its cosine to the question; what points the other way is 0.
    relevance_score: f32,
    /// The document, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<RankedDocument>,
}

/// A document of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RankedDocument {
    /// Its text.
    text: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Order documents by their embedding's cosine to a question; Cohere's shape";
    vec![
        Endpoint::new(HttpMethod::Post, "/v1/rerank", post(rerank), summary)
            .keyed()
            .body::<RerankRequest>()
            .answers::<RerankResponse>(200, "the documents, the nearest first")
            .problem(404, "no such model")
            .problem(503, "too many texts wait for the model")
            .problem(504, "not done in time; send fewer documents at once"),
    ]
}

async fn rerank(
    _client: Client,
    State(api): State<Api>,
    Extension(RequestId(id)): Extension<RequestId>,
    body: JsonBody<RerankRequest>,
) -> Result<Json<RerankResponse>, Problem> {
    let flows = api.flows()?;
    let (request, _room) = body.into_parts();
    let model = &flows.embedder.model().name;
    expect_model(&flows, request.model.as_deref(), model)?;
    check(&request)?;
    let RerankRequest { query, documents, top_n, return_documents, .. } = request;
    let texts: Vec<String> = documents.into_iter().map(Document::into_text).collect();
    let mut results = ranked(&*flows.embedder, &query, texts.clone()).await?;
    results.truncate(top_n.unwrap_or(usize::MAX));
    if return_documents {
        for result in &mut results {
            result.document = texts.get(result.index).map(|text| RankedDocument { text: text.clone() });
        }
    }
    Ok(Json(RerankResponse { id, model: model.clone(), results }))
}

fn check(request: &RerankRequest) -> Result<(), Problem> {
    question::check(&request.query).map_err(|why| invalid("query", why))?;
    let documents = request.documents.len();
    if !(1..=MAX_DOCUMENTS).contains(&documents) {
        return Err(invalid("documents", format_args!("{documents} documents; send 1 to {MAX_DOCUMENTS}")));
    }
    match request.top_n {
        Some(0) => Err(invalid("top_n", "0; it must be at least 1")),
        _ => Ok(()),
    }
}

/// Every document with its score, the best first; of equal ones in the order in which they came.
async fn ranked(embedder: &dyn Embedder, query: &str, texts: Vec<String>) -> Result<Vec<Ranked>, Problem> {
    let question = embedder.embed_query(query).await?;
    let vectors = embedder.embed_texts(texts).await?;
    let cosine = |vector: &[f32]| question.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>().clamp(0.0, 1.0);
    let mut results: Vec<Ranked> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| Ranked { index, relevance_score: cosine(vector), document: None })
        .collect();
    results.sort_by(|a, b| Similarity::best_first(Similarity(a.relevance_score), Similarity(b.relevance_score)));
    Ok(results)
}
