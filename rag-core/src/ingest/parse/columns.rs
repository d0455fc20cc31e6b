//! Whether a row names the columns of a table that does not mark its head; what several formats share.

/// Bytes of a name of a column; what is longer is a text.
const MAX_NAME: usize = 200;

/// Whether the first row of a table names its columns: each cell but the first has a text that is no number, and no two are alike.
pub(super) fn name_columns(cells: &[&str]) -> bool {
    let named = cells.iter().skip(1).all(|cell| !cell.is_empty());
    let different = |at: usize| !cells[..at].contains(&cells[at]);
    let short = cells.iter().all(|cell| cell.len() <= MAX_NAME && (!is_value(cell) || is_year(cell)));
    (2..=MAX_COMPARED).contains(&cells.len()) && named && short && (0..cells.len()).all(different)
}

/// Cells of a row that are compared with each other.
const MAX_COMPARED: usize = 256;

/// Whether a cell is a number, a date, a sum of money or a code rather than a name.
pub(super) fn is_value(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
    let begins = cell.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(|c: char| c.is_ascii_digit());
    digits > 0 && letters <= 3 && (begins || digits > 1 && letters <= digits)
}

fn is_year(cell: &str) -> bool {
    cell.parse::<u16>().is_ok_and(|year| (1900..2100).contains(&year))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_different_names_names_the_columns() {
        for names in [
            &["Station", "Depth in metres"][..],
            &["", "Basic", "Pro"],
            &["Land", "2024", "2025"],
            &["Region", "Q1", "CO2"],
        ] {
            assert!(name_columns(names), "{names:?}");
        }
        for row in [&["North", "30 kr"][..], &["A-17", ""], &["x", "x"], &["Alone"], &["a", "12.5.2031"], &[]] {
            assert!(!name_columns(row), "{row:?}");
        }
        assert!(!name_columns(&["Note", &"long ".repeat(50)]));
    }
}
