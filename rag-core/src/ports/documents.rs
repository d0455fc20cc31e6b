//! Records of documents: those of one tenant, page by page, and places that are kept for documents which are written for the first time.
//!
//! A place is a record of [`Kind::Document`] with nothing in it. It stands while its document is in work, so that committing it is a change of a record whose version the writer knows, and never a
//! new record, which could come back after a deletion. No reader sees it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Kind, Page, Record, Records, StoreError};
use crate::model::{ContentHash, DocumentId, Tenant, key_prefix};

/// The field that only a place has.
const PLACE: &str = "place";

/// Claims that are looked at together.
const CLAIMS: usize = 256;

/// What a place says.
pub fn place() -> Value {
    json!({ PLACE: true })
}

/// Whether a record tells of a document that stands.
pub fn stands(record: &Record) -> bool {
    record.body.get(PLACE).is_none()
}

/// Whether the time of a document is over, by its record; it is removed soon after.
pub fn has_expired(record: &Record, now: Timestamp) -> bool {
    let at = record.body["expires_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    at.is_some_and(|at| at <= now)
}

/// How many documents stand, of all tenants. Places are taken off: each is under the claim of its writer, and those are few.
pub async fn count_documents(records: &dyn Records) -> Result<u64, StoreError> {
    let (mut documents, mut after) = (records.count(Kind::Document).await?, None::<String>);
    loop {
        let claims = records.list(Kind::Claim, "", after.as_deref(), CLAIMS).await?;
        let ids: Vec<&str> = claims.records.iter().map(|claim| claim.id.as_str()).collect();
        let written = if ids.is_empty() { Vec::new() } else { records.get_many(Kind::Document, &ids).await? };
        let places = written.iter().filter(|record| !stands(record)).count();
        documents = documents.saturating_sub(places as u64);
        match claims.next {
            Some(next) => after = Some(next),
            None => return Ok(documents),
        }
    }
}

/// Records of a tenant's documents whose name begins with a prefix, in the order of their names; at most `limit`, and so many unless the page is the last. `after` and `next` are names. Whatever other tenants store is stepped over, and neither given nor counted.
pub async fn documents_of(
    records: &dyn Records,
    tenant: &Tenant,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, StoreError> {
    own(records, (Kind::Document, ""), tenant, (prefix, after), limit).await
}

/// The pairs of a content and a tenant's documents that have it; the first `limit` of them.
pub async fn contents_of(
    records: &dyn Records,
    content: &ContentHash,
    tenant: &Tenant,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let page = own(records, (Kind::Content, &content_prefix(content)), tenant, ("", None), limit).await?;
    Ok(page.records)
}

/// What the ids of a content's pairs begin with, in front of the documents' keys.
pub fn content_prefix(content: &ContentHash) -> String {
    format!("{}/", content.0)
}

/// Records of a kind whose ids are a base and the key of a document.
async fn own(
    records: &dyn Records,
    (kind, base): (Kind, &str),
    tenant: &Tenant,
    (prefix, after): (&str, Option<&str>),
    limit: usize,
) -> Result<Page, StoreError> {
    let limit = limit.max(1);
    let id = |name: &str| format!("{base}{}", key_prefix(tenant, name));
    let below = id(prefix);
    let mut after = after.map(id);
    let mut own: Vec<Record> = Vec::new();
    loop {
        let page = records.list(kind, &below, after.as_deref(), limit - own.len()).await?;
        let is_own = |record: &Record| owner(base, &record.id).as_ref() == Some(tenant) && stands(record);
        own.extend(page.records.into_iter().filter(is_own));
        let Some(next) = page.next else { return Ok(Page { records: own, next: None }) };
        if own.len() >= limit {
            let last = own.last().and_then(|record| document(base, &record.id));
            return Ok(Page { records: own, next: last.map(String::from) });
        }
        after = Some(behind(base, next, tenant));
    }
}

fn document(base: &str, id: &str) -> Option<DocumentId> {
    DocumentId::of_key(id.strip_prefix(base)?).ok()
}

fn owner(base: &str, id: &str) -> Option<Tenant> {
    document(base, id).map(|id| id.tenant())
}

/// Where to go on after this id: behind all documents of another tenant at once, because nothing sorts behind the last character.
fn behind(base: &str, id: String, tenant: &Tenant) -> String {
    match owner(base, &id) {
        Some(other) if other != *tenant => format!("{base}{}", key_prefix(&other, &char::MAX.to_string())),
        _ => id,
    }
}
