//! A table of HTML as rows of cells: every cell keeps its column, whatever spans it.

use html5ever::tokenizer::Tag;

use super::{
    super::{columns::name_columns, grid::escaped},
    element::{attribute, has_class},
};
use crate::ingest::chunk::Shape;

/// Columns or rows that a cell may span, as in HTML itself.
const MAX_SPAN: usize = 1000;
/// Bytes of a cell's text that are repeated in further columns and rows that it spans.
const REPEATED: usize = 100;
/// Bytes of a caption that stands above the rows of each chunk; a longer one is a paragraph.
const MAX_CAPTION: usize = 200;
/// Bytes of the rows that name the columns; what is longer is a table of headings.
const MAX_HEAD: usize = 4096;
/// Bytes that may be repeated in the tables of a page beyond twice their own.
const FREE: usize = 4096;
/// Bytes of a table that stands in a cell of another one as text.
const MAX_INNER: usize = 500;

/// A table that is being read.
#[derive(Default)]
pub(super) struct Table {
    /// What was read and not handed over: rows as lines.
    rows: String,
    /// Where the open row begins in that, and how many columns of it are filled.
    row: usize,
    column: usize,
    open: bool,
    /// Whether the beginning of the open row was handed over.
    begun: bool,
    /// Cells that the open row has itself, and whether each of them names something.
    cells: usize,
    names: bool,
    /// Where the text of its only cell ends, if that spans several columns.
    alone: Option<usize>,
    cell: Option<Cell>,
    /// By column, what a cell of a row above puts there, and in how many rows more.
    carried: Vec<(usize, String)>,
    width: usize,
    head: usize,
    head_ended: bool,
    within_head: bool,
    /// Whether it has cells that are marked as names.
    pub(super) marked: bool,
    passed: bool,
    /// Whether it is no table of data: its cells are read as blocks.
    pub(super) layout: bool,
    /// The text of the cell that it stands in, up to it.
    pub(super) outer: String,
    pub(super) tally: Tally,
}

/// Bytes that tables have, and bytes that are repeated beside them.
#[derive(Default, Clone, Copy)]
pub(super) struct Tally {
    own: usize,
    repeated: usize,
}

struct Cell {
    columns: usize,
    rows: usize,
    names: bool,
    /// Whether its beginning was taken already.
    begun: bool,
}

impl Table {
    pub(super) fn new(tag: &Tag, outer: String, tally: Tally) -> Self {
        let layout = matches!(attribute(tag, "role"), Some("presentation" | "none"))
            || has_class(tag, &["highlighttable", "rouge-table", "lntable"]);
        Self { layout, outer, tally, ..Self::default() }
    }

    /// Whether text goes into a cell.
    pub(super) fn is_in_cell(&self) -> bool {
        !self.layout && self.cell.is_some()
    }

    /// Takes the name of the table, if it can stand above its rows.
    pub(super) fn caption(&mut self, text: &str) -> bool {
        let fits = !self.layout && !self.passed && self.rows.is_empty() && text.len() <= MAX_CAPTION;
        if fits {
            self.rows.push_str(text);
            self.rows.push('\n');
            (self.head, self.row) = (self.rows.len(), self.rows.len());
        }
        fits
    }

    /// Begins a group of rows; what spans rows ends with its group.
    pub(super) fn start_group(&mut self, head: bool) {
        self.end_row();
        self.carried.clear();
        self.within_head = head;
    }

    pub(super) fn start_row(&mut self) {
        self.end_row();
        (self.open, self.row, self.column) = (true, self.rows.len(), 0);
        (self.cells, self.names, self.alone, self.begun) = (0, true, None, false);
    }

    pub(super) fn start_cell(&mut self, tag: &Tag) {
        if !self.open {
            self.start_row();
        }
        let span = |name| attribute(tag, name).and_then(|value| value.trim().parse::<usize>().ok());
        let rows = span("rowspan").map_or(1, |rows| if rows == 0 { MAX_SPAN } else { rows.min(MAX_SPAN) });
        let names = &*tag.name == "th";
        self.marked |= names;
        let columns = span("colspan").unwrap_or(1).clamp(1, MAX_SPAN);
        self.cell = Some(Cell { columns, rows, names, begun: false });
    }

    /// Takes the beginning of a cell that is too long to be held.
    pub(super) fn take_part(&mut self, text: &str) {
        let begun = self.cell.as_mut().is_some_and(|cell| std::mem::replace(&mut cell.begun, true));
        if begun {
            self.rows.push_str(text);
        } else {
            self.fill();
            self.write(text);
        }
    }

