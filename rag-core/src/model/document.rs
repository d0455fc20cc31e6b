//! A document: its stable name, the hash that decides whether it changed, and the record that commits it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Notices, Tenant};

/// The stable name of a document, chosen by whoever ingests it (for files: the path below the ingested folder), and whose it is.
///
/// The name is 1 to 512 bytes of UTF-8 without control characters. Two tenants may use the same name for different documents: only the key tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The name alone for the default tenant; the tenant, [`SEPARATOR`] and the name for others.
    key: String,
}

/// Stands between tenant and name. A control character, so that no name can hold it.
const SEPARATOR: char = '\u{1f}';

/// Why a text cannot name a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocumentId {
    /// The name is empty.
    #[error("a document id is empty; give it 1 to 512 bytes")]
    Empty,
    /// The name is longer than 512 bytes.
    #[error("a document id has {0} bytes; at most 512 are allowed")]
    TooLong(usize),
    /// The name holds a control character.
    #[error("a document id holds the control character {0:?}; remove it")]
    Control(char),
}

impl DocumentId {
    /// Bytes that a document's name may have.
    pub const MAX_BYTES: usize = 512;

    /// The name that its owner gave it. Of two tenants both may have it: use [`Self::key`] to store or compare.
    pub fn as_str(&self) -> &str {
        self.key.split_once(SEPARATOR).map_or(&self.key, |(_, name)| name)
    }

    /// What it is stored under; differs between tenants.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        let named = self.key.split_once(SEPARATOR).and_then(|(tenant, _)| tenant.parse().ok());
        named.unwrap_or_default()
    }

    /// The document of the same name of a tenant.
    #[must_use]
    pub fn of(self, tenant: &Tenant) -> Self {
        Self { key: key_prefix(tenant, self.as_str()) }
    }

    /// The id with a key that [`Self::key`] gave.
    pub fn of_key(key: &str) -> Result<Self, InvalidDocumentId> {
        match key.split_once(SEPARATOR) {
            None => key.parse(),
            Some((tenant, name)) => {
                let tenant = tenant.parse::<Tenant>().map_err(|_| InvalidDocumentId::Control(SEPARATOR))?;
                Ok(name.parse::<Self>()?.of(&tenant))
            }
        }
    }
}

/// What the keys of a tenant's documents begin with whose names begin with `prefix`.
///
/// Caveat: the default tenant's prefix is the plain one, and so may begin keys of others; whoever lists looks at [`DocumentId::tenant`], too.
pub fn key_prefix(tenant: &Tenant, prefix: &str) -> String {
    if tenant.is_default() { prefix.to_owned() } else { format!("{}{SEPARATOR}{prefix}", tenant.as_str()) }
}

impl FromStr for DocumentId {
    type Err = InvalidDocumentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidDocumentId;

    /// A name of the default tenant's.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err(InvalidDocumentId::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidDocumentId::TooLong(text.len()));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(InvalidDocumentId::Control(control)),
            None => Ok(Self { key: text }),
        }
    }
}

impl From<DocumentId> for String {
    /// The name.
    fn from(id: DocumentId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Written as its key: what is stored must tell tenants apart. Answers show names (`String::from`).
impl Serialize for DocumentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.key)
    }
}

impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        Self::of_key(&key).map_err(serde::de::Error::custom)
    }
}

/// A BLAKE3 hash in hex. It names the content of a document, which is its bytes together with the chunker's version: equal hashes need no new chunks. Or it names a version, which is one
/// writing of a content (see [`ContentHash::written`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(pub String);

impl ContentHash {
    /// The name of one writing of this content. No other writing has it, so that chunks which are removed by it can be nobody else's.
    #[must_use]
    pub fn written(&self, writing: uuid::Uuid) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.0.as_bytes());
        hasher.update(writing.as_bytes());
        Self(hasher.finalize().to_hex().to_string())
    }
}

