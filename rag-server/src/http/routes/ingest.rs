//! `POST /ingest`: documents in, a job out. `POST /prune`: what is gone where it came from goes here, too.

use std::collections::HashSet;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, FromBody, JsonBody, WriterKey},
    sent::{IngestRequest, Sent, idempotency_key},
    state::Api,
};
use super::notice::{NoticeView, views};
use crate::{
    ingest::{DocumentReport, IdempotencyKey, Ingest, Prune, Source},
    model::{DocumentId, Outcome},
};

/// Documents that one request removes at most, so that it ends in time; the answer says where the next one begins.
const PRUNED_AT_ONCE: usize = 200;

/// The job that ingests the documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its id: `GET /jobs/{id}` tells how far it is.
    job: String,
    /// How many documents it has.
    documents: usize,
}

/// What would become of documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Preview {
    /// Always true: nothing was written.
    dry_run: bool,
    /// What would become of each, in the order in which they were sent.
    documents: Vec<PreviewedDocument>,
}

/// What would become of a document.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewedDocument {
    /// The document's id.
    id: String,
    /// `created`, `updated`, `metadata_only`, `unchanged`, `duplicate_of` or `failed`.
    outcome: &'static str,
    /// The document that has the same text.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    /// Why it would fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What would be said of it that its outcome does not tell, such as pages without text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<NoticeView>,
    /// How many chunks would be written.
    chunks: u32,
}

impl From<DocumentReport> for PreviewedDocument {
    fn from(report: DocumentReport) -> Self {
        let (outcome, notices) = (report.outcome(), views(&report.notices));
        let (duplicate_of, error) = match report.result {
            Ok(Outcome::DuplicateOf(original)) => (Some(original.into()), None),
            Ok(Outcome::Created | Outcome::Updated | Outcome::MetadataOnly | Outcome::Unchanged) => (None, None),
            Err(reason) => (None, Some(reason.to_string())),
        };
        Self { id: report.name, outcome, duplicate_of, error, notices, chunks: report.chunks }
    }
}

/// Which documents stay below a prefix.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PruneRequest {
    /// Only documents whose id begins with this are looked at; it ends with `/`, or is empty for all documents.
    prefix: String,
    /// The ids that are still there, at least one; every other one below the prefix is removed.
    #[schema(min_items = 1)]
    keep: Vec<String>,
    /// Only say what would be removed.
    #[serde(default)]
    dry_run: bool,
    /// Where to go on: what the last answer said as `next`.
    after: Option<String>,
}

impl FromBody for PruneRequest {
    const MAX_BYTES: Option<usize> = None;
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PruneAnswer {
    /// Whether it is only said what would be removed.
    dry_run: bool,
    /// The ids.
    removed: Vec<String>,
    /// Send this as `after` to go on; null at the end.
    next: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Post, "/ingest", post(ingest), "Ingest documents; what is unchanged costs nothing")
            .keyed()
            .parameter(
                ParameterIn::Header,
                "Idempotency-Key",
                Type::String,
                "the same key with the same documents gets the same job",
            )
            .body::<IngestRequest>()
            .also_takes(
                "multipart/form-data",
                "files by name; fields prefix, metadata (a JSON object), expires_at, dry_run",
            )
            .answers::<Preview>(200, "what would become of each, for a dry run")
            .answers::<Accepted>(202, "accepted for good; the header Location names the job")
            .problem(429, "too much waits already; the header Retry-After says when to come again")
            .problem(503, "read-only, busy, or a store is not available")
            .problem(507, "a store has no room left on its disk"),
        Endpoint::new(
            HttpMethod::Post,
            "/prune",
            post(prune),
            "Remove the documents below a prefix that are not listed",
        )
        .keyed()
        .body::<PruneRequest>()
        .answers::<PruneAnswer>(200, "what was removed; ask again with `next` until it is null")
        .problem(503, "read-only, or a store is not available")
        .problem(507, "a store has no room left on its disk"),
    ]
}

async fn ingest(
    WriterKey(client): WriterKey,
    State(api): State<Api>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    let flows = api.flows()?;
    let ingest = &flows.ingest;
    let key = idempotency_key(&client, &headers)?;
    // The body's room is kept until its documents stand in the records.
    let Sent { sources, dry_run, room: _room } = sent;
    if dry_run {
        let documents =
            ingest.preview(owned(&client, sources)).await?.into_iter().map(PreviewedDocument::from).collect();
        return Ok(Json(Preview { dry_run, documents }).into_response());
    }
    accept(ingest, &client, key.as_ref(), sources).await
}

/// Makes the job, or finds the one that the same request made before.
pub(super) async fn accept(
    ingest: &Ingest,
    client: &Client,
    key: Option<&IdempotencyKey>,
    sources: Vec<Source>,
) -> Result<Response, Problem> {
    let sources = owned(client, sources);
    let documents = sources.len();
    let job = match key {
        Some(key) => ingest.submit_once(key, sources).await?,
        None => ingest.submit(sources).await?,
    };
    let job = job.to_string();
    let location = format!("/jobs/{job}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Accepted { job, documents })).into_response())
}

/// The documents as the tenant's.
fn owned(client: &Client, sources: Vec<Source>) -> Vec<Source> {
    sources.into_iter().map(|source| Source { id: source.id.of(client.tenant()), ..source }).collect()
}

async fn prune(
    WriterKey(client): WriterKey,
    State(api): State<Api>,
    body: JsonBody<PruneRequest>,
) -> Result<Json<PruneAnswer>, Problem> {
    let flows = api.flows()?;
    let ingest = &flows.ingest;
    let (PruneRequest { prefix, keep, dry_run, after }, _room) = body.into_parts();
    let invalid = |detail: String| Problem::new(Code::InvalidValue, detail);
    if !(prefix.is_empty() || prefix.ends_with('/')) {
        return Err(invalid("prefix: it must end with a slash, or be empty for all documents".to_owned()));
    }
    if keep.is_empty() {
        return Err(invalid(
            "keep: list what is still there; to remove one document use DELETE /documents/{id}".to_owned(),
        ));
    }
    let own = |id: String| DocumentId::try_from(id).map(|id| id.of(client.tenant()));
    let keep = keep.into_iter().map(own).collect::<Result<HashSet<_>, _>>();
    let keep = keep.map_err(|e| invalid(format!("keep: {e}")))?;
    let prune = Prune { tenant: client.tenant(), prefix: &prefix, keep: &keep, dry_run };
    let pruned = ingest.prune(prune, after.as_deref(), PRUNED_AT_ONCE).await?;
    let removed = pruned.removed.into_iter().map(String::from).collect();
    Ok(Json(PruneAnswer { dry_run, removed, next: pruned.next }))
}
