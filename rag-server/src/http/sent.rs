//! Documents in a request, however they are wrapped: JSON, a form with files, or the bytes of one document alone.
//!
//! It only unwraps and names them; whether they can be read is the ingestion's to say, document by document.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    error::{Code, Problem},
    extract::{Client, FromBody, JsonBody, RawBody, content_type},
    form::{File, Form, is_form},
    json,
    plain::Metadata,
    room::Room,
    state::Api,
};
use crate::{
    ingest::{Format, IdempotencyKey, MAX_DOCUMENTS, Source, charset_of, expiry_of},
    model::DocumentId,
};

/// Documents to ingest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestRequest {
    /// The documents, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    documents: Vec<NewDocument>,
    /// Only say what would become of each; nothing is written.
    #[serde(default)]
    dry_run: bool,
}

// Its name stands in the API's description.
/// A document to ingest. One with the same id is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDocument {
    /// Its stable id, such as a path: 1 to 512 bytes.
    #[schema(min_length = 1, max_length = 512)]
    id: String,
    /// Its text, kept exactly.
    text: String,
    /// How the text is written; told by the end of the id (`.md`, `.html`, `.csv`, ...) without it, otherwise plain text.
    format: Option<Format>,
    /// Its title; taken from the text without it.
    title: Option<String>,
    /// Anything else that is to be kept with it. Numbers and booleans are kept as their text.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
    /// From this time on no search finds it, and soon after it is removed; a time of RFC 3339 that is to come. Without it the document is kept for good, also where a time stood before.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// The new content of a document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewContent {
    /// Its text, kept exactly.
    text: String,
    /// How the text is written; told by the end of the id without it, otherwise plain text.
    format: Option<Format>,
    /// Its title; taken from the text without it.
    title: Option<String>,
    /// Anything else that is to be kept with it. Numbers and booleans are kept as their text.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
    /// From this time on no search finds it, and soon after it is removed; a time of RFC 3339 that is to come. Without it the document is kept for good, also where a time stood before.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

impl FromBody for IngestRequest {
    const MAX_BYTES: Option<usize> = None;
}

impl FromBody for NewContent {
    const MAX_BYTES: Option<usize> = None;
}

impl NewDocument {
    fn source(self, at: &str) -> Result<Source, Problem> {
        let id = DocumentId::try_from(self.id).map_err(|e| invalid(format!("{at}id: {e}")))?;
        let format = match self.format {
            Some(format) if format.is_binary() => {
                let detail =
                    format!("{at}format: a text cannot be {}; send the file as multipart/form-data", format.as_str());
                return Err(invalid(detail));
            }
            Some(format) => format,
            // Whoever sends the text of a `.pdf` has taken it out already.
            None => Format::of_name(id.as_str()).ok().filter(|format| !format.is_binary()).unwrap_or(Format::Text),
        };
        let mut source = Source::text(id, format, &self.text);
        (source.title, source.metadata) = (self.title, self.metadata.map(Metadata::into));
        source.expires_at = self.expires_at.map(|text| expiry(at, &text)).transpose()?;
        Ok(source)
    }
}

/// The documents of a request, and the room that they take.
pub(super) struct Sent {
    pub(super) sources: Vec<Source>,
    pub(super) dry_run: bool,
    pub(super) room: Option<Room>,
}

impl FromRequest<Api> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if is_form(request.headers()) {
            return Self::of_form(Form::from_request(request, api).await?);
        }
        let (IngestRequest { documents, dry_run }, room) =
            JsonBody::<IngestRequest>::from_request(request, api).await?.into_parts();
        check_count("documents", documents.len())?;
        let numbered = documents.into_iter().enumerate();
        let sources = numbered.map(|(index, document)| document.source(&format!("documents[{index}].")));
        Ok(Self { sources: sources.collect::<Result<_, _>>()?, dry_run, room })
    }
}

