//! A chunk as the payload of a point, and back.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    NamedVectors, PointId, PointStruct, RetrievedPoint, ScoredPoint, Value, Vector, point_id::PointIdOptions,
    value::Kind, vector_output,
};
use uuid::Uuid;

use crate::{
    model::{Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Embedded, Point, Scored, Similarity},
    ports::StoreError,
};

/// The dense vector's name.
pub(super) const DENSE: &str = "dense";
/// The sparse vector's name.
pub(super) const LEXICAL: &str = "lexical";

/// The document that a chunk belongs to.
pub(super) const DOCUMENT: &str = "document";
/// The version of the document.
pub(super) const VERSION: &str = "version";
pub(super) const TENANT: &str = "tenant";
pub(super) const LABELS: &str = "labels";
pub(super) const ORDINAL: &str = "ordinal";
const TITLE: &str = "title";
const HEADINGS: &str = "headings";
const TEXT: &str = "text";

/// A chunk with its vectors, for the wire.
pub(super) fn to_point(point: Point) -> PointStruct {
    let Point { chunk, dense, sparse, labels } = point;
    let Chunk { id, document, version, ordinal, title, headings, text } = chunk;
    let terms: Vec<(u32, f32)> = sparse.indices.into_iter().zip(sparse.values).collect();
    // A text without a term has no lexical vector, so that it does not count as a document of that leg.
    let lexical = (!terms.is_empty()).then(|| (LEXICAL, Vector::from(terms)));
    let vectors: Vec<(&str, Vector)> = std::iter::once((DENSE, Vector::from(dense))).chain(lexical).collect();
    let vectors = NamedVectors::from(vectors);
    let tenant = document.tenant();
    let mut payload: HashMap<String, Value> = HashMap::from([
        (DOCUMENT.to_owned(), document.key().into()),
        (VERSION.to_owned(), version.0.into()),
        (ORDINAL.to_owned(), i64::from(ordinal).into()),
        (TITLE.to_owned(), title.into()),
        (HEADINGS.to_owned(), headings.into()),
        (TEXT.to_owned(), text.into()),
        (LABELS.to_owned(), labels.into()),
    ]);
    if !tenant.is_default() {
        payload.insert(TENANT.to_owned(), tenant.as_str().into());
    }
    PointStruct { id: Some(id.0.to_string().into()), payload, vectors: Some(vectors.into()) }
}

/// The id of a found chunk with its score, from the wire.
pub(super) fn to_scored(point: ScoredPoint) -> Result<Scored, StoreError> {
    Ok(Scored { chunk: ChunkId(uuid(point.id)?), score: Similarity(point.score) })
}

/// A stored chunk, from the wire.
pub(super) fn to_found(point: RetrievedPoint) -> Result<Chunk, StoreError> {
    to_chunk(point.id, point.payload)
}

/// A stored chunk with its dense vector, from the wire.
pub(super) fn to_embedded(point: RetrievedPoint) -> Result<Embedded, StoreError> {
    let RetrievedPoint { id, mut payload, vectors, .. } = point;
    // Points that were written before there were labels have none.
    let labels = payload.remove(LABELS).and_then(|labels| texts(labels.kind)).unwrap_or_default();
    let chunk = to_chunk(id, payload)?;
    match vectors.and_then(|vectors| vectors.get_vector_by_name(DENSE)) {
        Some(vector_output::Vector::Dense(dense)) => Ok(Embedded { chunk, dense: dense.data, labels }),
        Some(vector_output::Vector::Sparse(_) | vector_output::Vector::MultiDense(_)) | None => {
            let cause = "its vector is missing".to_owned();
            Err(StoreError::Corrupt { what: format!("the chunk {}", chunk.id.0), cause })
        }
    }
}

/// What a stored chunk belongs to, from the wire.
pub(super) fn to_held(point: RetrievedPoint) -> Result<ChunkPlace, StoreError> {
    let RetrievedPoint { id, mut payload, .. } = point;
    take_held(uuid(id)?, &mut payload)
}

