//! Records of JSON: a title as a heading, a text, and the other fields as `name: value` lines.
//!
//! Recognised, by the first of these names that is there: the title in `title`, `name`, `heading`, `subject` or `question`; the text in `text`, `content`, `body`, `passage`, `abstract`,
//! `answer` or `description`; the id in `id`, `_id`, `doc_id`, `docid` or `url`. A record without a text is its fields. Nested values are flattened: `address.city: Bern`.

mod strict;
mod value;

use std::collections::BTreeMap;

pub(super) use self::value::Value;
use super::lines::{self, MAX_BLOCK};
use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    failure::FailureReason,
};

/// Bytes of one record.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Values of one record; more belong into several records.
pub(super) const MAX_VALUES: usize = 10_000;
/// Bytes that the names before one record's values may have together. The names of outer values are repeated with each inner one.
const MAX_NAMES: usize = 4 << 20;

const TITLES: [&str; 5] = ["title", "name", "heading", "subject", "question"];
const TEXTS: [&str; 7] = ["text", "content", "body", "passage", "abstract", "answer", "description"];
const IDS: [&str; 5] = ["id", "_id", "doc_id", "docid", "url"];

/// Why a text was not read.
pub(super) enum Unread {
    /// It has more values than it may have.
    TooMany,
    /// It ends within a value.
    Unfinished,
    /// It is no JSON; what is wrong, and what helps.
    NotJson(String),
}

/// The values that a text consists of; a list of texts, numbers and flags counts as one.
pub(super) fn read(text: &str, most: usize) -> Result<Vec<Value>, Unread> {
    value::read(&strict::strict(text), most).map_err(|unread| match unread {
        value::Unread::TooMany => Unread::TooMany,
        value::Unread::NotJson(error) => {
            // Its place is told as it is in the source.
            let source = strict::in_place(text);
            let error = match value::read(&source, most) {
                Err(value::Unread::NotJson(error)) => error,
                _ => error,
            };
            if error.is_eof() { Unread::Unfinished } else { Unread::NotJson(said(&source, &error)) }
        }
    })
}

/// What is wrong, and what helps.
fn said(text: &str, error: &serde_json::Error) -> String {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let place = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let begins = |words: &[&str]| words.iter().any(|word| place.starts_with(word));
    let hint = if begins(&["'"]) {
        "; texts stand in double quotes (what Python prints is no JSON, json.dumps writes it)"
    } else if begins(&["True", "False", "None"])
        || ["True", "False", "None"].iter().any(|word| ends_at(line, word, error))
    {
        "; these are written true, false and null"
    } else if begins(&["//", "/*", "#"]) {
        "; JSON has no comments"
    } else {
        ""
    };
    format!("not JSON: {error}{hint}")
}

/// Whether the parser stopped inside or at the end of this word.
fn ends_at(line: &str, word: &str, error: &serde_json::Error) -> bool {
    let at = error.column();
    line.match_indices(word).any(|(from, _)| (from..=from + word.len()).contains(&at))
}

/// Gives a record or another value to the chunker. `place` says where it stands.
pub(super) fn push(value: Value, place: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    match value {
        Value::Object(record) => {
            out.section("");
            of_fields(record, 1, place, out)
        }
        // A line may hold a whole list of records.
        Value::Many(values) if values.iter().all(Value::is_object) => {
            values.into_iter().try_for_each(|value| push(value, place, out))
        }
        value => {
            let text = fields(&value, place, out)?;
            body(&text, Shape::Prose, out);
            Ok(())
        }
    }
}

/// Gives a value that is a document by itself: lists of records are their records, below the name of the list.
pub(super) fn push_document(value: Value, place: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    let Value::Object(mut document) = value else { return push(value, place, out) };
    let is_records = |value: &Value| matches!(value, Value::Many(values) if values.iter().all(Value::is_object));
    let names: Vec<String> = document.iter().filter(|(_, value)| is_records(value)).map(|(n, _)| n.clone()).collect();
    let lists: Vec<_> = names.into_iter().filter_map(|name| document.remove_entry(&name)).collect();
    of_fields(document, 1, place, out)?;
    for (name, list) in lists {
        let Value::Many(records) = list else { continue };
        for record in records {
            out.section(&name);
            if let Value::Object(record) = record {
                of_fields(record, 2, place, out)?;
            }
        }
    }
    Ok(())
}