impl Sent {
    fn of_form(Form { files, mut fields, room }: Form) -> Result<Self, Problem> {
        check_count("files", files.len())?;
        let prefix = fields.remove("prefix").unwrap_or_default();
        let metadata = fields.remove("metadata").map(metadata_of);
        let expires_at = fields.remove("expires_at").map(|text| expiry("", &text)).transpose()?;
        let dry_run = match fields.remove("dry_run").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("dry_run: send true or false".to_owned())),
        };
        if let Some(name) = fields.keys().next() {
            let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(invalid(format!(
                "{name}: no such field; a form has files and the fields prefix, metadata, expires_at and dry_run"
            )));
        }
        let metadata = metadata.transpose()?.map(BTreeMap::from);
        let sources = files.into_iter().map(|file| {
            let source = source_of(file, &prefix)?;
            Ok(Source { metadata: metadata.clone(), expires_at, ..source })
        });
        Ok(Self { sources: sources.collect::<Result<_, Problem>>()?, dry_run, room: Some(room) })
    }
}

/// The time that was sent from when on a document is found no more.
fn expiry(at: &str, text: &str) -> Result<Timestamp, Problem> {
    expiry_of(text).map_err(|e| {
        let field = format!("{at}expires_at");
        invalid(format!("{field}: {e}")).param(field)
    })
}

/// The metadata that a form has for all of its files.
fn metadata_of(text: String) -> Result<Metadata, Problem> {
    json::read(&mut text.into_bytes())
        .map_err(|why| invalid(format!("metadata: {why}; send a JSON object with texts, numbers or booleans")))
}

fn source_of(File { name, kind, bytes }: File, prefix: &str) -> Result<Source, Problem> {
    let path = name.replace('\\', "/");
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let id = DocumentId::try_from(format!("{prefix}{path}")).map_err(|e| invalid(format!("the file {name:?}: {e}")))?;
    Ok(sent_as(id, kind.as_deref(), bytes))
}

/// A document as its bytes, with what their content type says of them.
fn sent_as(id: DocumentId, kind: Option<&str>, bytes: Vec<u8>) -> Source {
    let format = format_of(&id, kind);
    Source { charset: kind.and_then(charset_of), ..Source::bytes(id, format, bytes) }
}

/// How a document is written: by its name, else by its content type, else it is taken for text.
fn format_of(id: &DocumentId, kind: Option<&str>) -> Format {
    Format::of_name(id.as_str()).ok().or_else(|| kind.and_then(Format::of_media_type)).unwrap_or(Format::Text)
}

/// The new content of the document that a path names, and the room that it takes.
pub(super) enum Content {
    /// As JSON, with what is said about it.
    Described(NewContent, Option<Room>),
    /// Its bytes alone, and their content type with its parameters.
    Bytes(Vec<u8>, Option<String>, Room),
}

impl FromRequest<Api> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let kind = content_type(request.headers());
        if is_form(request.headers()) {
            let detail = "send the document itself as the body, or JSON; a form goes to POST /ingest";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        if kind.as_deref() == Some("application/json") {
            let (content, room) = JsonBody::<NewContent>::from_request(request, api).await?.into_parts();
            return Ok(Self::Described(content, room));
        }
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let RawBody { bytes, room } = RawBody::from_request(request, api).await?;
        Ok(Self::Bytes(bytes, kind, room))
    }
}

impl Content {
    /// The content under its name.
    pub(super) fn named(self, id: String) -> Result<(Source, Option<Room>), Problem> {
        match self {
            Self::Described(NewContent { text, format, title, metadata, expires_at }, room) => {
                Ok((NewDocument { id, text, format, title, metadata, expires_at }.source("")?, room))
            }
            Self::Bytes(bytes, kind, room) => {
                let id = DocumentId::try_from(id).map_err(|e| invalid(e.to_string()))?;
                Ok((sent_as(id, kind.as_deref(), bytes), Some(room)))
            }
        }
    }
}

/// The key of a request that may be sent again.
pub(super) fn idempotency_key(client: &Client, headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = IdempotencyKey::new(&client.owner(), value.to_str().unwrap_or_default());
    key.map(Some).map_err(|e| Problem::new(Code::BadRequest, e.to_string()))
}

fn check_count(what: &str, documents: usize) -> Result<(), Problem> {
    if (1..=MAX_DOCUMENTS).contains(&documents) {
        return Ok(());
    }
    Err(invalid(format!("{what}: {documents} in one request; send 1 to {MAX_DOCUMENTS}")))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidValue, detail)
}