    pub(super) fn end_cell(&mut self, text: &str) {
        let Some(cell) = self.cell.take() else { return };
        let text = escaped(text.trim());
        self.tally.own += text.len() + 1;
        self.cells += 1;
        self.names &= cell.names;
        if cell.begun {
            self.rows.push_str(text.trim_end());
            return;
        }
        self.fill();
        let first = self.column;
        self.write(&text);
        let room = if self.width > first { self.width - first } else { MAX_SPAN };
        let columns = cell.columns.min(room);
        if self.cells == 1 && first == 0 && cell.columns > 1 {
            self.alone = Some(self.rows.len());
        }
        let again = brief(&text);
        (1..columns).for_each(|_| self.write_again(&again));
        if cell.rows > 1 {
            self.carry(first..self.column, cell.rows - 1, &again);
        }
    }

    pub(super) fn end_row(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.cell = None;
        if self.carried.get(self.column..).is_some_and(|carried| carried.iter().any(|(rows, _)| *rows > 0)) {
            self.alone = None;
            let last = self.carried.iter().rposition(|(rows, _)| *rows > 0).unwrap_or(0);
            let mut column = usize::MAX;
            while self.column <= last && column != self.column {
                column = self.column;
                self.fill();
                if self.column <= last {
                    self.write_again("");
                }
            }
        }
        let alone = self.alone.take().filter(|_| self.cells == 1);
        if let Some(end) = alone {
            // It says something of the whole table.
            self.rows.truncate(end);
        } else {
            self.width = self.width.max(self.column);
        }
        let begun = std::mem::take(&mut self.begun);
        if !begun && self.rows[self.row..].trim_matches([' ', '|']).is_empty() {
            self.rows.truncate(self.row);
            return;
        }
        self.rows.push('\n');
        self.tell_head(alone.is_some());
        self.row = self.rows.len();
    }

    /// Sees whether the row that ended names the columns.
    fn tell_head(&mut self, alone: bool) {
        if self.head_ended {
            return;
        }
        let names = self.within_head || self.names && self.cells > 0;
        if names || alone && self.rows.len() - self.row <= MAX_CAPTION {
            self.head = self.rows.len();
            return;
        }
        self.head_ended = true;
        let row = self.rows[self.row..].trim_end_matches('\n');
        if !self.marked && name_columns(&row.split(" | ").map(str::trim).collect::<Vec<_>>()) {
            self.head = self.rows.len();
        }
    }

    /// Reads what comes as blocks; gives what was read until now.
    pub(super) fn lay_out(&mut self) -> Option<(Shape, String)> {
        (self.layout, self.open, self.cell) = (true, false, None);
        self.carried.clear();
        self.take()
    }

    /// What there is to hand over.
    pub(super) fn take(&mut self) -> Option<(Shape, String)> {
        if self.rows.is_empty() {
            return None;
        }
        let head = if self.head > MAX_HEAD { 0 } else { self.head };
        let shape = if std::mem::replace(&mut self.passed, true) { Shape::Rows } else { Shape::Table { head } };
        (self.row, self.head_ended, self.alone, self.begun) = (0, true, None, self.open);
        Some((shape, std::mem::take(&mut self.rows)))
    }

    /// Bytes that wait to be handed over.
    pub(super) fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// The table as part of a cell of another one, if it is small.
    pub(super) fn as_text(&self) -> Option<String> {
        let small = !self.passed && self.rows.len() <= MAX_INNER;
        small.then(|| self.rows.trim_end().replace(" | ", ", ").replace('\n', "; "))
    }

    /// Adds what cells of rows above put into the next columns.
    fn fill(&mut self) {
        while let Some((rows, text)) = self.carried.get_mut(self.column).filter(|(rows, _)| *rows > 0) {
            *rows -= 1;
            let text = text.clone();
            let column = self.column;
            self.write_again(&text);
            if self.column == column {
                return;
            }
        }
    }

    fn write(&mut self, text: &str) {
        if self.column > 0 {
            self.rows.push_str(" | ");
        }
        self.rows.push_str(text);
        self.column += 1;
    }

    /// Writes what stands in the table already, as long as that does not make much of little.
    fn write_again(&mut self, text: &str) {
        self.tally.repeated += text.len() + 3;
        if self.tally.repeated > 2 * self.tally.own + FREE {
            self.carried.clear();
        } else {
            self.write(text);
        }
    }

    fn carry(&mut self, columns: std::ops::Range<usize>, rows: usize, text: &str) {
        let columns = columns.start.min(MAX_SPAN)..columns.end.min(MAX_SPAN);
        if self.carried.len() < columns.end {
            self.carried.resize(columns.end, (0, String::new()));
        }
        for carried in &mut self.carried[columns] {
            *carried = (rows, text.to_owned());
        }
    }
}

/// The beginning of a long text.
fn brief(text: &str) -> String {
    if text.len() <= REPEATED {
        return text.to_owned();
    }
    let beginning = &text[..text.floor_char_boundary(REPEATED)];
    format!("{} …", beginning.rfind(' ').map_or(beginning, |space| &beginning[..space]))
}
