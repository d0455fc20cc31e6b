//! What a chunk repeats that begins inside a table, so that each of its cells stands under the name of its column; pure.
//!
//! A table's head stands above the rows of every chunk. A row that is too long for one is cut between its cells, or inside one; each of its pieces begins with the row's key, under the names of the columns
//! that it has cells of. A row that says the name of each value itself is cut in the same way, without a head.

mod cells;
mod repeated;

use std::rc::Rc;

use super::{
    chunk::{Limits, Shape, Value},
    split::{Level, Measure, Unit, explode, parts},
};
use cells::{cells, mark_of};
use repeated::{Counted, Head, Row};

pub(super) use repeated::{Cost, Place};

/// Bytes of a row's first cell that are repeated; keys are shorter, and the beginning of a long text says which it is.
const KEY_BYTES: usize = 100;

/// The table that is being read.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Option<Rc<Head>>,
    /// The row of which the end is still to come.
    open: Option<OpenRow>,
}

#[derive(Debug)]
struct OpenRow {
    row: Rc<Row>,
    /// What was read of the first cell, as far as it can be the key.
    first: String,
    column: usize,
    /// Whether the next part goes on inside that column.
    within: bool,
}

impl OpenRow {
    /// Takes what the next part has of the first cell; once that has ended the row has its key.
    fn take_key(&mut self, cell: &str, has_ended: bool, measure: Measure<'_>) {
        if self.column > 0 {
            return;
        }
        // Of a long text the beginning, and the mark that ends it.
        self.first.push_str(if self.first.len() <= KEY_BYTES { cell } else { mark_of(cell) });
        if has_ended {
            let key = key_of(&self.first, measure);
            self.row = Rc::new(Row { head: self.row.head.clone(), key, names: None });
        }
    }
}

impl Table {
    /// The units of a table's text, or of more of its rows; the last one ends at `level`.
    pub(super) fn units(&mut self, text: &str, shape: Shape, level: Level, (limits, count): Measure<'_>) -> Vec<Unit> {
        let head = match shape {
            Shape::Table { head } => &text[..text.floor_char_boundary(head)],
            _ => "",
        };
        if matches!(shape, Shape::Table { .. }) {
            let named = !head.trim().is_empty();
            *self = Self { head: named.then(|| Rc::new(Head::new(head, count))), open: None };
        }
        let place = if head.is_empty() { self.place() } else { Place::Free };
        let cost = place.cost(&Place::Free);
        let tokens = count(text);
        let ends_its_row = level != Level::Line || text.ends_with('\n');
        if self.open.is_none() && ends_its_row && limits.hold(tokens + cost.tokens, text.len() + cost.bytes) {
            return vec![Unit { bytes: text.len(), tokens, level, place }];
        }
        let mut units = Vec::new();
        if !head.is_empty() {
            units = explode(head, Shape::Lines, Level::Never, (limits, count));
        }
        for line in text[head.len()..].split_inclusive('\n') {
            self.line(line, level == Level::Line, (limits, count), &mut units);
        }
        if let Some(last) = units.last_mut() {
            last.level = level;
        }
        units
    }

    fn place(&self) -> Place {
        self.head.clone().map_or(Place::Free, Place::Row)
    }

    /// Adds the units of a line, or of a part of one where the text goes on.
    fn line(&mut self, line: &str, goes_on: bool, (limits, count): Measure<'_>, units: &mut Vec<Unit>) {
        let ended = line.ends_with('\n') || !goes_on;
        let place = self.place();
        let cost = place.cost(&Place::Free);
        let tokens = count(line);
        if self.open.is_none() && ended && limits.hold(tokens + cost.tokens, line.len() + cost.bytes) {
            units.push(Unit { bytes: line.len(), tokens, level: Level::Line, place });
            return;
        }
        let continued = self.open.is_some();
        let cells = cells(line, continued);
        let mut open = self.open.take().unwrap_or_else(|| {
            let row = Row { head: self.head.clone(), key: Counted::default(), names: None };
            OpenRow { row: Rc::new(row), first: String::new(), column: 0, within: false }
        });
        // Blanks behind the last mark begin an empty cell, whose end is still to come.
        let last_has_ended = cells.last().is_some_and(|cell| line[cell.clone()].trim_end().ends_with('|'));
        let has_ended = cells.len() > 1 || last_has_ended;
        open.take_key(&line[cells[0].clone()], has_ended, (limits, count));
        let columns = cells.len();
        for (index, cell) in cells.into_iter().enumerate() {
            let column = open.column + index;
            let within = open.within && index == 0;
            add_cell(&line[cell], (&open.row, column, within), (limits, count), units);
        }
        if let Some(last) = units.last_mut() {
            last.level = Level::Line;
        }
        if !ended {
            let within = !last_has_ended;
            let column = open.column + if within { columns.saturating_sub(1) } else { columns };
            self.open = Some(OpenRow { column, within, ..open });
        }
    }
}

/// Gives `take` the units of a row that names its values, part by part.
pub(super) fn record<'t>(
    text: &'t str,
    values: &[Value],
    measure: Measure<'_>,
    mut take: impl FnMut(&'t str, Vec<Unit>),
) {
    let named = |value: &Value| Counted::new(text[value.at..value.at + value.name].to_owned(), measure.1);
    let key = key_of(values.get(1).map_or("", |second| &text[..second.at]), measure);
    let names = Some(values.iter().map(named).collect());
    let row = Rc::new(Row { head: None, key, names });
    for (column, value) in values.iter().enumerate() {
        let end = values.get(column + 1).map_or(text.len(), |next| next.at);
        for (index, part) in parts(&text[value.at..end]).enumerate() {
            let mut units = Vec::new();
            add_cell(part, (&row, column, index > 0), measure, &mut units);
            take(part, units);
        }
    }
}

/// Adds a cell of a row that is cut: whole where it fits beside what is repeated.
fn add_cell(text: &str, (row, column, within): (&Rc<Row>, usize, bool), measure: Measure<'_>, units: &mut Vec<Unit>) {
    let cost = row.cost(column, true, column);
    let (limits, count) = measure;
    let room = Limits {
        tokens: limits.tokens.saturating_sub(cost.tokens).max(limits.tokens / 2).max(1),
        bytes: limits.bytes.saturating_sub(cost.bytes).max(limits.bytes / 2).max(1),
    };
    let mut within = within;
    for unit in explode(text, Shape::Prose, Level::Line, (room, count)) {
        units.push(Unit { place: Place::Cell { row: Rc::clone(row), column, within }, ..unit });
        within = true;
    }
}

/// What is repeated of a row's first cell: its beginning where it is long, and no more than a quarter of a chunk.
fn key_of(cell: &str, (limits, count): Measure<'_>) -> Counted {
    let mut most = KEY_BYTES;
    loop {
        let key = Counted::new(brief(cell, most), count);
        if key.tokens <= limits.tokens / 4 || most < 8 {
            return key;
        }
        most /= 2;
    }
}

fn brief(cell: &str, most: usize) -> String {
    if cell.len() <= most {
        return cell.to_owned();
    }
    let mark = Some(mark_of(cell)).filter(|mark| !mark.is_empty()).unwrap_or(" ");
    let beginning = &cell[..cell.floor_char_boundary(most)];
    let words = beginning.rfind(char::is_whitespace).map_or(beginning, |space| beginning[..space].trim_end());
    format!("{words} …{mark}")
}

#[cfg(test)]
mod tests;
