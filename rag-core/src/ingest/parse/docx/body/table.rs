//! A table as far as it is read: one row is one line, its cells between bars, and each cell in its column.

use quick_xml::events::BytesStart;

use super::super::super::{
    grid::{Grid, repeated},
    markup::attribute,
    piece::Piece,
};

/// Columns of a table; what stands beyond goes into the last one.
const MAX_COLUMNS: usize = 1000;

/// Whether a cell reaches over rows.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Merged {
    #[default]
    No,
    Begins,
    GoesOn,
}

struct Cell {
    text: String,
    columns: usize,
    merged: Merged,
    deleted: bool,
}

/// An open table.
#[derive(Default)]
pub(super) struct Table {
    grid: Grid,
    row: Vec<Cell>,
    /// Columns before the first cell of the row.
    before: usize,
    deleted: bool,
    /// Of each column the cell that reaches down into it.
    above: Vec<String>,
}

impl Table {
    pub(super) fn start(&mut self, name: &str, tag: &BytesStart<'_>) {
        let (value, full) = (attribute(tag, "val"), self.row.len() >= MAX_COLUMNS);
        match (name, self.row.last_mut()) {
            ("tr", _) => (self.row, self.before, self.deleted) = (Vec::new(), 0, false),
            ("tc", _) if !full => {
                self.row.push(Cell { text: String::new(), columns: 1, merged: Merged::No, deleted: false });
            }
            ("gridSpan", Some(cell)) => cell.columns = columns(value).max(1),
            ("vMerge", Some(cell)) => {
                cell.merged = if value.as_deref() == Some("restart") { Merged::Begins } else { Merged::GoesOn };
            }
            ("cellDel", Some(cell)) => cell.deleted = true,
            _ => {}
        }
    }

    pub(super) fn row_property(&mut self, name: &str, tag: &BytesStart<'_>) {
        if name == "gridBefore" {
            self.before = columns(attribute(tag, "val"));
        }
    }

    pub(super) fn delete_row(&mut self) {
        self.deleted = true;
    }

    /// The text of the open cell.
    pub(super) fn cell(&mut self) -> Option<&mut String> {
        self.row.last_mut().map(|cell| &mut cell.text)
    }

    /// Ends a row; gives the rows so far where they are too many to be held.
    pub(super) fn end_row(&mut self) -> Option<Piece> {
        let cells = std::mem::take(&mut self.row);
        if self.deleted {
            return None;
        }
        let mut row = vec![String::new(); self.before];
        for cell in cells.into_iter().filter(|cell| !cell.deleted) {
            let at = row.len();
            let columns = cell.columns.min(MAX_COLUMNS.saturating_sub(at)).max(1);
            self.above.resize(self.above.len().max(at + columns), String::new());
            // So that each row reads alone.
            let text = if cell.merged == Merged::GoesOn { self.above[at].clone() } else { cell.text.trim().to_owned() };
            self.above[at..at + columns].fill(String::new());
            if cell.merged != Merged::No {
                self.above[at] = repeated(&text);
            }
            row.push(text);
            row.resize(at + columns, String::new());
        }
        self.grid.row(&row)
    }

    pub(super) fn finish(self) -> Option<Piece> {
        self.grid.finish()
    }
}

fn columns(value: Option<String>) -> usize {
    value.and_then(|value| value.parse().ok()).unwrap_or(0).min(MAX_COLUMNS)
}