fn take_held(id: Uuid, payload: &mut HashMap<String, Value>) -> Result<ChunkPlace, StoreError> {
    let mut take = |key: &str| payload.remove(key).and_then(|value| value.kind);
    Ok(ChunkPlace {
        id: ChunkId(id),
        document: text(take(DOCUMENT))
            .and_then(|document| DocumentId::of_key(&document).ok())
            .ok_or_else(|| corrupt(id, "its document is missing or not a document's name"))?,
        version: text(take(VERSION)).map(ContentHash).ok_or_else(|| corrupt(id, "its version is missing"))?,
        ordinal: ordinal(take(ORDINAL)).ok_or_else(|| corrupt(id, "its position is missing"))?,
    })
}

fn corrupt(id: Uuid, cause: &str) -> StoreError {
    StoreError::Corrupt { what: format!("the chunk {id}"), cause: cause.to_owned() }
}

fn to_chunk(id: Option<PointId>, mut payload: HashMap<String, Value>) -> Result<Chunk, StoreError> {
    let id = uuid(id)?;
    let ChunkPlace { document, version, ordinal, .. } = take_held(id, &mut payload)?;
    let corrupt = |cause: &str| corrupt(id, cause);
    let mut take = |key: &str| payload.remove(key).and_then(|value| value.kind);
    Ok(Chunk {
        id: ChunkId(id),
        document,
        version,
        ordinal,
        title: text(take(TITLE)).ok_or_else(|| corrupt("its title is missing"))?,
        headings: texts(take(HEADINGS)).ok_or_else(|| corrupt("its headings are missing"))?,
        text: text(take(TEXT)).ok_or_else(|| corrupt("its text is missing"))?,
    })
}

fn uuid(id: Option<PointId>) -> Result<Uuid, StoreError> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => Uuid::parse_str(&text).ok(),
        Some(PointIdOptions::Num(_)) | None => None,
    }
    .ok_or_else(|| StoreError::Corrupt { what: "a chunk".to_owned(), cause: "its id is not a UUID".to_owned() })
}

fn text(kind: Option<Kind>) -> Option<String> {
    match kind? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

fn texts(kind: Option<Kind>) -> Option<Vec<String>> {
    match kind? {
        Kind::ListValue(list) => list.values.into_iter().map(|value| text(value.kind)).collect(),
        _ => None,
    }
}

fn ordinal(kind: Option<Kind>) -> Option<u32> {
    match kind? {
        Kind::IntegerValue(integer) => integer.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SparseVector;

    #[test]
    fn a_chunk_comes_back_as_it_was_written() -> Result<(), Box<dyn std::error::Error>> {
        let document = "ops/日本語.md".parse::<DocumentId>()?.of(&"acme".parse()?);
        let version = ContentHash("v".to_owned());
        let chunk = Chunk {
            id: ChunkId::new(&document, &version, 7),
            document,
            version,
            ordinal: 7,
            title: "a\r\n\0é".to_owned(),
            headings: vec![String::new(), "b".to_owned()],
            text: " | table |\r\n".to_owned(),
        };
        let sparse = SparseVector { indices: vec![1], values: vec![0.5] };
        let written = to_point(Point { chunk: chunk.clone(), dense: vec![1.0], sparse, labels: vec!["l".to_owned()] });
        let scored = ScoredPoint { id: written.id.clone(), score: 0.5, ..ScoredPoint::default() };
        assert_eq!(to_scored(scored)?, Scored { chunk: chunk.id, score: Similarity(0.5) });
        let found = RetrievedPoint { id: written.id, payload: written.payload, ..RetrievedPoint::default() };
        let held = to_held(found.clone())?;
        assert_eq!(
            (held.id, &held.document, &held.version, held.ordinal),
            (chunk.id, &chunk.document, &chunk.version, 7)
        );
        assert_eq!(to_found(found)?, chunk);
        Ok(())
    }

    #[test]
    fn a_foreign_point_is_said_to_be_damaged() {
        let foreign = ScoredPoint { id: Some(7.into()), ..ScoredPoint::default() };
        assert_eq!(to_scored(foreign).map_err(|error| error.cause()), Err("corrupt"));
    }
}