/// What Records keeps for each document. Writing it is the commit point: a chunk is visible only while its version is the one named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// The stable name.
    pub id: DocumentId,
    /// A human title: the first heading, the HTML title, or the file name.
    pub title: String,
    /// The version whose chunks are visible: one writing of the content.
    pub version: ContentHash,
    /// What was written; absent in records of a time when a version was named by its content alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentHash>,
    /// What the ingesting side said about the document; returned as it came.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How many chunks the version has.
    pub chunks: u32,
    /// Size of the source in bytes.
    pub bytes: u64,
    /// What is said of the version; absent in records of a time when nothing was.
    #[serde(default, skip_serializing_if = "Notices::is_empty")]
    pub notices: Notices,
    /// From this time on it is found no more; none: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<jiff::Timestamp>,
    /// When this version was committed, RFC 3339.
    pub updated_at: jiff::Timestamp,
}

impl DocumentRecord {
    /// The hash of what was written.
    pub fn content(&self) -> &ContentHash {
        self.content.as_ref().unwrap_or(&self.version)
    }
}

/// What became of one document of an ingestion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not there before.
    Created,
    /// Its text changed.
    Updated,
    /// Only its metadata or title changed.
    MetadataOnly,
    /// Nothing changed.
    Unchanged,
    /// Its text is the text of the named document, which keeps it.
    DuplicateOf(DocumentId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_id_is_bounded_and_printable() {
        assert_eq!("".parse::<DocumentId>(), Err(InvalidDocumentId::Empty));
        assert_eq!("a\nb".parse::<DocumentId>(), Err(InvalidDocumentId::Control('\n')));
        assert_eq!("x".repeat(513).parse::<DocumentId>(), Err(InvalidDocumentId::TooLong(513)));
        assert_eq!("ops/日本語.md".parse::<DocumentId>().map(String::from), Ok("ops/日本語.md".to_owned()));
    }

    #[test]
    fn tenants_have_documents_of_the_same_name_apart() {
        let id = |tenant: &str| "ops/a.md".parse::<DocumentId>().unwrap().of(&tenant.to_owned().try_into().unwrap());
        let (default, acme, other) = (id(""), id("acme"), id("other"));
        assert!(default != acme && acme != other && default.key() != acme.key());
        for id in [default, acme, other] {
            assert_eq!((id.as_str(), id.to_string().as_str()), ("ops/a.md", "ops/a.md"));
            assert_eq!(DocumentId::of_key(id.key()), Ok(id.clone()));
            let stored = serde_json::to_value(&id).unwrap();
            assert_eq!(serde_json::from_value::<DocumentId>(stored).unwrap(), id);
            assert!(id.key().starts_with(&key_prefix(&id.tenant(), "ops/")));
        }
    }

    #[test]
    fn two_writings_of_one_content_are_two_versions_and_a_record_from_before_names_its_content_by_its_version() {
        let content = ContentHash("c".to_owned());
        let [one, other] = [1, 2].map(|n| content.written(uuid::Uuid::from_u128(n)));
        assert!(one != other && one != content);
        let body = serde_json::json!({
            "id": "a", "title": "A", "version": "c", "chunks": 1, "bytes": 1, "updated_at": "2026-11-21T08:00:00Z"
        });
        let before: DocumentRecord = serde_json::from_value(body.clone()).unwrap();
        assert_eq!((before.content(), &before.notices), (&content, &Notices::NONE));
        let now = DocumentRecord { version: one, content: Some(content.clone()), ..before };
        assert_eq!(now.content(), &content);
    }

    #[test]
    fn no_name_reaches_into_another_tenant() {
        let forged = "acme\u{1f}a.md";
        assert_eq!(forged.parse::<DocumentId>(), Err(InvalidDocumentId::Control('\u{1f}')));
        assert_eq!(DocumentId::of_key("acme\u{1f}b\u{1f}c"), Err(InvalidDocumentId::Control('\u{1f}')));
        assert!(DocumentId::of_key("Not A Tenant\u{1f}c").is_err());
    }
}
