//! CSV: each row as one line of `column: value` pairs, so that a row reads well alone.
//!
//! Rows are found by a scanner that knows quotes, one at a time, and taken apart by the crate `csv`; memory is bounded by the longest row that is allowed.
//! The first row names the columns. Where their names would make too much of a table they are cut short from that row on. Comma, semicolon and tab are told apart by the first row.

use ::csv::{ReaderBuilder, StringRecord};

use super::lines;
use crate::ingest::{
    chunk::{Chunker, Shape},
    failure::FailureReason,
};

/// Bytes of one row: a cell with a long text fits, a file without line ends does not.
const MAX_ROW: usize = 1 << 20;
/// Characters of a column's name that are repeated with each value.
const MAX_NAME: usize = 100;
/// Bytes of a column's name that are repeated where the names are much longer than what stands below them.
const SHORT_NAME: usize = 16;
/// Bytes between names and values: a colon, a semicolon, and a space behind each.
const MARKS: usize = 4;
/// Columns that a row may have.
const MAX_COLUMNS: usize = 10_000;

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a cell, where a quote opens.
    #[default]
    Start,
    Plain,
    Quoted,
    /// After a quote inside a quoted cell: another one escapes, anything else ends it.
    Closing,
}

/// A table that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Csv {
    delimiter: Option<u8>,
    columns: Option<Vec<String>>,
    row: String,
    state: State,
    /// Lines that were read, for messages.
    lines: u64,
    /// The line on which the row began.
    began: u64,
}

impl Csv {
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        out.keep_headings_from_naming();
        let mut rest = piece;
        while !rest.is_empty() {
            let (part, after, ended) = self.scan(rest);
            if self.row.len() + part.len() > MAX_ROW {
                return Err(malformed(format!(
                    "row at line {}: longer than {MAX_ROW} bytes; is a quote or a line end missing?",
                    self.began + 1
                )));
            }
            self.row.push_str(part);
            if ended {
                self.end_row(out)?;
            }
            rest = after;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        if self.state == State::Quoted {
            return Err(malformed(format!("row at line {}: a quote is opened and not closed", self.began + 1)));
        }
        self.end_row(out)
    }

    /// The part of `text` that belongs to the row, what comes after it, and whether the row ends there.
    fn scan<'t>(&mut self, text: &'t str) -> (&'t str, &'t str, bool) {
        for (at, byte) in text.bytes().enumerate() {
            self.lines += u64::from(byte == b'\n');
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::Closing,
                (State::Quoted, _) => State::Quoted,
                (State::Start | State::Closing, b'"') => State::Quoted,
                (_, b'\n' | b'\r') => {
                    self.state = State::Start;
                    let (row, rest) = text.split_at(at + 1);
                    return (row, rest, true);
                }
                (_, other) if self.is_delimiter(other) => State::Start,
                _ => State::Plain,
            };
        }
        (text, "", false)
    }

    /// Before the delimiter is known, each of them may begin a quoted cell.
    fn is_delimiter(&self, byte: u8) -> bool {
        self.delimiter.map_or(matches!(byte, b',' | b';' | b'\t'), |delimiter| delimiter == byte)
    }

    fn end_row(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let row = std::mem::take(&mut self.row);
        let began = std::mem::replace(&mut self.began, self.lines);
        if row.trim().is_empty() {
            return Ok(());
        }
        let delimiter = *self.delimiter.get_or_insert_with(|| delimiter_of(&row));
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(row.as_bytes());
        let mut cells = StringRecord::new();
        let read = reader.read_record(&mut cells).map_err(|e| malformed(format!("row at line {}: {e}", began + 1)))?;
        if !read || cells.len() > MAX_COLUMNS {
            return Err(malformed(format!("row at line {}: more than {MAX_COLUMNS} columns", began + 1)));
        }
        match &self.columns {
            None => self.columns = Some(cells.iter().map(name).collect()),
            Some(columns) => {
                let fits = added(columns, &cells, usize::MAX) as u64 <= out.room();
                let longest = if fits { usize::MAX } else { SHORT_NAME };
                out.add(added(columns, &cells, longest));
                lines::push(&line(columns, &cells, longest), Shape::Lines, out);
            }
        }
        Ok(())
    }
}

