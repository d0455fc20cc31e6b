//! JSON: a list is its records, one after the other as in JSON Lines; one object is a document, by the paths of its values.
//!
//! Values are found by a scanner that knows brackets and strings and are taken apart one at a time, so that a list may be of any length; memory is bounded by the longest value that is allowed.

use super::record::{self, MAX_BYTES, MAX_VALUES, Unread};
use crate::ingest::{chunk::Chunker, failure::FailureReason};

/// Values of an object that is a document by itself.
const MAX_DOCUMENT_VALUES: usize = 50_000;

/// What the scanner is in, as far as brackets and commas mean something there.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Between values.
    #[default]
    Nothing,
    /// In a number or a word.
    Word,
    String,
    /// After a backslash in a string.
    Escape,
    /// Between the strings of a list or an object.
    Brackets,
}

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Json {
    /// The value that is being read.
    value: String,
    within: Within,
    /// Open brackets of the value.
    depth: usize,
    /// Whether values are those of a list.
    list: bool,
    /// The first object, until it is known whether it is the only one.
    first: Option<(String, u64)>,
    told: bool,
    lines: u64,
    /// The line on which the value began.
    began: u64,
}

impl Json {
    /// One that begins behind so many lines.
    pub(super) fn behind(lines: u64) -> Self {
        Self { lines, ..Self::default() }
    }

    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let mut from = 0;
        for (at, byte) in piece.bytes().enumerate() {
            // A word ends before what ends it.
            if self.within == Within::Word && !is_word(byte) {
                self.add(&piece[from..at])?;
                self.end(out)?;
            }
            let between = self.within == Within::Nothing;
            let closed = self.step(byte);
            if between && self.within == Within::Nothing {
                // Blanks, commas, and the brackets of the list itself.
                from = at + 1;
            } else if between {
                (from, self.began) = (at, self.lines);
            }
            if closed {
                self.add(&piece[from..=at])?;
                self.end(out)?;
                from = at + 1;
            }
            self.lines += u64::from(byte == b'\n');
        }
        if self.within == Within::Nothing { Ok(()) } else { self.add(&piece[from..]) }
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        if self.within == Within::Word {
            self.end(out)?;
        }
        if self.within != Within::Nothing {
            return Err(refused(self.began, "not JSON: what begins there is not closed"));
        }
        if self.list {
            return Err(refused(self.lines, "not JSON: the list is not closed"));
        }
        match self.first.take() {
            Some((document, line)) => {
                let place = format!("line {}", line + 1);
                let values = read(&document, line, MAX_DOCUMENT_VALUES)?;
                values.into_iter().try_for_each(|value| record::push_document(value, &place, out))
            }
            None => Ok(()),
        }
    }

    /// Takes the next byte; tells whether it closes a value.
    fn step(&mut self, byte: u8) -> bool {
        use Within::{Brackets, Escape, Nothing, String, Word};
        match (self.within, byte) {
            (Escape, _) => self.within = String,
            (String, b'\\') => self.within = Escape,
            (String, b'"') => {
                self.within = if self.depth > 0 { Brackets } else { Nothing };
                return self.depth == 0;
            }
            (String, _) => {}
            (Nothing | Word, b'[') if !self.list && !self.told && self.first.is_none() => {
                (self.list, self.within) = (true, Nothing);
            }
            (Nothing | Word, b']') if self.list => (self.list, self.told, self.within) = (false, true, Nothing),
            (Nothing | Word | Brackets, b'{' | b'[') => (self.depth, self.within) = (self.depth + 1, Brackets),
            (Brackets, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.within = Nothing;
                    return true;
                }
            }
            (Nothing | Word | Brackets, b'"') => self.within = String,
            (Brackets, _) => {}
            (Nothing | Word, _) if is_word(byte) || matches!(byte, b'}' | b']') => self.within = Word,
            (Nothing | Word, _) => self.within = Nothing,
        }
        false
    }

    fn add(&mut self, part: &str) -> Result<(), FailureReason> {
        if self.value.len() + part.len() > MAX_BYTES {
            let cause = format!("a value longer than {MAX_BYTES} bytes; a list of values may be of any length");
            return Err(refused(self.began, &cause));
        }
        self.value.push_str(part);
        Ok(())
    }

    /// Ends a value.
    fn end(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let value = std::mem::take(&mut self.value);
        self.within = Within::Nothing;
        if !self.list && !self.told && self.first.is_none() {
            self.first = Some((value, self.began));
            return Ok(());
        }
        out.keep_headings_from_naming();
        if let Some((first, line)) = self.first.take() {
            push(&first, line, out)?;
        }
        self.told = true;
        push(&value, self.began, out)
    }
}

fn push(value: &str, line: u64, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    let place = format!("line {}", line + 1);
    let values = read(value, line, MAX_VALUES)?;
    values.into_iter().try_for_each(|value| record::push(value, &place, out))
}

fn read(value: &str, line: u64, most: usize) -> Result<Vec<record::Value>, FailureReason> {
    record::read(value, most).map_err(|unread| match unread {
        Unread::TooMany => {
            refused(line, &format!("more than {most} values in one; a list of values may be of any length"))
        }
        Unread::Unfinished => refused(line, "not JSON: it ends within a value"),
        Unread::NotJson(cause) => refused(line, &cause),
    })
}

/// Blanks, commas and brackets stand between values; whatever else does is for the parser to refuse.
fn is_word(byte: u8) -> bool {
    !(byte.is_ascii_whitespace() || b",[]{}\"".contains(&byte))
}

