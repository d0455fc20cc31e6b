//! CSV: each row as one line of `column: value` pairs, so that a row reads well alone.
//!
//! How a table is written is told by its beginning (`dialect`). Rows are found by a scanner that knows quotes, one at a time, and taken apart by the crate `csv`; memory is bounded by the longest row that is
//! allowed. The first row names the columns; what stands above it is text. Where the names would make too much of a table they are cut short from that row on.

mod dialect;
mod scan;

use ::csv::{ReaderBuilder, StringRecord};

use self::{
    dialect::Dialect,
    scan::{Mark, Scanner, doubled},
};
use super::lines;
use crate::ingest::{
    chunk::{Block, Chunker, Shape, Value},
    failure::FailureReason,
};

/// Bytes that tell how a table is written.
const BEGINNING: usize = 32 * 1024;

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

/// A table that is being read.
pub(in crate::ingest) struct Csv {
    /// What its name says stands between cells.
    named: Option<u8>,
    /// The beginning, until it tells how the table is written.
    beginning: Option<String>,
    scanner: Scanner,
    /// Rows that are still to come above the head.
    above: usize,
    columns: Option<Vec<String>>,
    row: String,
    /// Lines that were read, for messages.
    lines: u64,
    /// The line on which the row began.
    began: u64,
}

impl Csv {
    /// A table of any kind, or one whose name says that tabs stand between its cells.
    pub(super) fn new(tabs: bool) -> Self {
        Self {
            named: tabs.then_some(b'\t'),
            beginning: Some(String::new()),
            scanner: Scanner::new(b',', false),
            above: 0,
            columns: None,
            row: String::new(),
            lines: 0,
            began: 0,
        }
    }

    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let Some(beginning) = &mut self.beginning else { return self.read(piece, out) };
        beginning.push_str(piece);
        if beginning.len() < BEGINNING { Ok(()) } else { self.begin(false, out) }
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        self.begin(true, out)?;
        if self.scanner.is_quoted() {
            return Err(malformed(format!("row at line {}: a quote is opened and not closed", self.began + 1)));
        }
        self.end_row(out)
    }

    /// Looks how the table is written, and reads what is there of it.
    fn begin(&mut self, whole: bool, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let Some(beginning) = self.beginning.take() else { return Ok(()) };
        out.keep_headings_from_naming();
        let said = dialect::said(&beginning);
        let text = &beginning[said.map_or(0, |(_, length)| length)..];
        self.lines = u64::from(said.is_some());
        self.began = self.lines;
        let looked_at = &text[..text.floor_char_boundary(BEGINNING)];
        let named = self.named.filter(|mark| looked_at.as_bytes().contains(mark));
        let given = said.map(|(delimiter, _)| delimiter).or(named);
        let Dialect { delimiter, escapes, above } = dialect::of(looked_at, whole, given);
        (self.scanner, self.above) = (Scanner::new(delimiter, escapes), above);
        self.read(text, out)
    }

    fn read(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
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

    /// The part of `text` that belongs to the row, what comes after it, and whether the row ends there.
    fn scan<'t>(&mut self, text: &'t str) -> (&'t str, &'t str, bool) {
        for (at, byte) in text.bytes().enumerate() {
            self.lines += u64::from(byte == b'\n');
            if self.scanner.take(byte) == Mark::Row {
                let (row, rest) = text.split_at(at + 1);
                return (row, rest, true);
            }
        }
        (text, "", false)
    }

    fn end_row(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let row = std::mem::take(&mut self.row);
        let began = std::mem::replace(&mut self.began, self.lines);
        if row.trim().is_empty() {
            return Ok(());
        }
        let cells = self.cells(&row).map_err(|cause| malformed(format!("row at line {}: {cause}", began + 1)))?;
        if self.above > 0 {
            self.above -= 1;
            let filled = cells.iter().map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
            if !filled.is_empty() {
                lines::push(&format!("{filled}\n{}", if self.above == 0 { "\n" } else { "" }), Shape::Prose, out);
            }
            return Ok(());
        }
        match &self.columns {
            None => self.columns = Some(cells.iter().map(name).collect()),
            Some(columns) => {
                let fits = added(columns, &cells, usize::MAX) as u64 <= out.room();
                let longest = if fits { usize::MAX } else { SHORT_NAME };
                out.add(added(columns, &cells, longest));
                let (text, values) = line(columns, &cells, longest);
                if !text.is_empty() {
                    out.push(Block::Record { text: &text, values: &values });
                }
            }
        }
        Ok(())
    }

    /// The cells of a row, or what is wrong with it.
    fn cells(&self, row: &str) -> Result<StringRecord, String> {
        let doubled = self.scanner.escapes.then(|| doubled(row, self.scanner.delimiter));
        let row = doubled.as_deref().unwrap_or(row).as_bytes();
        let delimiter = self.scanner.delimiter;
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(row);
        let mut cells = StringRecord::new();
        match reader.read_record(&mut cells) {
            Ok(true) if cells.len() <= MAX_COLUMNS => Ok(cells),
            Ok(_) => Err(format!("more than {MAX_COLUMNS} columns")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Bytes that a row's names and the marks around them have.
fn added(columns: &[String], cells: &StringRecord, longest_name: usize) -> usize {
    let named = columns.iter().zip(cells).filter(|(_, value)| !value.trim().is_empty());
    named.map(|(column, _)| beginning(column, longest_name).len() + MARKS).sum()
}

/// A row as one line, and where each value stands in it.
fn line(columns: &[String], cells: &StringRecord, longest_name: usize) -> (String, Vec<Value>) {
    let (mut line, mut values) = (String::new(), Vec::new());
    for (index, value) in cells.iter().enumerate() {
        let mut words = value.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).peekable();
        if words.peek().is_none() {
            continue;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        let at = line.len();
        if let Some(column) = columns.get(index).filter(|column| !column.is_empty()) {
            line.push_str(beginning(column, longest_name));
            line.push_str(": ");
        }
        values.push(Value { at, name: line.len() - at });
        while let Some(part) = words.next() {
            line.push_str(part);
            line.push_str(if words.peek().is_some() { " " } else { "" });
        }
    }
    if !line.is_empty() {
        line.push('\n');
    }
    (line, values)
}

fn name(cell: &str) -> String {
    let words: Vec<&str> = cell.split_whitespace().collect();
    words.join(" ").chars().take(MAX_NAME).collect()
}

/// What is repeated of a name that may have so many bytes.
fn beginning(name: &str, longest: usize) -> &str {
    &name[..name.floor_char_boundary(longest)]
}

fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}

#[cfg(test)]
mod tests;