/// Bytes that a row's names and the marks around them have.
fn added(columns: &[String], cells: &StringRecord, longest_name: usize) -> usize {
    let named = columns.iter().zip(cells).filter(|(_, value)| !value.trim().is_empty());
    named.map(|(column, _)| beginning(column, longest_name).len() + MARKS).sum()
}

fn line(columns: &[String], cells: &StringRecord, longest_name: usize) -> String {
    let mut line = String::new();
    for (index, value) in cells.iter().enumerate() {
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        if let Some(column) = columns.get(index).filter(|column| !column.is_empty()) {
            line.push_str(beginning(column, longest_name));
            line.push_str(": ");
        }
        line.push_str(value);
    }
    if !line.is_empty() {
        line.push('\n');
    }
    line
}

fn name(cell: &str) -> String {
    let words: Vec<&str> = cell.split_whitespace().collect();
    words.join(" ").chars().take(MAX_NAME).collect()
}

/// What is repeated of a name that may have so many bytes.
fn beginning(name: &str, longest: usize) -> &str {
    &name[..name.floor_char_boundary(longest)]
}

/// The delimiter that the first row has most of outside quotes.
fn delimiter_of(row: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in row.bytes() {
        quoted ^= byte == b'"';
        if !quoted && let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| *delimiter == byte) {
            *count += 1;
        }
    }
    // The first of equals: a single column has none of them.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::chunk::Limits;

    /// The lines that a table becomes.
    fn lines(table: &str, piece: usize) -> Result<Vec<String>, String> {
        let count = |text: &str| text.split_whitespace().count();
        let mut chunker = Chunker::new(Limits { tokens: 1000, bytes: 4000 }, &count);
        let mut csv = Csv::default();
        let mut rest = table;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
            csv.feed(part, &mut chunker).map_err(|e| e.to_string())?;
            rest = after;
        }
        csv.finish(&mut chunker).map_err(|e| e.to_string())?;
        chunker.finish();
        assert_eq!(chunker.title(), None);
        let chunks: Vec<String> = std::iter::from_fn(|| chunker.pop()).map(|draft| draft.text).collect();
        Ok(chunks.join("\n").lines().map(str::to_owned).collect())
    }

    #[test]
    fn each_row_carries_the_names_of_its_columns() {
        let table =
            "Model,Pressure,Note\r\nX200,3 bar,\"red, with \"\"valve\"\"\"\r\nX300,,\"two\nlines\"\r\n\r\nX400\r\n";
        let wanted = [
            "Model: X200; Pressure: 3 bar; Note: red, with \"valve\"",
            "Model: X300; Note: two",
            "lines",
            "Model: X400",
        ];
        for piece in [1, 2, 7, 4096] {
            assert_eq!(lines(table, piece).unwrap(), wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn semicolons_and_tabs_are_told_by_the_first_row() {
        assert_eq!(lines("a;b\n1,5;2", 99).unwrap(), ["a: 1,5; b: 2"]);
        assert_eq!(lines("a\tb\nx\t2\n", 99).unwrap(), ["a: x; b: 2"]);
        assert_eq!(lines("name\nwith, comma\n", 99).unwrap(), ["name: with; comma"]);
    }

    #[test]
    fn lines_may_end_as_on_any_system() {
        for table in ["a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4", "a,b\r1,2\r3,4\r"] {
            assert_eq!(lines(table, 2).unwrap(), ["a: 1; b: 2", "a: 3; b: 4"], "{table:?}");
        }
    }

    #[test]
    fn a_quote_inside_a_plain_cell_is_a_character() {
        let table = "size,what\n5\" pipe,steel\n6\" pipe,brass\n";
        assert_eq!(lines(table, 3).unwrap(), ["size: 5\" pipe; what: steel", "size: 6\" pipe; what: brass"]);
    }

    #[test]
    fn names_that_would_make_too_much_of_a_table_are_cut_short_from_there_on() {
        let table = format!("{}\n{}", "n".repeat(100), "1\n".repeat(100_000));
        let lines = lines(&table, 4096).unwrap();
        assert_eq!(lines.len(), 100_000);
        assert_eq!(lines[0], format!("{}: 1", "n".repeat(100)));
        assert_eq!(lines[99_999], format!("{}: 1", "n".repeat(16)));
    }

    #[test]
    fn a_broken_quote_is_named_by_its_line() {
        assert_eq!(lines("a,b\n1,2\n3,\"x\n4,5\n", 99).unwrap_err(), "row at line 3: a quote is opened and not closed");
    }
}
