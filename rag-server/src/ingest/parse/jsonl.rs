//! JSON Lines: each line a record of its own, with its title as a heading, its text, and its other fields as `name: value` lines.
//!
//! Recognised, by the first of these names that is there: the title in `title`, `name`, `heading`, `subject` or `question`; the text in `text`, `content`, `body`, `passage`, `abstract`,
//! `answer` or `description`; the id in `id`, `_id`, `doc_id`, `docid` or `url`. A record without a text is its fields. Nested values are flattened: `address.city: Bern`.

use serde_json::{Map, Value};

use super::lines::MAX_BLOCK;
use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    failure::FailureReason,
};

/// Bytes of one line.
const MAX_LINE: usize = 4 << 20;
/// Values of one record that are kept; more belong into several records.
const MAX_VALUES: usize = 10_000;

const TITLES: [&str; 5] = ["title", "name", "heading", "subject", "question"];
const TEXTS: [&str; 7] = ["text", "content", "body", "passage", "abstract", "answer", "description"];
const IDS: [&str; 5] = ["id", "_id", "doc_id", "docid", "url"];

/// Records that are being read.
#[derive(Default)]
pub(in crate::ingest) struct Jsonl {
    pending: String,
    lines: u64,
}

impl Jsonl {
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        out.keep_headings_from_naming();
        for part in piece.split_inclusive('\n') {
            if self.pending.len() + part.len() > MAX_LINE {
                return Err(malformed(format!(
                    "line {}: longer than {MAX_LINE} bytes; one record belongs on one line",
                    self.lines + 1
                )));
            }
            self.pending.push_str(part);
            if part.ends_with('\n') {
                self.line(out)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        self.line(out)
    }

    fn line(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let line = std::mem::take(&mut self.pending);
        self.lines += 1;
        if line.trim().is_empty() {
            return Ok(());
        }
        // The parser refuses what is nested too deep.
        let value = serde_json::from_str(line.trim())
            .map_err(|e| malformed(format!("line {}: not JSON: {e}; one record belongs on one line", self.lines)))?;
        let Value::Object(record) = value else {
            let mut fields = Fields::default();
            fields.add("", &value);
            return self.body(&fields.text, Shape::Prose, out);
        };
        self.record(record, out)
    }

    fn record(&self, mut record: Map<String, Value>, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let title = take(&mut record, &TITLES);
        let text = take(&mut record, &TEXTS);
        let id = IDS.iter().find_map(|name| record.get(*name)).and_then(plain);
        // A record without a title is headed by its id, so that one never runs into another.
        let heading = title.or(id).unwrap_or_default();
        out.section("");
        if !heading.is_empty() {
            out.push(Block::Heading { level: 1, title: &heading, text: &format!("{heading}\n") });
        }
        if let Some(text) = text {
            self.body(&text, Shape::Prose, out)?;
        }
        let mut fields = Fields::default();
        fields.add("", &Value::Object(record));
        if fields.values > MAX_VALUES {
            return Err(malformed(format!("line {}: more than {MAX_VALUES} values in one record", self.lines)));
        }
        self.body(&fields.text, Shape::Lines, out)
    }

    fn body(&self, text: &str, shape: Shape, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_BLOCK));
            out.push(Block::Body { shape, text: part, continues: true });
            rest = after;
        }
        out.push(Block::Body { shape, text: "\n", continues: false });
        Ok(())
    }
}

/// The first of these fields that holds a text, taken out of the record.
fn take(record: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let name =
        names.iter().find(|name| record.get(**name).and_then(plain).is_some_and(|text| !text.trim().is_empty()))?;
    record.remove(*name).as_ref().and_then(plain)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Values as `name: value` lines.
#[derive(Default)]
struct Fields {
    text: String,
    values: usize,
}

impl Fields {
    fn add(&mut self, name: &str, value: &Value) {
        let below = |inner: &str| if name.is_empty() { inner.to_owned() } else { format!("{name}.{inner}") };
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                fields.into_iter().for_each(|(inner, value)| self.add(&below(inner), value));
            }
            Value::Array(values) if values.iter().all(|value| !value.is_object() && !value.is_array()) => {
                let list: Vec<String> =
                    values.iter().filter_map(|v| plain(v).or_else(|| v.as_bool().map(|b| b.to_string()))).collect();
                self.line(name, &list.join(", "));
            }
            Value::Array(values) => values.iter().for_each(|value| self.add(name, value)),
            Value::Bool(yes) => self.line(name, if *yes { "true" } else { "false" }),
            Value::String(text) => self.line(name, text),
            Value::Number(number) => self.line(name, &number.to_string()),
        }
    }

    fn line(&mut self, name: &str, value: &str) {
        self.values += 1;
        if value.trim().is_empty() || self.values > MAX_VALUES {
            return;
        }
        if !name.is_empty() {
            self.text.push_str(name);
            self.text.push_str(": ");
        }
        self.text.push_str(value.trim_end());
        self.text.push('\n');
    }
}

fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::chunk::{Draft, Limits};

    fn read(lines: &str) -> Result<Vec<Draft>, String> {
        let count = |text: &str| text.split_whitespace().count();
        let mut chunker = Chunker::new(Limits { tokens: 50, bytes: 4000 }, &count);
        let mut jsonl = Jsonl::default();
        for piece in lines.split_inclusive([' ', ':']) {
            jsonl.feed(piece, &mut chunker).map_err(|e| e.to_string())?;
        }
        jsonl.finish(&mut chunker).map_err(|e| e.to_string())?;
        chunker.finish();
        assert_eq!(chunker.title(), None, "a record is not the document");
        Ok(std::iter::from_fn(|| chunker.pop()).collect())
    }

    #[test]
    fn each_record_is_a_section_of_its_own() {
        let lines = "{\"_id\": \"q1\", \"title\": \"Pump\", \"text\": \"It turns.\\n\\nAlways.\", \"metadata\": {\"year\": 2020}}\r\n\
                     {\"id\": 7, \"passage\": \"No title here.\"}\n\n{\"a\": {\"b\": [1, true, \"x\"]}, \"n\": null}\n\"bare text\"\n";
        let drafts = read(lines).unwrap();
        let seen: Vec<_> = drafts.iter().map(|d| (d.headings.join("/"), d.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("Pump".to_owned(), "Pump\nIt turns.\n\nAlways.\n_id: q1\nmetadata.year: 2020"),
                ("7".to_owned(), "7\nNo title here.\nid: 7"),
                (String::new(), "a.b: 1, true, x\n\nbare text"),
            ]
        );
    }

    #[test]
    fn a_broken_line_is_named() {
        let broken = read("{\"text\": \"fine\"}\n{\"text\": }\n").unwrap_err();
        assert!(broken.starts_with("line 2: not JSON: expected value"), "{broken}");
    }

    #[test]
    fn deep_nesting_is_refused_without_using_the_stack() {
        let broken = read(&format!("{}1", "[".repeat(1_000_000))).unwrap_err();
        assert!(broken.contains("recursion limit"), "{broken}");
    }
}
