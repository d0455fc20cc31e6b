//! What a chunk repeats that begins inside a table, so that each of its cells stands under the name of its column; pure.
//!
//! A table's head stands above the rows of every chunk. A row that is too long for one is cut between its cells, or inside one; each of its pieces begins with the row's key, under the names of the columns
//! that it has cells of. A row that says the name of each value itself is cut in the same way, without a head.

use std::{ops::Range, rc::Rc};

use unicode_segmentation::GraphemeCursor;

use super::{
    chunk::{Limits, Shape, Value},
    split::{Count, Level, Measure, Unit, explode, parts},
};

/// Bytes of a row's first cell that are repeated; keys are shorter, and the beginning of a long text says which it is.
const KEY_BYTES: usize = 100;

/// Cells of which each is marked as left out; more are counted.
const MARKED: usize = 8;

/// Stands for what is left out of a row.
const LEFT_OUT: &str = "… ";

/// Where a unit begins, as far as a chunk that begins there has to repeat something.
#[derive(Debug, Clone, Default)]
pub(super) enum Place {
    /// Not in a table, or in its head.
    #[default]
    Free,
    /// At the beginning of a row.
    Row(Rc<Head>),
    /// In a row that is cut.
    Cell {
        row: Rc<Row>,
        /// The cell that it belongs to.
        column: usize,
        /// Whether the cell begins before.
        within: bool,
    },
}

/// Text with its tokens.
#[derive(Debug, Default)]
struct Counted {
    text: String,
    tokens: usize,
}

impl Counted {
    fn new(text: String, count: Count<'_>) -> Self {
        Self { tokens: count(&text), text }
    }
}

/// The lines that name a table's columns.
#[derive(Debug)]
pub(super) struct Head {
    whole: Counted,
    /// Each line, and where its cells stand in it.
    lines: Vec<(String, Vec<Range<usize>>)>,
    /// What the names of the columns up to each one cost together.
    costs: Vec<Cost>,
}

/// The row that a unit is a part of.
#[derive(Debug)]
pub(super) struct Row {
    head: Option<Rc<Head>>,
    /// What the row is told by, with the mark behind it.
    key: Counted,
    /// The names of its values, where it says them itself.
    names: Option<Vec<Counted>>,
}

/// What is repeated takes room from the chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) tokens: usize,
    pub(super) bytes: usize,
}

impl Cost {
    fn of(text: &Counted) -> Self {
        Self { tokens: text.tokens, bytes: text.text.len() }
    }

    fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, bytes: self.bytes + other.bytes }
    }
}

impl Head {
    fn new(text: &str, count: Count<'_>) -> Self {
        // The blanks before the first name may stand for an empty one.
        let text = text.trim_end().trim_start_matches(['\n', '\r']);
        let lines: Vec<_> = text.lines().map(|line| (line.to_owned(), cells(line, false))).collect();
        let columns = lines.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let mut costs: Vec<Cost> = Vec::with_capacity(columns);
        for column in 0..columns {
            let names = lines.iter().filter_map(|(line, cells)| cells.get(column).map(|cell| &line[cell.clone()]));
            let before = costs.last().copied().unwrap_or_default();
            costs.push(names.fold(before, |cost, name| cost.and(Cost { tokens: count(name), bytes: name.len() })));
        }
        Self { whole: Counted::new(format!("{text}\n"), count), lines, costs }
    }

    /// The names of the first column and of these.
    fn names(&self, columns: Range<usize>) -> String {
        let mut names = String::new();
        for (line, cells) in &self.lines {
            // What names no column of its own, such as a caption, stands above all of them.
            let chosen = if cells.len() == 1 { 0..0 } else { columns.start.max(1)..columns.end.min(cells.len()) };
            let kept = cells.iter().take(1).chain(cells.get(chosen).unwrap_or_default());
            let start = names.len();
            kept.for_each(|cell| names.push_str(&line[cell.clone()]));
            if !line.starts_with('|') && names[start..].ends_with(" | ") {
                names.truncate(names.len() - " | ".len());
            }
            names.push('\n');
        }
        names
    }

    fn cost(&self, columns: Range<usize>) -> Cost {
        let upto = |column: usize| match (column, self.costs.as_slice()) {
            (0, _) | (_, []) => Cost::default(),
            (column, costs) => costs[column.min(costs.len()) - 1],
        };
        let (from, to) = (upto(columns.start.max(1)), upto(columns.end));
        let first = upto(1);
        Cost {
            tokens: first.tokens + to.tokens.saturating_sub(from.tokens),
            bytes: first.bytes + to.bytes.saturating_sub(from.bytes) + self.lines.len(),
        }
    }
}