fn of_fields(
    mut record: BTreeMap<String, Value>,
    level: u8,
    place: &str,
    out: &mut Chunker<'_>,
) -> Result<(), FailureReason> {
    let title = take(&mut record, &TITLES);
    let text = take(&mut record, &TEXTS);
    let id = IDS.iter().find_map(|name| record.get(*name)).and_then(Value::plain);
    // A record without a title is headed by its id, so that one never runs into another.
    let heading = title.or_else(|| id.map(str::to_owned)).unwrap_or_default();
    if heading.len() > MAX_BLOCK {
        // Nobody reads a heading of that length.
        body(&heading, Shape::Prose, out);
    } else if !heading.is_empty() {
        out.push(Block::Heading { level, title: &heading, text: &format!("{heading}\n") });
    }
    if let Some(text) = text {
        body(&text, Shape::Prose, out);
    }
    let fields = fields(&Value::Object(record), place, out)?;
    body(&fields, Shape::Lines, out);
    Ok(())
}

/// A value as `name: value` lines.
fn fields(value: &Value, place: &str, out: &mut Chunker<'_>) -> Result<String, FailureReason> {
    let most = usize::try_from(out.room()).unwrap_or(usize::MAX).min(MAX_NAMES);
    let mut fields = Fields { most, ..Fields::default() };
    fields.add(value).map_err(|TooLong| FailureReason::Malformed {
        cause: format!(
            "{place}: the names of outer values stand before each inner one, and here that makes more than {most} bytes; shorten them, or split the record"
        ),
    })?;
    out.add(fields.names);
    Ok(fields.text)
}

/// Pushes a text and ends its block.
fn body(text: &str, shape: Shape, out: &mut Chunker<'_>) {
    if text.trim().is_empty() {
        return;
    }
    for text in lines::parts(text) {
        out.push(Block::Body { shape, text, continues: true });
    }
    out.push(Block::Body { shape, text: "\n", continues: false });
}
/// The first of these fields that holds a text, taken out of the record.
fn take(record: &mut BTreeMap<String, Value>, names: &[&str]) -> Option<String> {
    let holds_text =
        |name: &&&str| record.get(**name).and_then(Value::plain).is_some_and(|text| !text.trim().is_empty());
    let name = names.iter().find(holds_text)?;
    match record.remove(*name) {
        Some(Value::Plain(text)) => Some(text),
        _ => None,
    }
}

/// The names before the values are longer than they may be.
struct TooLong;

/// Values as `name: value` lines.
#[derive(Default)]
struct Fields {
    text: String,
    /// Names of the outer values, and of this one.
    path: String,
    /// Bytes of names in the text, and how many there may be.
    names: usize,
    most: usize,
}

impl Fields {
    fn add(&mut self, value: &Value) -> Result<(), TooLong> {
        match value {
            Value::Nothing => Ok(()),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                let outer = self.path.len();
                if outer > 0 {
                    self.path.push('.');
                }
                self.path.push_str(name);
                let added = self.add(value);
                self.path.truncate(outer);
                added
            }),
            Value::Many(values) => values.iter().try_for_each(|value| self.add(value)),
            Value::Plain(text) | Value::List(text) => self.line(text),
            Value::Flag(yes) => self.line(value::flag(*yes)),
        }
    }

    fn line(&mut self, value: &str) -> Result<(), TooLong> {
        if value.trim().is_empty() {
            return Ok(());
        }
        if !self.path.is_empty() {
            self.names += self.path.len() + 2;
            if self.names > self.most {
                return Err(TooLong);
            }
            self.text.push_str(&self.path);
            self.text.push_str(": ");
        }
        self.text.push_str(value.trim_end());
        self.text.push('\n');
        Ok(())
    }
}
