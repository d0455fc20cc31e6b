//! A table as far as it is read: one row is one line, its cells between bars. What the formats with tables share.

use super::{columns::name_columns, piece::Piece};

/// Bytes of rows that are held.
const MAX_HELD: usize = 64 * 1024;

/// The rows of a table that are not handed over yet.
#[derive(Default)]
pub(super) struct Grid {
    rows: String,
    /// Bytes of the first row, where it names the columns; nothing before it is read.
    head: Option<usize>,
    /// Whether rows were handed over.
    passed: bool,
}

impl Grid {
    /// Adds a row, without the empty cells at its end; gives the rows so far where they are too many to be held. A cell alone above the first row is what stands above the table.
    pub(super) fn row(&mut self, cells: &[String]) -> Option<Piece> {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let row = cells.join(" | ");
        let row = row.trim_end_matches([' ', '|']);
        let mut filled = cells.iter().filter(|cell| !cell.is_empty());
        if let (None, Some(alone), None) = (self.head, filled.next(), filled.next()) {
            return Some(Piece::Prose(format!("{alone}\n")));
        }
        if !row.is_empty() {
            self.rows.push_str(row);
            self.rows.push('\n');
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            self.head.get_or_insert(if name_columns(&cells) { self.rows.len() } else { 0 });
        }
        (self.rows.len() > MAX_HELD).then(|| self.piece())
    }

    /// The rows that are left.
    pub(super) fn finish(mut self) -> Option<Piece> {
        self.rows.push('\n');
        (self.rows.len() > 1).then(|| self.piece())
    }

    fn piece(&mut self) -> Piece {
        let rows = std::mem::take(&mut self.rows);
        let passed = std::mem::replace(&mut self.passed, true);
        if passed { Piece::Rows(rows) } else { Piece::Table(self.head.unwrap_or(0), rows) }
    }
}
