//! `/jobs/{id}`: how far an ingestion is, and its end before its time.

use axum::{
    Json,
    extract::State,
    routing::{get, post},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, PathId, WriterKey},
    state::Api,
};
use super::notice::{NoticeView, views};
use crate::{
    ingest::{DocumentState, JobDocument, JobId, JobProgress, JobState},
    model::Outcome,
};

/// An ingestion job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct JobView {
    /// Its id.
    id: String,
    /// How far it is.
    state: JobState,
    /// What became of each document, in the order in which they were sent.
    documents: Vec<JobDocumentView>,
    /// Chunks that its documents have; an estimate from their bytes until the last one is cut.
    chunks_total: u64,
    /// Chunks that are written.
    chunks_done: u64,
    /// Bytes of the documents that have to be read.
    bytes_total: u64,
    /// Bytes of them that are dealt with.
    bytes_done: u64,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When somebody began to work on it.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When its last document was dealt with.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Chunks per second so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks_per_second: Option<f64>,
    /// Seconds until it will be done at that pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<u64>,
    /// What failed and is waited for, such as a disk without room, as far as the server that was asked knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    /// Why it failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A document of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct JobDocumentView {
    /// The document's id.
    id: String,
    /// `queued`, `done`, `failed` or `cancelled`.
    state: &'static str,
    /// `created`, `updated`, `metadata_only`, `unchanged` or `duplicate_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// The document that has the same text.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What is said of it that its outcome does not tell, such as pages without text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<NoticeView>,
    /// How many chunks it has; 0 before it was cut.
    chunks: u32,
    /// How often the provider of the embedding model failed on it so far, while it answered for other texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    /// When it is tried again at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    retry_at: Option<Timestamp>,
}

impl From<JobProgress> for JobView {
    fn from(progress: JobProgress) -> Self {
        let JobProgress { job, chunks_total, chunks_per_second, eta_seconds, waits_for } = progress;
        Self {
            id: job.id.to_string(),
            state: job.state,
            documents: job.documents.into_iter().map(JobDocumentView::from).collect(),
            chunks_total,
            chunks_done: job.chunks_done,
            bytes_total: job.bytes_total,
            bytes_done: job.bytes_done,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            chunks_per_second,
            eta_seconds,
            waits_for,
            error: job.error,
        }
    }
}

impl From<JobDocument> for JobDocumentView {
    fn from(JobDocument { id, state, chunks, tries, retry_at, .. }: JobDocument) -> Self {
        let view = Self {
            id: id.into(),
            state: "queued",
            outcome: None,
            duplicate_of: None,
            error: None,
            notices: Vec::new(),
            chunks,
            tries: (tries > 0).then_some(tries),
            retry_at,
        };
        match state {
            DocumentState::Queued => view,
            DocumentState::Cancelled => Self { state: "cancelled", ..view },
            DocumentState::Failed { error } => Self { state: "failed", error: Some(error.to_string()), ..view },
            DocumentState::Done { outcome, notices } => {
                let (outcome, duplicate_of) = match outcome {
                    Outcome::Created => ("created", None),
                    Outcome::Updated => ("updated", None),
                    Outcome::MetadataOnly => ("metadata_only", None),
                    Outcome::Unchanged => ("unchanged", None),
                    Outcome::DuplicateOf(other) => ("duplicate_of", Some(other.into())),
                };
                Self { state: "done", outcome: Some(outcome), duplicate_of, notices: views(&notices), ..view }
            }
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Get, "/jobs/{id}", get(job), "How far an ingestion is")
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, "the job's id")
            .answers::<JobView>(200, "the job")
            .problem(404, "no such job"),
        Endpoint::new(HttpMethod::Post, "/jobs/{id}/cancel", post(cancel), "End an ingestion before its time")
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, "the job's id")
            .answers::<JobView>(200, "the job as it ended; what was ingested until then stands")
            .problem(404, "no such job"),
    ]
}

fn unknown() -> Problem {
    Problem::new(Code::NoSuchJob, "no job has this id; jobs are forgotten some time after they end")
}

async fn cancel(
    WriterKey(client): WriterKey,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<JobView>, Problem> {
    let id = own(&client, &api, &id).await?.job.id;
    let job = api.flows()?.ingest.cancel(&id).await?.ok_or_else(unknown)?;
    Ok(Json(job.into()))
}

async fn job(client: Client, State(api): State<Api>, PathId(id): PathId) -> Result<Json<JobView>, Problem> {
    Ok(Json(own(&client, &api, &id).await?.into()))
}

/// The job, if it is the tenant's; those of others do not exist for it.
async fn own(client: &Client, api: &Api, id: &str) -> Result<JobProgress, Problem> {
    let id = id.parse::<JobId>().map_err(|_| unknown())?;
    let found = api.flows()?.ingest.job(&id).await?;
    found.filter(|found| found.job.tenant() == *client.tenant()).ok_or_else(unknown)
}
