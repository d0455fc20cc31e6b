//! A document: its stable name, the hash that decides whether it changed, and the record that commits it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The stable name of a document, chosen by whoever ingests it (for files: the path below the ingested folder).
///
/// 1 to 512 bytes of UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

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

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DocumentId {
    type Err = InvalidDocumentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for DocumentId {
    type Error = InvalidDocumentId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err(InvalidDocumentId::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidDocumentId::TooLong(text.len()));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(InvalidDocumentId::Control(control)),
            None => Ok(Self(text)),
        }
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The BLAKE3 hash of a document's bytes together with the chunker's version, in hex.
///
/// It names one version of a document: equal hashes need no new chunks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(pub String);

/// What Records keeps for each document. Writing it is the commit point: a chunk is visible only while its version is the one named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// The stable name.
    pub id: DocumentId,
    /// A human title: the first heading, the HTML title, or the file name.
    pub title: String,
    /// The version whose chunks are visible.
    pub version: ContentHash,
    /// What the ingesting side said about the document; returned as it came.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How many chunks the version has.
    pub chunks: u32,
    /// Size of the source in bytes.
    pub bytes: u64,
    /// When this version was committed, RFC 3339.
    pub updated_at: jiff::Timestamp,
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
}
