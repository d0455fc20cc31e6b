//! How a table is written: what stands between its cells, whether a backslash escapes a quote, and how many rows stand above its head. Told by the first rows together, never by one of them.

use std::cmp::Reverse;

use super::scan::{Mark, Scanner};

/// Rows that are looked at.
const ROWS: usize = 200;
/// What may stand between cells. Where two of them divide the rows equally well, the first: names of columns hold commas more often than the others.
const DELIMITERS: [u8; 4] = [b'\t', b';', b'|', b','];
/// Divides nothing: the table has one column.
const NOTHING: u8 = 0x1f;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) escapes: bool,
    /// Rows above the one that names the columns.
    pub(super) above: usize,
}

/// A row of the beginning.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    cells: usize,
    /// Cells that hold something.
    filled: usize,
    /// Whether a blank line stands above it.
    apart: bool,
}

/// The delimiter that the first line says (`sep=;`), and where the next line begins.
pub(super) fn said(text: &str) -> Option<(u8, usize)> {
    let line = text.split_inclusive('\n').next()?;
    let bare = line.trim_end_matches(['\n', '\r']);
    let bare = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(bare);
    let (name, delimiter) = bare.split_at_checked(4)?;
    let known = name.eq_ignore_ascii_case("sep=") && delimiter.len() == 1 && !delimiter.starts_with(['"', '\\']);
    known.then(|| (delimiter.as_bytes()[0], line.len()))
}

/// How a table is written that begins like this; `whole` where this is all of it. `given` is known already.
pub(super) fn of(beginning: &str, whole: bool, given: Option<u8>) -> Dialect {
    let all: &[u8] = &given.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
    let mut best: Option<((f32, Reverse<usize>), Dialect)> = None;
    for (delimiter, escapes) in all.iter().flat_map(|delimiter| [(*delimiter, false), (*delimiter, true)]) {
        let (rows, torn) = rows(beginning, whole, (delimiter, escapes));
        let Some((share, above)) = divides(&rows) else { continue };
        let dialect = Dialect { delimiter, escapes, above };
        // The first of equals.
        if best.is_none_or(|(least, _)| (share, Reverse(torn)) > least) {
            best = Some(((share, Reverse(torn)), dialect));
        }
    }
    let one_column = Dialect { delimiter: given.unwrap_or(NOTHING), escapes: false, above: 0 };
    best.map_or(one_column, |(_, dialect)| dialect)
}

/// The rows of a beginning, and how many quotes are torn in it. The last one may be cut off and is left out, unless it is the only one.
fn rows(beginning: &str, whole: bool, (delimiter, escapes): (u8, bool)) -> (Vec<Row>, usize) {
    let mut scanner = Scanner::new(delimiter, escapes);
    let mut rows = Vec::new();
    let (mut row, mut filled, mut began, mut after_return) = (Row { cells: 1, ..Row::default() }, false, false, false);
    for byte in beginning.bytes() {
        let mark = scanner.take(byte);
        if mark == Mark::Cell {
            began = true;
            filled |= !matches!(byte, b'"' | b' ');
            continue;
        }
        row.filled += usize::from(std::mem::take(&mut filled));
        if mark == Mark::Delimiter {
            (began, row.cells) = (true, row.cells + 1);
        } else if began {
            rows.push(row);
            row = Row { cells: 1, ..Row::default() };
            began = false;
        } else {
            row.apart |= !(after_return && byte == b'\n');
        }
        after_return = byte == b'\r';
        if rows.len() == ROWS {
            return (rows, scanner.torn);
        }
    }
    if began && (whole || rows.is_empty()) {
        row.filled += usize::from(filled);
        rows.push(row);
    }
    (rows, scanner.torn + usize::from(whole && scanner.is_quoted()))
}

/// The share of the rows that have as many cells as most, and how many rows stand above the head; nothing where no row names columns.
fn divides(rows: &[Row]) -> Option<(f32, usize)> {
    let of = |cells: usize| rows.iter().filter(|row| row.cells == cells).count();
    let most = rows.iter().map(|row| row.cells).filter(|cells| *cells > 1).max_by_key(|cells| (of(*cells), *cells))?;
    let above = rows.iter().position(|row| 2 * row.filled > most.max(3) - 1 && row.filled > 1)?;
    // Two cells may be a text with a comma below the name of the one column.
    let apart = rows[..=above].iter().any(|row| row.apart);
    (above == 0 || most > 2 || apart).then(|| (of(most) as f32 / rows.len() as f32, above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(table: &str) -> (char, bool, usize) {
        let Dialect { delimiter, escapes, above } = of(table, true, None);
        (char::from(delimiter), escapes, above)
    }

    #[test]
    fn the_delimiter_is_what_divides_most_rows_alike() {
        assert_eq!(dialect("a,b\n1,2\n").0, ',');
        assert_eq!(dialect("a;b\n1,5;2\n").0, ';');
        assert_eq!(dialect("Preis, EUR;Menge, Stück\n1,50;2,0\n").0, ';');
        assert_eq!(dialect("Item, colour\tPrice, EUR\nHinge, brass\t4.20\n").0, '\t');
        assert_eq!(dialect("code|name, long\nA|x, y\n").0, '|');
        assert_eq!(dialect("name,tags\nx,a;b;c\ny,d;e;f\n").0, ',');
        assert_eq!(dialect("\"a;b\",c\n\"1;2\",3\n").0, ',');
    }

    #[test]
    fn a_text_with_commas_below_one_name_is_one_column() {
        assert_eq!(dialect("remark\nGreat, fast\nBad, slow\n").0, char::from(NOTHING));
        assert_eq!(dialect("remark\nGreat\n").0, char::from(NOTHING));
    }

    #[test]
    fn what_stands_above_the_head_is_told_by_its_few_cells() {
        assert_eq!(dialect("Inventory\nExported 2031\n\ncode,name,shelf\nA,b,c\nB,c,d\n").2, 2);
        assert_eq!(dialect("Inventory,,\n,,\ncode,name,shelf\nA,b,c\n").2, 2);
        assert_eq!(dialect("Inventory\r\n\r\ncode,name\r\nA,b\r\nB,c\r\n").2, 1);
        assert_eq!(dialect(",name,price\n1,a,2\n").2, 0);
        assert_eq!(dialect("a,b\n1,2,3\n4,5,6\n").2, 0);
    }

    #[test]
    fn a_backslash_escapes_where_the_rows_are_torn_without_it() {
        assert!(dialect("id,text,colour\n1,\"Screen 5.5\\\"\",black\n2,\"Screen 6\\\"\",red\n").1);
        assert!(!dialect("id,path,owner\n1,\"C:\\data\\\",me\n2,\"D:\\\",you\n").1);
    }

    #[test]
    fn a_first_line_may_say_the_delimiter() {
        assert_eq!(said("sep=;\r\na;b"), Some((b';', 7)));
        assert_eq!(said("\"SEP=\t\"\na"), Some((b'\t', 8)));
        for other in ["sep=", "sep=ab\n", "separator\n", "", "äöü"] {
            assert_eq!(said(other), None, "{other}");
        }
    }
}
