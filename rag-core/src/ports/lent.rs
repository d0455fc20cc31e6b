//! What a server that alone may open its stores is asked for, and answers, when a snapshot is taken of them: the words between [`Source`](super::Source) and its routes.
//!
//! Each question is a query string, each answer one document of JSON that is bounded by what may be asked for at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Epoch, KEPT, Kind, Page, Record};
use crate::model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded};

/// The epoch that is searched.
pub const SEARCHED_PATH: &str = "/ops/snapshot/searched";
/// How many records of a kind there are.
pub const COUNT_PATH: &str = "/ops/snapshot/count";
/// One record.
pub const RECORD_PATH: &str = "/ops/snapshot/record";
/// A page of records.
pub const RECORDS_PATH: &str = "/ops/snapshot/records";
/// Chunks of a document.
pub const CHUNKS_PATH: &str = "/ops/snapshot/chunks";

/// Most records of a page: each may have about a megabyte.
pub const MOST_RECORDS: usize = 16;

/// A kind of which a snapshot has to be made, by its name; no other is lent.
pub fn kind(name: &str) -> Option<Kind> {
    KEPT.into_iter().chain([Kind::Document, Kind::Corpus]).find(|kind| kind.as_str() == name)
}

/// Which records are counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedCount {
    /// The name of their kind.
    pub kind: String,
}

/// Which record is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedRecord {
    /// The name of its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// Which page of records is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedRecords {
    /// The name of their kind.
    pub kind: String,
    /// The id after which the page begins; without it, at the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; at most [`MOST_RECORDS`] come.
    pub limit: usize,
}

/// Which chunks are asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedChunks {
    /// The epoch that holds them.
    pub epoch: Epoch,
    /// The key of their document.
    pub document: DocumentId,
    /// The version of the document.
    pub version: ContentHash,
    /// The place of the first.
    pub first: u32,
    /// The place behind the last; at most [`MOST_CHUNKS`](super::MOST_CHUNKS) places are asked for.
    pub end: u32,
}

/// The epoch that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// None while nothing is searched.
    pub epoch: Option<Epoch>,
}

/// How many records of a kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// So many.
    pub count: u64,
}

/// A record, if there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LentRecord {
    /// It.
    pub record: Option<Lent>,
}

/// A record on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lent {
    id: String,
    version: u64,
    body: Value,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LentRecords {
    records: Vec<Lent>,
    /// What the next page begins after; none at the end.
    next: Option<String>,
}

/// Chunks, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LentChunks {
    /// Those of the places that were asked for which are there.
    pub chunks: Vec<LentChunk>,
}

/// A chunk on its way: what whoever asked for it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LentChunk {
    /// Position in the document, from 0.
    pub ordinal: u32,
    title: String,
    headings: Vec<String>,
    text: String,
    labels: Vec<String>,
    /// The numbers of the vector, each by the bits of its IEEE 754 form: nothing is rounded on the way.
    dense: Vec<u32>,
}

impl From<Embedded> for LentChunk {
    fn from(Embedded { chunk, dense, labels }: Embedded) -> Self {
        let Chunk { ordinal, title, headings, text, .. } = chunk;
        Self { ordinal, title, headings, text, labels, dense: dense.into_iter().map(f32::to_bits).collect() }
    }
}

impl LentChunk {
    /// The chunk of this version of the document that was asked for.
    pub fn of_document(self, document: &DocumentId, version: &ContentHash) -> Embedded {
        let Self { ordinal, title, headings, text, labels, dense } = self;
        let id = ChunkId::new(document, version, ordinal);
        let (document, version) = (document.clone(), version.clone());
        let chunk = Chunk { id, document, version, ordinal, title, headings, text };
        Embedded { chunk, dense: dense.into_iter().map(f32::from_bits).collect(), labels }
    }
}

impl From<Record> for Lent {
    fn from(Record { id, version, body }: Record) -> Self {
        Self { id, version, body }
    }
}

impl From<Lent> for Record {
    fn from(Lent { id, version, body }: Lent) -> Self {
        Self { id, version, body }
    }
}

impl From<Page> for LentRecords {
    fn from(Page { records, next }: Page) -> Self {
        Self { records: records.into_iter().map(Lent::from).collect(), next }
    }
}

impl From<LentRecords> for Page {
    fn from(LentRecords { records, next }: LentRecords) -> Self {
        Self { records: records.into_iter().map(Record::from).collect(), next }
    }
}
