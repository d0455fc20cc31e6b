//! What is inside a part: lines of JSON, compressed. Pure.
//!
//! Guarantee: the same entries are the same bytes, with the same version of this program, whichever store they come from: the keys of bodies are sorted, and vectors are written bit by bit.

use std::io::{self, Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::packing::MOST;
use crate::model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded};

/// The folder of the parts.
pub(super) const FOLDER: &str = "parts/";
/// Level of the compression: vectors hardly shrink at any, texts shrink enough at this one.
const LEVEL: i32 = 3;
/// Most bytes inside a part: one that is full takes one more entry, which is a record of about a megabyte or a chunk with its vector. Whoever reads more reads no part.
const MOST_UNPACKED: u64 = 4 * MOST as u64;

/// One line of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    /// A document; its chunks follow. It is said again at the beginning of a part that begins within it.
    Document(Stored),
    /// The next chunk of the document before.
    Chunk(StoredChunk),
    /// The document before is no part of the snapshot: it changed or went while it was read.
    Dropped,
    /// A record of another kind.
    Record(Stored),
}

/// A record as it stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// The kind, as it is stored.
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) body: Value,
}

/// A chunk without what its document says of it: labels are made of the document's metadata again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredChunk {
    ordinal: u32,
    title: String,
    headings: Vec<String>,
    text: String,
    /// The numbers of the vector, each as the four bytes of an IEEE 754 number, the lowest first; in base64.
    dense: String,
}

impl StoredChunk {
    pub(super) fn of(embedded: &Embedded) -> Self {
        let Embedded { chunk, dense, labels: _ } = embedded;
        let bytes: Vec<u8> = dense.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self {
            ordinal: chunk.ordinal,
            title: chunk.title.clone(),
            headings: chunk.headings.clone(),
            text: chunk.text.clone(),
            dense: STANDARD.encode(bytes),
        }
    }

    /// Position in the document, from 0.
    pub(super) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The chunk of this version of a document, with its vector; none when that is no vector.
    pub(super) fn of_document(self, document: &DocumentId, version: &ContentHash) -> Option<(Chunk, Vec<f32>)> {
        let bytes = STANDARD.decode(&self.dense).ok()?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        let chunk = Chunk {
            id: ChunkId::new(document, version, self.ordinal),
            document: document.clone(),
            version: version.clone(),
            ordinal: self.ordinal,
            title: self.title,
            headings: self.headings,
            text: self.text,
        };
        Some((chunk, numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
    }
}

/// A part that is being filled.
#[derive(Debug, Default)]
pub(super) struct Filling(Vec<u8>);

impl Filling {
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.0, entry)?;
        self.0.push(b'\n');
        Ok(())
    }

    /// Bytes inside.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object that it becomes, and how many bytes were inside.
    pub(super) fn pack(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((compressed(&self.0)?, self.0.len() as u64))
    }
}

/// The entries of an object, or what is wrong with it, as the end of a sentence.
pub(super) fn unpack(object: &[u8]) -> Result<Vec<Entry>, String> {
    let lines = decompressed(object, MOST_UNPACKED)?;
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |line: &[u8]| serde_json::from_slice(line).map_err(|e| format!("holds a line that is no entry: {e}"));
    lines.map(entry).collect()
}

/// What an object is made of these bytes.
pub(super) fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::encode_all(bytes, LEVEL)
}

/// The bytes of an object, which are at most so many, or what is wrong with it, as the end of a sentence.
pub(super) fn decompressed(object: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let damaged = |e: io::Error| format!("cannot be unpacked: {e}");
    let decoder = zstd::Decoder::new(object).map_err(damaged)?;
    decoder.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 > most {
        return Err(format!("holds more than {most} bytes, which no part does"));
    }
    Ok(bytes)
}

/// The name of an object in the archive by what the part is called.
pub(super) fn object_name(called: &str) -> String {
    format!("{FOLDER}{called}")
}

/// SHA-256 in hex.
pub(super) fn sha256(object: &[u8]) -> String {
    hex::encode(Sha256::digest(object))
}

/// The same value with the keys of its objects in the order of their bytes; what reads or writes JSON may keep another order.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<_> = object.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(members) => Value::Array(members.into_iter().map(sorted).collect()),
        plain => plain,
    }
}
