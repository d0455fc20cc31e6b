//! What a chunk repeats of its table: the head, or the names of the columns that it has cells of and the key of its row; and what that costs.

use std::{ops::Range, rc::Rc};

use super::cells::cells;
use crate::ingest::split::Count;

/// Cells of which each is marked as left out; more are counted.
const MARKED: usize = 8;

/// Stands for what is left out of a row.
const LEFT_OUT: &str = "… ";

/// Where a unit begins, as far as a chunk that begins there has to repeat something.
#[derive(Debug, Clone, Default)]
pub(in crate::ingest) enum Place {
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
pub(super) struct Counted {
    pub(super) text: String,
    pub(super) tokens: usize,
}

impl Counted {
    pub(super) fn new(text: String, count: Count<'_>) -> Self {
        Self { tokens: count(&text), text }
    }
}

/// The lines that name a table's columns.
#[derive(Debug)]
pub(in crate::ingest) struct Head {
    whole: Counted,
    /// Each line, and where its cells stand in it.
    lines: Vec<(String, Vec<Range<usize>>)>,
    /// What the names of the columns up to each one cost together.
    costs: Vec<Cost>,
}

/// The row that a unit is a part of.
#[derive(Debug)]
pub(in crate::ingest) struct Row {
    pub(super) head: Option<Rc<Head>>,
    /// What the row is told by, with the mark behind it.
    pub(super) key: Counted,
    /// The names of its values, where it says them itself.
    pub(super) names: Option<Vec<Counted>>,
}

/// What is repeated takes room from the chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ingest) struct Cost {
    pub(in crate::ingest) tokens: usize,
    pub(in crate::ingest) bytes: usize,
}

impl Cost {
    fn of(text: &Counted) -> Self {
        Self { tokens: text.tokens, bytes: text.text.len() }
    }

    fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, bytes: self.bytes + other.bytes }
    }

    fn times(self, times: usize) -> Self {
        Self { tokens: self.tokens * times, bytes: self.bytes * times }
    }
}

impl Head {
    pub(super) fn new(text: &str, count: Count<'_>) -> Self {
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

    pub(super) fn cost(&self, from: usize, within: bool, to: usize) -> Cost {
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

impl Place {
    /// Whether a unit that begins there is part of the same row that is cut.
    pub(in crate::ingest) fn is_of_row_of(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Cell { row, .. }, Self::Cell { row: same, .. }) if Rc::ptr_eq(row, same))
    }

    /// Whether it is in a row that is cut.
    pub(in crate::ingest) fn is_in_cut_row(&self) -> bool {
        matches!(self, Self::Cell { .. })
    }

    /// What a chunk repeats that begins here and whose last unit begins at `last`: lines above, and what stands before its first line.
    pub(in crate::ingest) fn repeated(&self, last: &Self) -> (String, String) {
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
    pub(in crate::ingest) fn cost(&self, last: &Self) -> Cost {
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
