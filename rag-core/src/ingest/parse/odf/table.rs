//! A table of an OpenDocument as far as it is read: cells that stand for several ones, and rows that stand for several ones.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::super::{
    grid::{Grid, repeated},
    markup::attribute,
    piece::Piece,
};

/// Columns of a table that are read.
const MAX_COLUMNS: usize = 1000;
/// Equal rows that are read of each kind.
const MAX_REPEATED: usize = 100;

/// An open table.
#[derive(Default)]
pub(super) struct Table {
    grid: Grid,
    row: Vec<String>,
    /// So many rows are like the open one.
    rows: usize,
    /// The open cell, and so many like it; none while nothing is open.
    cell: Option<(String, usize)>,
    /// Cells that reach down, by their columns: rows that are left, and the text.
    down: HashMap<usize, (usize, String)>,
    reaches: usize,
    /// The value of the open cell where a reader may misread what is shown.
    value: Option<String>,
}

impl Table {
    pub(super) fn begin_row(&mut self, tag: &BytesStart<'_>) {
        (self.row, self.rows) = (Vec::new(), times(tag, "number-rows-repeated"));
    }

    pub(super) fn begin_cell(&mut self, tag: &BytesStart<'_>, covered: bool) {
        let column = self.row.len();
        let mut text = String::new();
        if covered && let Some((left, above)) = self.down.get_mut(&column).filter(|(left, _)| *left > 0) {
            *left -= 1;
            text.clone_from(above);
        }
        self.reaches = times(tag, "number-rows-spanned");
        // A date is read as one and not as some country writes it.
        self.value = attribute(tag, "date-value").map(|date| date.replace('T', " "));
        self.cell = Some((text, times(tag, "number-columns-repeated")));
    }

    /// The text of the open cell.
    pub(super) fn cell(&mut self) -> Option<&mut String> {
        self.cell.as_mut().map(|(text, _)| text)
    }

    pub(super) fn end_cell(&mut self) {
        let Some((text, times)) = self.cell.take() else { return };
        let text = self.value.take().filter(|_| !text.is_empty()).unwrap_or(text);
        if self.reaches > 1 && self.down.len() < MAX_COLUMNS {
            self.down.insert(self.row.len(), (self.reaches - 1, repeated(&text)));
        }
        let most = MAX_COLUMNS.saturating_sub(self.row.len());
        self.row.extend(std::iter::repeat_n(text, times.min(most)));
    }

    /// Ends a row; gives the rows so far where they are too many to be held.
    pub(super) fn end_row(&mut self) -> Vec<Piece> {
        let row = std::mem::take(&mut self.row);
        if row.iter().all(String::is_empty) {
            return Vec::new();
        }
        (0..self.rows.min(MAX_REPEATED)).filter_map(|_| self.grid.row(&row)).collect()
    }

    pub(super) fn finish(self) -> Option<Piece> {
        self.grid.finish()
    }
}

/// How often an attribute says that something stands.
fn times(tag: &BytesStart<'_>, name: &str) -> usize {
    attribute(tag, name).and_then(|times| times.parse().ok()).unwrap_or(1)
}
