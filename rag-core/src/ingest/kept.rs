//! What a job keeps in the records until its documents are ingested: their bytes, in parts of bounded size, small documents together in one.
//!
//! Guarantee: a job that was accepted needs nothing but Records to be completed, by any replica.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ingest, failure::FailureReason, jobs::JobId, json, parse::Format, read::Inspected, source::Source};
use crate::{
    model::ContentHash,
    ports::{Kind, Record, StoreError},
};

/// Bytes of documents in one record; written as text they are a third more: half a megabyte.
const RECORD_BYTES: usize = 384 << 10;
/// What a part takes besides the bytes and what is said about the document.
const PART_BYTES: u64 = 256;
/// What the time takes from when on a document is found no more.
const EXPIRY_BYTES: u64 = 64;
/// Records that are read at once: each may have half a megabyte.
pub(super) const PAGE: usize = 2;

/// One record: parts of one or several documents, in their order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) parts: Vec<Part>,
}

/// Consecutive bytes of one document of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Index of the document in the job.
    pub(super) document: usize,
    /// Stands on the first part of a document.
    pub(super) header: Option<Header>,
    #[serde(with = "encoded")]
    pub(super) bytes: Vec<u8>,
    /// Whether this is the last part of the document.
    pub(super) last: bool,
}

impl Part {
    /// How many bytes of text its bytes are.
    pub(super) fn written(&self) -> u64 {
        self.bytes.len() as u64 / 3 * 4
    }
}

/// What is known of a document before its bytes are read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) version: ContentHash,
    pub(super) bytes: u64,
    pub(super) format: Format,
    /// The encoding that the sender named. What servers of before there was one kept has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) charset: Option<String>,
    /// The title that the sender gave.
    pub(super) title: Option<String>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    /// From when on it is found no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
}

/// Bytes as text: the records hold JSON.
mod encoded {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Kept {
    pub(super) fn of(record: Record) -> Result<Self, StoreError> {
        serde_json::from_value(record.body)
            .map_err(|e| StoreError::Corrupt { what: format!("what is kept in {}", record.id), cause: e.to_string() })
    }
}

/// Bytes that a document takes in the records at most.
pub(super) fn size_of(source: &Source, inspected: &Inspected) -> u64 {
    let said = source.metadata.iter().flatten().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>();
    // In JSON a character of a title or of metadata may take six bytes.
    let told = [&source.title, &source.charset].into_iter().flatten().map(String::len).sum::<usize>();
    let said = 6 * (said + told) as u64;
    let parts = inspected.bytes / RECORD_BYTES as u64 + 2;
    let expires = if source.expires_at.is_some() { EXPIRY_BYTES } else { 0 };
    inspected.bytes.div_ceil(3) * 4 + said + expires + parts * PART_BYTES
}

/// Puts documents into records, in the order of the job.
pub(super) struct Keeping<'s> {
    ingest: &'s Ingest,
    job: &'s JobId,
    kept: Kept,
    bytes: usize,
    number: usize,
}

impl<'s> Keeping<'s> {
    pub(super) fn new(ingest: &'s Ingest, job: &'s JobId) -> Self {
        Self { ingest, job, kept: Kept::default(), bytes: 0, number: 0 }
    }

    /// Keeps a document; tells why that is impossible where it cannot be read any more.
    pub(super) async fn document(
        &mut self,
        document: usize,
        source: &Source,
        inspected: &Inspected,
    ) -> Result<Result<(), FailureReason>, StoreError> {
        let mut header = Some(Header {
            version: inspected.version.clone(),
            bytes: inspected.bytes,
            format: source.format,
            charset: source.charset.clone(),
            title: source.title.clone(),
            metadata: source.metadata.clone(),
            expires_at: source.expires_at,
        });
        let mut content = match source.content.open() {
            Ok(content) => content,
            Err(reason) => return Ok(Err(reason)),
        };
        loop {
            let mut bytes = vec![0; RECORD_BYTES - self.bytes];
            let read = match fill(&mut *content, &mut bytes) {
                Ok(read) => read,
                Err(error) => return Ok(Err(FailureReason::of_io(&error))),
            };
            let last = read < bytes.len();
            bytes.truncate(read);
            bytes.shrink_to_fit();
            self.bytes += read;
            self.kept.parts.push(Part { document, header: header.take(), bytes, last });
            if last {
                return Ok(Ok(()));
            }
            self.put().await?;
        }
    }

    /// Puts what was gathered.
    pub(super) async fn put(&mut self) -> Result<(), StoreError> {
        let kept = std::mem::take(&mut self.kept);
        self.bytes = 0;
        if kept.parts.is_empty() {
            return Ok(());
        }
        let id = format!("{}/{:06}", self.job, self.number);
        self.number += 1;
        let body = json(&kept)?;
        let records = &self.ingest.records;
        self.ingest.patiently(|| records.put_if_absent(Kind::Pending, &id, body.clone())).await.map(drop)
    }
}

/// Reads until the room is full or the content ends.
fn fill(content: &mut (impl std::io::Read + ?Sized), room: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match content.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Ingest {
    /// The next records that a job keeps.
    pub(super) async fn kept(
        &self,
        job: &JobId,
        after: Option<&str>,
    ) -> Result<(Vec<Record>, Option<String>), StoreError> {
        let prefix = format!("{job}/");
        let page = self.patiently(|| self.records.list(Kind::Pending, &prefix, after, PAGE)).await?;
        Ok((page.records, page.next))
    }

    /// Removes everything that a job keeps.
    pub(super) async fn drop_kept(&self, job: &JobId) -> Result<(), StoreError> {
        loop {
            let (records, _) = self.kept(job, None).await?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                self.patiently(|| self.records.remove(Kind::Pending, &record.id, record.version)).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_document_takes_more_than_what_was_reserved_for_it(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            title in prop::option::of("\\PC{0,40}"),
            charset in prop::option::of("[a-z0-9-]{0,20}"),
            metadata in prop::option::of(prop::collection::btree_map(any::<String>(), any::<String>(), 0..4)),
            expires in prop::option::of(0_i64..253_402_000_000_000_000),
        ) {
            let expires_at = expires.map(|micros| Timestamp::from_microsecond(micros).unwrap());
            let mut source = Source::bytes("a".parse().unwrap(), Format::Text, bytes.clone());
            (source.title, source.metadata) = (title.clone(), metadata.clone());
            (source.charset, source.expires_at) = (charset, expires_at);
            let inspected = Inspected { version: ContentHash("0".repeat(64)), bytes: bytes.len() as u64 };
            let version = inspected.version.clone();
            let (bytes_in_all, charset) = (inspected.bytes, source.charset.clone());
            let format = Format::Markdown;
            let header = Header { version, bytes: bytes_in_all, format, charset, title, metadata, expires_at };
            let kept = Kept { parts: vec![Part { document: 999, header: Some(header), bytes, last: true }] };
            let body = serde_json::to_value(&kept).unwrap();
            prop_assert!(body.to_string().len() as u64 <= size_of(&source, &inspected));
            let read = Kept::of(Record { id: "x".to_owned(), version: 1, body }).unwrap();
            prop_assert_eq!(&read.parts[0].bytes, &kept.parts[0].bytes);
        }
    }
}
