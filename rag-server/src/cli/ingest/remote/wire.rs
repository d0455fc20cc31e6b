//! What is sent to a server, and what it answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ingest::Format,
    model::{DocumentId, Outcome},
};

#[derive(Serialize)]
pub(super) struct Request {
    pub(super) documents: Vec<PostedDocument>,
    pub(super) dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct Preview {
    pub(super) documents: Vec<JobDocument>,
}

#[derive(Serialize)]
pub(super) struct PruneRequest<'p> {
    pub(super) prefix: &'p str,
    pub(super) keep: Vec<&'p DocumentId>,
    pub(super) dry_run: bool,
    pub(super) after: Option<&'p str>,
}

#[derive(Deserialize)]
pub(super) struct PruneAnswer {
    pub(super) removed: Vec<DocumentId>,
    pub(super) next: Option<String>,
}

/// A document as it is posted: a file has no title and no metadata beside its text.
#[derive(Serialize)]
pub(super) struct PostedDocument {
    pub(super) id: DocumentId,
    pub(super) text: String,
    pub(super) format: Format,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(super) struct Accepted {
    pub(super) job: String,
}

#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) state: String,
    pub(super) chunks_total: u64,
    pub(super) chunks_done: u64,
    pub(super) eta_seconds: Option<u64>,
    pub(super) documents: Vec<JobDocument>,
}

#[derive(Deserialize)]
pub(super) struct JobDocument {
    pub(super) id: String,
    #[serde(default)]
    pub(super) state: String,
    pub(super) outcome: Option<String>,
    pub(super) duplicate_of: Option<DocumentId>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) notices: Vec<Notice>,
}

#[derive(Deserialize)]
pub(super) struct Notice {
    pub(super) message: String,
}

/// Bytes of a text inside JSON.
pub(super) fn json_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum()
}

pub(super) fn outcome(document: JobDocument) -> Result<Outcome, String> {
    match (document.outcome.as_deref(), document.duplicate_of) {
        (Some("created"), _) => Ok(Outcome::Created),
        (Some("updated"), _) => Ok(Outcome::Updated),
        (Some("metadata_only"), _) => Ok(Outcome::MetadataOnly),
        (Some("unchanged"), _) => Ok(Outcome::Unchanged),
        (Some("duplicate_of"), Some(other)) => Ok(Outcome::DuplicateOf(other)),
        (None, _) if document.state == "cancelled" => Err("its job was cancelled".to_owned()),
        (Some("failed"), _) => Err(document.error.unwrap_or_else(|| "no reason given".to_owned())),
        (Some(other), _) => Err(format!("an outcome that this program does not know: {other}")),
        (None, _) => Err(document.error.unwrap_or_else(|| "no reason given".to_owned())),
    }
}
