//! A table as far as it is read: one row is one line, its cells between bars. What the formats with tables share.

use super::{columns::name_columns, piece::Piece};

/// Bytes of rows that are held.
const MAX_HELD: usize = 64 * 1024;
/// Characters of a cell over several rows that each further row repeats.
const REPEATED: usize = 100;

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
        let width = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let row = cells[..width].iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | ");
        let mut filled = cells.iter().filter(|cell| !cell.is_empty());
        if let (None, Some(alone), None) = (self.head, filled.next(), filled.next()) {
            return Some(Piece::Prose(format!("{alone}\n")));
        }
        if !row.is_empty() {
            self.rows.push_str(&row);
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

/// What further rows repeat of a cell that reaches down into them.
pub(super) fn repeated(cell: &str) -> String {
    cell.chars().take(REPEATED).collect()
}

/// A cell's text, in which no mark looks like the end of a cell.
pub(super) fn escaped(text: &str) -> String {
    if !text.contains('|') {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split(' ').map(|word| if word == "|" { "\\|" } else { word }).collect();
    words.join(" ")
}

/// A piece as a line of a cell; the marks of a table inside are none of the one around it.
pub(super) fn within_cell(piece: &Piece) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match piece {
        Piece::Table(_, rows) | Piece::Rows(rows) => rows
            .lines()
            .map(|row| line(&row.replace(" | ", ", ")))
            .filter(|row| !row.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
        piece => line(piece.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> String {
        let mut grid = Grid::default();
        for row in rows {
            assert_eq!(grid.row(&row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()), None);
        }
        grid.finish().map(|piece| piece.text().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_bar_in_a_cell_is_no_end_of_the_cell_and_empty_cells_at_the_end_of_a_row_are_left_out() {
        assert_eq!(rows(&[&["a | b", "c"], &["|", "x"]]), "a \\| b | c\n\\| | x\n\n");
        assert_eq!(rows(&[&["or", "p ||"], &["or", "p |", ""]]), "or | p ||\nor | p \\|\n\n");
        assert_eq!(rows(&[&["a", "", "b", "", " "], &["", ""]]), "a |  | b\n\n");
    }

    #[test]
    fn a_table_inside_a_cell_has_no_cells_of_the_table_around_it() {
        let inner = Piece::Table(0, "a | b \\| c\n\nd\n".to_owned());
        let outer = within_cell(&inner);
        assert_eq!(outer, "a, b \\| c; d");
        assert_eq!(rows(&[&[&outer, "x"]]), "a, b \\| c; d | x\n\n");
    }
}