fn refused(line: u64, cause: &str) -> FailureReason {
    FailureReason::Malformed { cause: format!("line {}: {cause}", line + 1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::chunk::{Draft, Limits};

    /// Chunks with the headings above them, and the title.
    type Read = (Vec<(String, String)>, Option<String>);

    fn read(text: &str, piece: usize) -> Result<Read, String> {
        let count = |text: &str| text.split_whitespace().count();
        let mut chunker = Chunker::new(Limits { tokens: 50, bytes: 4000 }, &count);
        let mut json = Json::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
            json.feed(part, &mut chunker).map_err(|e| e.to_string())?;
            rest = after;
        }
        json.finish(&mut chunker).map_err(|e| e.to_string())?;
        chunker.finish();
        let title = chunker.title().map(str::to_owned);
        let seen = |draft: Draft| (draft.headings.join("/"), draft.text);
        Ok((std::iter::from_fn(|| chunker.pop()).map(seen).collect(), title))
    }

    fn pair(headings: &str, text: &str) -> (String, String) {
        (headings.to_owned(), text.to_owned())
    }

    #[test]
    fn a_list_is_its_records() {
        let text = "[\n  {\"title\": \"Pump\", \"text\": \"It, [too], turns {once}.\"},\n {\"id\": 7, \"n\": 2.50},\n\"a \\\"b\\\"\", 12,\ntrue]\n";
        let wanted =
            [pair("Pump", "Pump\nIt, [too], turns {once}."), pair("7", "7\nid: 7\nn: 2.50\n\na \"b\"\n\n12\n\ntrue")];
        for piece in [1, 2, 7, 4096] {
            assert_eq!(read(text, piece).unwrap(), (wanted.to_vec(), None), "in pieces of {piece}");
        }
    }

    #[test]
    fn one_object_is_a_document_by_the_paths_of_its_values() {
        let text = "{\"name\": \"depot\", \"hours\": {\"open\": \"05:15\", \"days\": [\"Mon\", \"Tue\"]}, \"staff\": [{\"name\": \"Ada\", \"role\": \"chief\"}, {\"name\": \"Bo\"}]}";
        let wanted = [
            pair("depot", "depot\nhours.days: Mon, Tue\nhours.open: 05:15"),
            pair("staff/Ada", "Ada\nrole: chief"),
            pair("staff/Bo", "Bo"),
        ];
        for piece in [1, 4096] {
            assert_eq!(read(text, piece).unwrap(), (wanted.to_vec(), Some("depot".to_owned())), "in pieces of {piece}");
        }
    }

    #[test]
    fn values_one_behind_the_other_are_records() {
        let text = "{\n \"title\": \"a\"\n}\n{\n \"title\": \"b\"\n}{\"title\": \"c\"}";
        let (seen, title) = read(text, 3).unwrap();
        assert_eq!(seen, [pair("a", "a"), pair("b", "b"), pair("c", "c")]);
        assert_eq!(title, None);
    }

    #[test]
    fn what_is_broken_is_named_by_its_line() {
        for (text, wanted) in [
            ("[\n{\"a\": }\n]", "line 2: not JSON: expected value at line 1 column 7"),
            ("[\n{\"a\": 1},\n{\"a\": 2\n", "line 3: not JSON: what begins there is not closed"),
            ("[{\"a\": 1}\n", "line 2: not JSON: the list is not closed"),
            ("{\"a\": \"x}", "line 1: not JSON: what begins there is not closed"),
            ("\n// a comment\n{}", "line 2: not JSON: expected value at line 1 column 1; JSON has no comments"),
            ("[1}", "line 1: not JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(read(text, 2).unwrap_err(), wanted, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_held_without_bound() {
        let long = format!("[{{\"a\": \"{}\"}}]", "x".repeat(MAX_BYTES));
        assert!(read(&long, 1 << 16).unwrap_err().starts_with("line 1: a value longer than 4194304 bytes"));
        let deep = "[".repeat(1_000_000);
        assert!(read(&deep, 1 << 16).unwrap_err().contains("not closed"));
        let deep = format!("[{}1{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(&deep, 1 << 16).unwrap_err().contains("recursion limit exceeded"));
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_read_the_same_in_any_pieces(
            parts in prop::collection::vec(prop::sample::select(vec![
                "[", "]", "{", "}", "\"", "\\", ",", ":", "\"a\"", "\"title\": \"x\"", "1.50", "NaN", "true", "null", "'a'", "\n", " ", "é", "\u{feff}", "//", "\\ud83d",
            ]), 0..40),
            piece in 1_usize..9,
        ) {
            let text = parts.concat();
            prop_assert_eq!(read(&text, piece), read(&text, usize::MAX));
        }

        #[test]
        fn every_text_of_a_list_of_records_is_in_a_chunk(texts in prop::collection::vec("[a-z0-9 {}\\[\\],\"\\\\]{0,30}", 0..12)) {
            let records: Vec<_> = texts.iter().enumerate().map(|(n, text)| serde_json::json!({ "id": n, "text": text })).collect();
            let (seen, _) = read(&serde_json::to_string_pretty(&records).unwrap(), 5).unwrap();
            let all: String = seen.iter().map(|(_, text)| format!("{text}\n")).collect();
            for text in &texts {
                prop_assert!(all.contains(text.trim()), "no {text:?} in {all}");
            }
        }
    }
}
