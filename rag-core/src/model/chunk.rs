//! A chunk: the piece of a document that is embedded, found and cited.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ContentHash, DocumentId, SparseVector};

/// Deterministic id of a chunk: the same document version always yields the same ids, so a repeated write changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(pub Uuid);

impl ChunkId {
    /// Namespace of chunk ids; a random UUID, fixed for ever.
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f2a_1d4c_9a53_4d0e_b6e7_52c1_7f80_3a91);

    /// The id of the chunk at `ordinal` of one version of a document.
    pub fn new(document: &DocumentId, version: &ContentHash, ordinal: u32) -> Self {
        // The document's length goes first, so that no two (document, version) pairs share a name.
        let document = document.key();
        let name = format!("{}:{document}:{}:{ordinal}", document.len(), version.0);
        Self(Uuid::new_v5(&Self::NAMESPACE, name.as_bytes()))
    }

    /// The lowest id behind this one.
    pub fn next(self) -> Option<Self> {
        self.0.as_u128().checked_add(1).map(|next| Self(Uuid::from_u128(next)))
    }
}

/// A piece of one version of a document, with the text exactly as it was ingested; one that begins inside a table repeats the names of its columns above that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Deterministic id.
    pub id: ChunkId,
    /// The document that it belongs to.
    pub document: DocumentId,
    /// The version of the document that it belongs to.
    pub version: ContentHash,
    /// Position in the document, from 0.
    pub ordinal: u32,
    /// Title of the document.
    pub title: String,
    /// Headings above the chunk, outermost first.
    pub headings: Vec<String>,
    /// The text, byte for byte.
    pub text: String,
}

/// A chunk with its vectors, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The chunk.
    pub chunk: Chunk,
    /// Dense embedding, normalised to length 1.
    pub dense: Vec<f32>,
    /// BM25 term weights.
    pub sparse: SparseVector,
    /// What filters of questions look at: [`Filter::labels`](super::Filter::labels) of the document's metadata.
    pub labels: Vec<String>,
}

/// A stored chunk, told by what it belongs to: enough to see whether a record holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Its id.
    pub id: ChunkId,
    /// The document that it belongs to.
    pub document: DocumentId,
    /// The version of the document that it belongs to.
    pub version: ContentHash,
    /// Position in the document, from 0.
    pub ordinal: u32,
}

/// A stored chunk with the vector that was made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The chunk.
    pub chunk: Chunk,
    /// Its dense embedding.
    pub dense: Vec<f32>,
    /// What its document's metadata say, for filters.
    pub labels: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_chunk_depends_on_document_version_and_position_alone() -> Result<(), super::super::InvalidDocumentId>
    {
        let (a, b) = ("a".parse()?, "a:1".parse()?);
        let version = |text: &str| ContentHash(text.to_owned());
        assert_eq!(ChunkId::new(&a, &version("v"), 0), ChunkId::new(&a, &version("v"), 0));
        assert_ne!(ChunkId::new(&a, &version("v"), 0), ChunkId::new(&a, &version("v"), 1));
        assert_ne!(ChunkId::new(&a, &version("1:v"), 0), ChunkId::new(&b, &version("v"), 0));
        Ok(())
    }
}
