//! JSON Lines: each line a record of its own, with its title as a heading, its text, and its other fields as `name: value` lines.
//!
//! Recognised, by the first of these names that is there: the title in `title`, `name`, `heading`, `subject` or `question`; the text in `text`, `content`, `body`, `passage`, `abstract`,
//! `answer` or `description`; the id in `id`, `_id`, `doc_id`, `docid` or `url`. A record without a text is its fields. Nested values are flattened: `address.city: Bern`.

mod value;

use std::collections::BTreeMap;

use self::value::{Unread, Value};
use super::lines::{self, MAX_BLOCK};
use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    failure::FailureReason,
};

/// Bytes of one line.
const MAX_LINE: usize = 4 << 20;
/// Values of one record; more belong into several records.
const MAX_VALUES: usize = 10_000;
/// Bytes that the names before one record's values may have together. The names of outer values are repeated with each inner one.
const MAX_NAMES: usize = 4 << 20;

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
        let read = value::read(line.trim(), MAX_VALUES).map_err(|unread| match unread {
            Unread::TooMany => malformed(format!("line {}: more than {MAX_VALUES} values in one record", self.lines)),
            Unread::NotJson(error) => {
                malformed(format!("line {}: not JSON: {error}; one record belongs on one line", self.lines))
            }
        })?;
        match read {
            Value::Object(record) => self.record(record, out),
            value => {
                let text = self.fields(&value, out)?;
                body(&text, Shape::Prose, out);
                Ok(())
            }
        }
    }

    fn record(&self, mut record: BTreeMap<String, Value>, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let title = take(&mut record, &TITLES);
        let text = take(&mut record, &TEXTS);
        let id = IDS.iter().find_map(|name| record.get(*name)).and_then(Value::plain);
        // A record without a title is headed by its id, so that one never runs into another.
        let heading = title.or_else(|| id.map(str::to_owned)).unwrap_or_default();
        out.section("");
        if heading.len() > MAX_BLOCK {
            // Nobody reads a heading of that length.
            body(&heading, Shape::Prose, out);
        } else if !heading.is_empty() {
            out.push(Block::Heading { level: 1, title: &heading, text: &format!("{heading}\n") });
        }
        if let Some(text) = text {
            body(&text, Shape::Prose, out);
        }
        let fields = self.fields(&Value::Object(record), out)?;
        body(&fields, Shape::Lines, out);
        Ok(())
    }

    /// A value as `name: value` lines.
    fn fields(&self, value: &Value, out: &mut Chunker<'_>) -> Result<String, FailureReason> {
        let most = usize::try_from(out.room()).unwrap_or(usize::MAX).min(MAX_NAMES);
        let mut fields = Fields { most, ..Fields::default() };
        fields.add(value).map_err(|TooLong| {
            malformed(format!(
                "line {}: the names of outer values stand before each inner one, and here that makes more than {most} bytes; shorten them, or split the record",
                self.lines
            ))
        })?;
        out.add(fields.names);
        Ok(fields.text)
    }
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
    #[test]
    fn lists_of_plain_values_are_a_line_and_others_one_for_each_value() {
        let drafts =
            read("{\"a\": [1, null, true, 2.50, \"x\"], \"b\": [1, {\"c\": 2}, [3, [4]], false], \"c\": []}").unwrap();
        assert_eq!(drafts[0].text, "a: 1, true, 2.5, x\nb: 1\nb.c: 2\nb: 3\nb: 4\nb: false");
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_value_counts() {
        assert_eq!(read("{\"text\": \"first\", \"text\": \"last\"}").unwrap()[0].text, "last");
    }

    #[test]
    fn a_name_that_would_be_repeated_without_bound_is_refused_by_its_line() {
        let values = vec!["[1]"; 9000].join(",");
        let bomb = |name: usize| format!("{{\"text\": \"fine\"}}\n{{\"{}\": [{values}]}}\n", "k".repeat(name));
        assert!(read(&bomb(400)).is_ok());
        let refused = read(&bomb(20_000)).unwrap_err();
        assert!(refused.starts_with("line 2: the names of outer values stand before each inner one"), "{refused}");
        assert!(refused.contains("more than 4194304 bytes"), "{refused}");
    }

    #[test]
    fn more_values_than_a_record_may_have_are_refused_however_small_they_are() {
        for value in ["null", "1", "{}", "[]", "{\"a\":1}"] {
            let fields: Vec<String> = (0..=MAX_VALUES).map(|n| format!("\"{n}\":{value}")).collect();
            let list = vec![value; MAX_VALUES + 1].join(",");
            for record in
                [format!("{{{}}}", fields.join(",")), format!("{{\"a\":[[],{list}]}}"), format!("[{{}},{list}]")]
            {
                let refused = read(&record).unwrap_err();
                assert_eq!(refused, "line 1: more than 10000 values in one record", "{value}");
            }
        }
    }

    #[test]
    fn a_long_list_of_numbers_is_one_value() {
        let numbers = vec!["0.25"; 20_000].join(",");
        assert!(read(&format!("{{\"embedding\": [{numbers}], \"text\": \"fine\"}}")).is_ok());
    }
}
