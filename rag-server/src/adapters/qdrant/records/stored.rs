//! A record as the payload of a point: its content, who wrote it last and before, and what listings ask for. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use qdrant_client::qdrant::{NamedVectors, PointId, PointStruct, Value as Field, value::Kind as Content};
use serde_json::Value;
use uuid::Uuid;

use super::order::{folders, order};
use crate::ports::{Kind, Record, StoreError};

/// The kind, or [`REMOVED`].
pub(super) const KIND: &str = "kind";
/// The token of the latest write.
pub(super) const WRITER: &str = "writer";
/// The folders that the id lies in.
pub(super) const WITHIN: &str = "within";
/// The first bytes of the id as a number.
pub(super) const ORDER: &str = "order";
/// When a removed record was removed, in seconds.
pub(super) const REMOVED_AT: &str = "removed_at";
/// The record's version.
pub(super) const VERSION: &str = "version";
/// The id.
pub(super) const ID: &str = "id";
/// The kind of a record that was removed: no listing and no count asks for it.
pub(super) const REMOVED: &str = "removed";

/// Of the point that holds the floor; no kind has this name.
const FLOOR: &str = "floor";
/// JSON as text: a payload would not keep every number as it is.
const BODY: &str = "body";
const EARLIER: &str = "earlier";
const WRITES: &str = "writes";

/// Earlier tokens that are kept. A writer reads back within a call's deadline; that many writes in between are not to be expected.
const HISTORY: usize = 16;

/// Namespace of the points' ids; a random UUID, fixed for ever.
const NAMESPACE: Uuid = Uuid::from_u128(0x0c6b_7a52_36fd_4f0b_9b3e_15d8_61c2_44e7);

/// The id of the point of a record.
pub(super) fn point_id(kind: Kind, id: &str) -> PointId {
    Uuid::new_v5(&NAMESPACE, format!("{}:{id}", kind.as_str()).as_bytes()).to_string().into()
}

/// The id of the point that holds the floor.
pub(super) fn floor_id() -> PointId {
    Uuid::new_v5(&NAMESPACE, FLOOR.as_bytes()).to_string().into()
}

/// Names one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token(String);

impl Token {
    fn new() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A point of the collection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) point: PointId,
    /// The kind's name, or [`REMOVED`].
    kind: String,
    pub(super) id: String,
    pub(super) version: u64,
    body: String,
    /// The latest write.
    pub(super) writer: Token,
    /// The writes before it, latest first.
    earlier: Vec<Token>,
    /// How often this point was written, also across a removal.
    writes: u64,
    removed_at: Option<i64>,
}

/// What a point says about its record.
pub(super) enum Standing {
    /// It is there.
    Live(Record),
    /// It was removed; this is the mark that is left of it.
    Removed(Stored),
}

impl Stored {
    /// The first write of a record of which no mark is left: above the floor, and so above every version that it ever had.
    ///
    /// It leaps: a put that stood still while its record came, went and was swept away writes above an old floor, and must not meet a version that was used since.
    pub(super) fn first(kind: Kind, id: &str, body: &Value, floor: u64) -> Self {
        Self::new(point_id(kind, id), kind.as_str(), id, floor + 1 + leap()).with(body)
    }

    /// What holds the floor, at this height, where nothing does yet.
    pub(super) fn floor(height: u64) -> Self {
        Self::new(floor_id(), FLOOR, FLOOR, height)
    }

    /// The write that raises the floor to this height.
    pub(super) fn raised(&self, height: u64) -> Self {
        Self { version: height, ..self.next(&Value::Null) }
    }

    fn new(point: PointId, kind: &str, id: &str, version: u64) -> Self {
        Self {
            point,
            kind: kind.to_owned(),
            id: id.to_owned(),
            version,
            body: Value::Null.to_string(),
            writer: Token::new(),
            earlier: Vec::new(),
            writes: 1,
            removed_at: None,
        }
    }

    fn with(self, body: &Value) -> Self {
        Self { body: body.to_string(), ..self }
    }

    /// The write that puts the record again whose mark this is.
    pub(super) fn again(&self, kind: Kind, body: &Value) -> Self {
        Self { kind: kind.as_str().to_owned(), removed_at: None, ..self.next(body) }
    }

    /// The write that follows this one.
    pub(super) fn next(&self, body: &Value) -> Self {
        Self {
            version: self.version + 1,
            body: body.to_string(),
            writer: Token::new(),
            earlier: self.history(),
            writes: self.writes + 1,
            ..self.clone()
        }
    }

    /// The mark that this record leaves when it is removed.
    pub(super) fn removed(&self, now: Timestamp) -> Self {
        let mark = self.next(&Value::Null);
        Self { kind: REMOVED.to_owned(), removed_at: Some(now.as_second()), ..mark }
    }

    /// Whether this write is the latest, or one of those that are remembered.
    pub(super) fn holds(&self, token: &Token) -> bool {
        self.writer == *token || self.earlier.contains(token)
    }

    /// Whether so many writes followed `write` that its token may have been dropped.
    pub(super) fn may_have_forgotten(&self, write: &Self) -> bool {
        self.writes > write.writes + HISTORY as u64
    }

    pub(super) fn is_live_at(&self, version: u64) -> bool {
        self.kind != REMOVED && self.version == version
    }

    pub(super) fn standing(self) -> Result<Standing, StoreError> {
        if self.kind == REMOVED { Ok(Standing::Removed(self)) } else { self.record().map(Standing::Live) }
    }

    /// The record, unless it was removed.
    pub(super) fn into_record(self) -> Result<Option<Record>, StoreError> {
        if self.kind == REMOVED { Ok(None) } else { self.record().map(Some) }
    }