impl Row {
    /// What stands before a piece of the row, on its line.
    fn lead(&self, column: usize, within: bool) -> String {
        let mut lead = String::new();
        if column > 0 {
            lead.push_str(&self.key.text);
        }
        match &self.names {
            Some(names) => {
                if column > 1 {
                    lead.push_str(LEFT_OUT);
                }
                if within {
                    lead.push_str(names.get(column).map_or("", |name| &name.text));
                }
            }
            // Without names only its place among the cells says what a cell is.
            None if self.head.is_none() && column > MARKED => lead.push_str(&format!("… ({} cells) | ", column - 1)),
            None if self.head.is_none() => (1..column).for_each(|_| lead.push_str("… | ")),
            None => {}
        }
        if within {
            lead.push_str(LEFT_OUT);
        }
        lead
    }

    fn cost(&self, from: usize, within: bool, to: usize) -> Cost {
        let head = self.head.as_ref().map_or_else(Cost::default, |head| head.cost(from..to + 1));
        let names = match &self.names {
            Some(names) if within => names.get(from).map_or_else(Cost::default, Cost::of),
            Some(_) => Cost::default(),
            None if self.head.is_none() => {
                // The number of those that are left out is as long as four marks at most.
                Cost { tokens: 2, bytes: 6 }.times(from.saturating_sub(1).min(MARKED))
            }
            None => Cost::default(),
        };
        let key = if from > 0 { Cost::of(&self.key) } else { Cost::default() };
        let marks = Cost { tokens: 1, bytes: LEFT_OUT.len() }.times(2);
        head.and(names).and(key).and(marks)
    }
}

impl Cost {
    fn times(self, times: usize) -> Self {
        Self { tokens: self.tokens * times, bytes: self.bytes * times }
    }
}

impl Place {
    /// Whether a unit that begins there is part of the same row that is cut.
    pub(super) fn is_of_row_of(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Cell { row, .. }, Self::Cell { row: same, .. }) if Rc::ptr_eq(row, same))
    }

    /// Whether it is in a row that is cut.
    pub(super) fn is_in_cut_row(&self) -> bool {
        matches!(self, Self::Cell { .. })
    }

    /// What a chunk repeats that begins here and whose last unit begins at `last`: lines above, and what stands before its first line.
    pub(super) fn repeated(&self, last: &Self) -> (String, String) {
        match self {
            Self::Free => (String::new(), String::new()),
            Self::Row(head) => (head.whole.text.clone(), String::new()),
            Self::Cell { row, column, within } => {
                let names = row.head.as_ref().map(|head| head.names(*column..last.column(*column) + 1));
                (names.unwrap_or_default(), row.lead(*column, *within))
            }
        }
    }

    /// What that costs, or a little more.
    pub(super) fn cost(&self, last: &Self) -> Cost {
        match self {
            Self::Free => Cost::default(),
            Self::Row(head) => Cost::of(&head.whole),
            Self::Cell { row, column, within } => row.cost(*column, *within, last.column(*column)),
        }
    }

    fn column(&self, least: usize) -> usize {
        if let Self::Cell { column, .. } = self { least.max(*column) } else { least }
    }
}

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

/// What stands between a cell and the next one.
fn mark_of(cell: &str) -> &str {
    [" | ", "| ", "|", "; "].into_iter().find(|mark| cell.ends_with(mark)).unwrap_or_default()
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

/// Where the cells of a line stand, each with the mark behind it. A part that continues a line may begin with that mark.
///
/// Cells have ` | ` between them; in Markdown they may be written closer, and a line may begin with a mark.
fn cells(line: &str, continued: bool) -> Vec<Range<usize>> {
    let close = !continued && (line.starts_with('|') || !line.contains(" | "));
    let mut cells = Vec::new();
    let (mut start, bytes) = (0, line.as_bytes());
    for (at, _) in line.match_indices('|') {
        let spaced = bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace)
            && (at == 0 || bytes.get(at - 1).is_some_and(u8::is_ascii_whitespace));
        let escaped = at > 0 && bytes[at - 1] == b'\\';
        let opens = close && line[..at].trim().is_empty();
        let end = at + 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
        let whole = GraphemeCursor::new(end, line.len(), true).is_boundary(line, 0).unwrap_or(true);
        if escaped || opens || !whole || !(close || spaced) {
            continue;
        }
        if !line[end..].trim().is_empty() {
            cells.push(start..end);
            start = end;
        } else if !close {
            // The last cell is empty.
            cells.push(start..end);
            start = end;
            break;
        }
    }
    if start < line.len() || cells.is_empty() {
        cells.push(start..line.len());
    }
    cells
}

#[cfg(test)]
mod tests;
