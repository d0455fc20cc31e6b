//! Tables within a page: which text belongs to a cell, and what is no table of data.

use html5ever::tokenizer::Tag;

use super::{
    reader::{Found, Reader, Reading},
    table::Table,
};
use crate::ingest::{chunk::Shape, split::MAX_BLOCK};

impl Reader {
    /// Whether text goes into a cell of a table.
    pub(super) fn is_in_cell(&self) -> bool {
        self.tables.last().is_some_and(Table::is_in_cell)
    }

    /// Whether it goes into a cell of a table that names its columns or rows, where headings are names too.
    pub(super) fn is_in_data(&self) -> bool {
        self.tables.last().is_some_and(|table| table.is_in_cell() && table.marked)
    }

    pub(super) fn start_table(&mut self, tag: &Tag) {
        let outer = if self.is_in_cell() {
            self.settle("");
            self.taken()
        } else {
            self.end_block();
            String::new()
        };
        let tally = self.tables.last().map_or(self.tally, |table| table.tally);
        self.tables.push(Table::new(tag, outer, tally));
    }

    pub(super) fn start_part(&mut self, tag: &Tag) {
        if !self.is_in_cell() {
            // What stands in no cell is no part of a row.
            self.end_block();
        }
        let Some(table) = self.tables.last_mut() else { return };
        match &*tag.name {
            "tr" => table.start_row(),
            "td" | "th" => table.start_cell(tag),
            group => table.start_group(group == "thead"),
        }
    }

    pub(super) fn end_part(&mut self, name: &str) {
        let text = match name {
            "td" | "th" if self.is_in_cell() => {
                self.settle("");
                self.goes_on();
                self.number_ended = false;
                self.taken()
            }
            _ => String::new(),
        };
        let Some(table) = self.tables.last_mut() else { return };
        match name {
            "td" | "th" => table.end_cell(&text),
            "tr" => table.end_row(),
            _ => table.start_group(false),
        }
        self.pass_rows_on();
    }

    /// Passes on a part of a cell that is too long to be held.
    pub(super) fn pass_cell_on(&mut self, text: &str) {
        if let Some(table) = self.tables.last_mut() {
            table.take_part(text);
        }
        self.pass_rows_on();
    }

    fn pass_rows_on(&mut self) {
        let inner = self.tables.len().saturating_sub(1);
        if self.tables.last().is_some_and(|table| table.waiting() > MAX_BLOCK) {
            self.surface(inner);
            if let Some((shape, text)) = self.tables.last_mut().and_then(Table::take) {
                self.found.push(Found::Body { shape, text, continues: true });
            }
        }
    }

    pub(super) fn end_caption(&mut self) {
        self.settle("");
        self.reading = Reading::Prose;
        let text = self.text.trim().to_owned();
        if !text.is_empty() && self.tables.last_mut().is_some_and(|table| table.caption(&text)) {
            self.taken();
        } else {
            self.end_block();
        }
    }

    pub(super) fn end_table(&mut self) {
        if !self.is_in_cell() {
            self.end_block();
        }
        let Some(mut table) = self.tables.pop() else { return };
        table.end_row();
        *self.tables.last_mut().map_or(&mut self.tally, |outer| &mut outer.tally) = table.tally;
        if self.is_in_cell() {
            self.text = std::mem::take(&mut table.outer);
            if let Some(text) = table.as_text() {
                return self.word(&text);
            }
            self.surface(self.tables.len());
            self.end_block();
        }
        let rows = table.take();
        self.hand_rows_over(rows);
    }

    /// Reads the cells of the outermost tables as blocks from here on. A heading, code or a long table inside a cell says that they are no tables of data.
    pub(super) fn surface(&mut self, tables: usize) {
        for at in 0..tables {
            if self.tables[at].layout {
                continue;
            }
            let rows = self.tables[at].lay_out();
            self.hand_rows_over(rows);
            let inner = self.tables.get_mut(at + 1).map(|inner| std::mem::take(&mut inner.outer)).unwrap_or_default();
            if !inner.trim().is_empty() {
                self.hand_over(Shape::Prose, format!("{}\n\n", inner.trim()), false);
            }
        }
    }

    fn hand_rows_over(&mut self, rows: Option<(Shape, String)>) {
        if let Some((shape, mut text)) = rows {
            text.truncate(text.trim_end_matches('\n').len());
            text.push_str("\n\n");
            self.hand_over(shape, text, false);
        }
    }
}