    fn record(self) -> Result<Record, StoreError> {
        let body = serde_json::from_str(&self.body).map_err(|e| corrupt(&self.id, &format!("its body: {e}")))?;
        Ok(Record { id: self.id, version: self.version, body })
    }

    fn history(&self) -> Vec<Token> {
        std::iter::once(&self.writer).chain(&self.earlier).take(HISTORY).cloned().collect()
    }

    /// The point, for the wire.
    pub(super) fn to_point(&self) -> PointStruct {
        let tokens =
            |tokens: &[Token]| -> Field { tokens.iter().map(|token| token.0.clone()).collect::<Vec<_>>().into() };
        let mut payload: HashMap<String, Field> = HashMap::from([
            (KIND.to_owned(), self.kind.clone().into()),
            (ID.to_owned(), self.id.clone().into()),
            (VERSION.to_owned(), integer(self.version)),
            (BODY.to_owned(), self.body.clone().into()),
            (WRITER.to_owned(), self.writer.0.clone().into()),
            (EARLIER.to_owned(), tokens(&self.earlier)),
            (WRITES.to_owned(), integer(self.writes)),
            (ORDER.to_owned(), order(&self.id).into()),
            (WITHIN.to_owned(), folders(&self.id).map(str::to_owned).collect::<Vec<_>>().into()),
        ]);
        if let Some(removed_at) = self.removed_at {
            payload.insert(REMOVED_AT.to_owned(), removed_at.into());
        }
        // The collection has no vectors, yet a point without the empty set of them is refused.
        let vectors = Some(NamedVectors::default().into());
        PointStruct { id: Some(self.point.clone()), payload, vectors }
    }

    /// A point, from the wire.
    pub(super) fn from_point(point: Option<PointId>, mut payload: HashMap<String, Field>) -> Result<Self, StoreError> {
        let id = text(payload.remove(ID)).ok_or_else(|| corrupt("without an id", "its id is missing"))?;
        let missing = |what: &str| corrupt(&id, &format!("its {what} is missing"));
        Ok(Self {
            point: point.ok_or_else(|| missing("point's id"))?,
            kind: text(payload.remove(KIND)).ok_or_else(|| missing(KIND))?,
            version: count(payload.remove(VERSION)).ok_or_else(|| missing(VERSION))?,
            body: text(payload.remove(BODY)).ok_or_else(|| missing(BODY))?,
            writer: text(payload.remove(WRITER)).map(Token).ok_or_else(|| missing(WRITER))?,
            earlier: tokens(payload.remove(EARLIER)).ok_or_else(|| missing(EARLIER))?,
            writes: count(payload.remove(WRITES)).ok_or_else(|| missing(WRITES))?,
            removed_at: payload.remove(REMOVED_AT).and_then(|field| field.as_integer()),
            id,
        })
    }
}

fn corrupt(id: &str, cause: &str) -> StoreError {
    StoreError::Corrupt { what: format!("the record {id}"), cause: cause.to_owned() }
}

/// Versions far apart from those of other puts above the same floor.
fn leap() -> u64 {
    let (_, random, ..) = Uuid::new_v4().as_fields();
    u64::from(random)
}

/// Counts stay far below what a payload's integers hold.
fn integer(count: u64) -> Field {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

/// The count of a field.
pub(super) fn count(field: Option<Field>) -> Option<u64> {
    field?.as_integer()?.try_into().ok()
}

/// The text of a field.
pub(super) fn text(field: Option<Field>) -> Option<String> {
    match field?.kind? {
        Content::StringValue(text) => Some(text),
        _ => None,
    }
}

fn tokens(field: Option<Field>) -> Option<Vec<Token>> {
    match field?.kind? {
        Content::ListValue(list) => list.values.into_iter().map(|value| text(Some(value)).map(Token)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let body = json!({ "big": u64::MAX, "text": "\r\n\u{0}é", "null": null });
        let stored = Stored::first(Kind::Document, "a/b", &body, 7);
        let point = stored.to_point();
        assert_eq!(Stored::from_point(point.id, point.payload), Ok(stored.clone()));
        assert!(stored.version > 7);
        let record = Record { id: "a/b".to_owned(), version: stored.version, body };
        assert_eq!(stored.into_record(), Ok(Some(record)));
    }

    #[test]
    fn a_writer_finds_itself_under_as_many_writes_as_are_remembered() {
        let first = Stored::first(Kind::Job, "j", &json!(0), 0);
        let mut latest = first.clone();
        for write in 1..=HISTORY {
            latest = latest.next(&json!(write));
            assert!(latest.holds(&first.writer) && !latest.may_have_forgotten(&first), "after {write}");
        }
        latest = latest.next(&json!("one more"));
        assert!(!latest.holds(&first.writer) && latest.may_have_forgotten(&first));
    }

    #[test]
    fn the_history_and_the_version_go_on_across_a_removal() {
        let first = Stored::first(Kind::Job, "j", &json!(0), 0);
        let mark = first.removed(Timestamp::UNIX_EPOCH);
        let again = mark.again(Kind::Job, &json!(1));
        assert_eq!((again.version, again.writes), (first.version + 2, 3));
        assert!(again.is_live_at(again.version) && again.removed_at.is_none());
        assert!(again.holds(&first.writer) && again.holds(&mark.writer));
        assert_eq!(mark.into_record(), Ok(None));
    }

    #[test]
    fn kinds_never_share_a_point() {
        assert_ne!(point_id(Kind::Document, "x"), point_id(Kind::Job, "x"));
    }
}
