//! `POST /ingest`: documents in, a job out.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{FromBody, JsonBody, WriterKey},
    state::Api,
};
use crate::{
    ingest::{Format, MAX_DOCUMENTS, Source},
    model::DocumentId,
};

/// Documents to ingest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestRequest {
    /// The documents, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    documents: Vec<NewDocument>,
}

/// A document to ingest. One with the same id is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDocument {
    /// Its stable id, such as a path: 1 to 512 bytes.
    #[schema(min_length = 1, max_length = 512)]
    id: String,
    /// Its text, kept exactly.
    text: String,
    /// How the text is written; told by the end of the id (`.md`, `.html`, `.txt`) without it, otherwise plain text.
    format: Option<Format>,
    /// Its title; taken from the text without it.
    title: Option<String>,
    /// Anything else that is to be kept with it.
    metadata: Option<BTreeMap<String, String>>,
}

impl FromBody for IngestRequest {
    const MAX_BYTES: Option<usize> = None;
}

impl IngestRequest {
    fn sources(self) -> Result<Vec<Source>, Problem> {
        let documents = self.documents.len();
        if !(1..=MAX_DOCUMENTS).contains(&documents) {
            let detail = format!("documents: {documents} in one request; send 1 to {MAX_DOCUMENTS}");
            return Err(Problem::new(Code::InvalidValue, detail));
        }
        self.documents.into_iter().enumerate().map(|(index, document)| document.source(index)).collect()
    }
}

impl NewDocument {
    fn source(self, index: usize) -> Result<Source, Problem> {
        let id = DocumentId::try_from(self.id)
            .map_err(|e| Problem::new(Code::InvalidValue, format!("documents[{index}].id: {e}")))?;
        let format = self.format.or_else(|| Format::of_name(id.as_str()).ok()).unwrap_or(Format::Text);
        let mut source = Source::text(id, format, &self.text);
        source.title = self.title;
        source.metadata = self.metadata;
        Ok(source)
    }
}

/// The job that ingests the documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its id: `GET /jobs/{id}` tells how far it is.
    job: String,
    /// How many documents it has.
    documents: usize,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/ingest", post(ingest), "Ingest documents; what is unchanged costs nothing")
            .keyed()
            .body::<IngestRequest>()
            .answers::<Accepted>(202, "accepted for good; the header Location names the job")
            .problem(503, "read-only, busy, or a store is not available"),
    ]
}

async fn ingest(
    _key: WriterKey,
    State(api): State<Api>,
    body: JsonBody<IngestRequest>,
) -> Result<impl IntoResponse, Problem> {
    let ingest = &api.flows()?.ingest;
    // The body's room is kept until the texts stand in the records.
    let (request, _room) = body.into_parts();
    let sources = request.sources()?;
    let documents = sources.len();
    let job = ingest.submit(sources).await?.to_string();
    let location = format!("/jobs/{job}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Accepted { job, documents })))
}
