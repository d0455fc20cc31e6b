//! `/documents`: what is stored. An id may hold slashes, written as they are or as `%2F`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{delete, get, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, Params, PathId, WriterKey},
    sent::{Content, NewContent, idempotency_key},
    state::Api,
};
use super::{
    ingest::{Accepted, accept},
    notice::{NoticeView, views},
};
use crate::{
    ingest::Deleted,
    model::{Chunk, DocumentId, DocumentRecord},
};

/// Documents of a page, unless the caller wants another number.
const DEFAULT_LIMIT: usize = 100;

/// Documents of the largest page.
const MAX_LIMIT: usize = 1000;

/// A stored document.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct DocumentView {
    /// Its id.
    id: String,
    /// Its title.
    title: String,
    /// Names this version of its text.
    version: String,
    /// What was said about it when it was ingested.
    metadata: BTreeMap<String, String>,
    /// How many chunks it has.
    chunks: u32,
    /// Size of its source in bytes.
    bytes: u64,
    /// What is said of it beside its text, such as pages without text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<NoticeView>,
    /// From this time on no search finds it; absent where it is kept for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When this version was stored.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<DocumentRecord> for DocumentView {
    fn from(record: DocumentRecord) -> Self {
        Self {
            version: record.content().0.clone(),
            id: record.id.into(),
            title: record.title,
            metadata: record.metadata,
            chunks: record.chunks,
            bytes: record.bytes,
            notices: views(&record.notices),
            expires_at: record.expires_at,
            updated_at: record.updated_at,
        }
    }
}

/// A document and its text, as it was cut.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct WholeDocumentView {
    #[serde(flatten)]
    document: DocumentView,
    /// Its passages, when they were asked for: at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    passages: Option<Vec<CutView>>,
    /// Send this as `from` for the passages that follow; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

/// A passage of a document.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = DocumentPassage)]
pub(super) struct CutView {
    /// Its place, from 0.
    ordinal: u32,
    /// Headings above it, outermost first.
    headings: Vec<String>,
    /// Its text.
    text: String,
}

impl From<Chunk> for CutView {
    fn from(Chunk { ordinal, headings, text, .. }: Chunk) -> Self {
        Self { ordinal, headings, text }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutParams {
    #[serde(default)]
    passages: bool,
    #[serde(default)]
    from: u32,
}

/// A page of documents, ordered by id.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct DocumentPage {
    /// The documents.
    documents: Vec<DocumentView>,
    /// Send this as `after` for the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageParams {
    prefix: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let id = "the document's id; slashes as they are, or as %2F";
    vec![
        Endpoint::new(HttpMethod::Get, "/documents", get(list), "List the stored documents")
            .keyed()
            .parameter(ParameterIn::Query, "prefix", Type::String, "only documents whose id begins with this")
            .parameter(ParameterIn::Query, "after", Type::String, "the id after which the page begins")
            .parameter(ParameterIn::Query, "limit", Type::Integer, "documents of the page, 1 to 1000; 100 without it")
            .answers::<DocumentPage>(200, "a page")
            .problem(422, "a parameter is out of its bounds"),
        Endpoint::new(
            HttpMethod::Get,
            "/documents/{id}",
            get(document),
            "Read what is recorded of a document, and its text",
        )
        .keyed()
        .parameter(ParameterIn::Path, "id", Type::String, id)
        .parameter(ParameterIn::Query, "passages", Type::Boolean, "whether its passages are wanted, too")
        .parameter(ParameterIn::Query, "from", Type::Integer, "the first passage, from 0")
        .answers::<WholeDocumentView>(200, "the document")
        .problem(404, "no such document"),
        Endpoint::new(HttpMethod::Put, "/documents/{id}", put(replace), "Write a document, or replace it in place")
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, id)
            .parameter(
                ParameterIn::Header,
                "Idempotency-Key",
                Type::String,
                "the same key with the same document gets the same job",
            )
            .body::<NewContent>()
            .also_takes("*/*", "the document itself; its format is told by the end of the id, or by the content type")
            .answers::<Accepted>(202, "accepted for good; the header Location names the job")
            .problem(429, "too much waits already; the header Retry-After says when to come again")
            .problem(503, "read-only, busy, or a store is not available")
            .problem(507, "a store has no room left on its disk"),
        Endpoint::new(HttpMethod::Delete, "/documents/{id}", delete(remove), "Delete a document and its chunks")
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, id)
            .answers_plainly(204, None, "it is gone")
            .problem(404, "no such document")
            .problem(507, "a store has no room left on its disk"),
    ]
}

async fn list(
    client: Client,
    State(api): State<Api>,
    Params(PageParams { prefix, after, limit }): Params<PageParams>,
) -> Result<Json<DocumentPage>, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::new(Code::InvalidValue, format!("limit: {limit}; it must be from 1 to {MAX_LIMIT}")));
    }
    let prefix = prefix.unwrap_or_default();
    let (documents, next) =
        api.flows()?.ingest.documents_below(client.tenant(), &prefix, after.as_deref(), limit).await?;
    Ok(Json(DocumentPage { documents: documents.into_iter().map(DocumentView::from).collect(), next }))
}

fn unknown() -> Problem {
    Problem::new(Code::NoSuchDocument, "no document has this id; GET /documents lists them")
}

/// The tenant's document of this name; what cannot be an id names none.
fn id_of(client: &Client, text: String) -> Result<DocumentId, Problem> {
    DocumentId::try_from(text).map(|id| id.of(client.tenant())).map_err(|_| unknown())
}

async fn document(
    client: Client,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(CutParams { passages, from }): Params<CutParams>,
) -> Result<Json<WholeDocumentView>, Problem> {
    let flows = api.flows()?;
    let ingest = &flows.ingest;
    let record = ingest.document(&id_of(&client, id)?).await?.ok_or_else(unknown)?;
    let (passages, next) = match passages {
        true => {
            let (chunks, next) = ingest.chunks(&record, from).await?;
            (Some(chunks.into_iter().map(CutView::from).collect()), next)
        }
        false => (None, None),
    };
    Ok(Json(WholeDocumentView { document: record.into(), passages, next }))
}

async fn replace(
    WriterKey(client): WriterKey,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    content: Content,
) -> Result<Response, Problem> {
    let flows = api.flows()?;
    let ingest = &flows.ingest;
    let key = idempotency_key(&client, &headers)?;
    // The body's room is kept until its documents stand in the records.
    let (source, _room) = content.named(id)?;
    accept(ingest, &client, key.as_ref(), vec![source]).await
}

async fn remove(
    WriterKey(client): WriterKey,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Problem> {
    match api.flows()?.ingest.delete(&id_of(&client, id)?).await? {
        Deleted::Gone => Ok(StatusCode::NO_CONTENT),
        Deleted::Unknown => Err(unknown()),
    }
}
