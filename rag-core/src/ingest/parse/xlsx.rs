//! XLSX: each sheet as a section by its name, its cells as a table with what a reader sees in them.
//!
//! Sheets that are hidden are left out, since nobody sees them and programs keep lists there; rows and columns that are hidden are read, since a filter hides them and they hold all the same.
//! A formula is the value that was stored beside it.

use std::io::Cursor;

use calamine::{CellErrorType, DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Style, Xlsx, XlsxError};

use super::{
    docx::core_title,
    grid::Grid,
    markup::malformed,
    package::Package,
    piece::{Piece, Take},
};
use crate::ingest::failure::FailureReason;

/// Columns of a sheet that are read.
const MAX_COLUMNS: u32 = 1000;
/// Bytes that the parts may inflate to, as the archive says.
const MAX_INFLATED: u64 = 512 << 20;
/// Digits that tell two numbers of a sheet apart; those behind are noise of their binary form.
const DIGITS: usize = 15;

/// Reads a workbook.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut package = Package::open(bytes, "XLSX")?;
    package.main("xl/workbook.xml")?;
    package.archive.check_declared(MAX_INFLATED)?;
    if let Some(title) = core_title(&mut package)? {
        take(Piece::Title(title))?;
    }
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|e| unread(&e))?;
    let sheets: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .collect();
    for name in sheets {
        take(Piece::Section(name.clone()))?;
        sheet(&mut book, &name, take)?;
    }
    Ok(())
}

fn sheet(book: &mut Xlsx<Cursor<&[u8]>>, name: &str, take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut cells = book.worksheet_cells_reader(name).map_err(|e| unread(&e))?;
    let mut grid = Grid::default();
    let (mut row, mut at) = (Vec::<String>::new(), 0);
    // Many tables begin some columns to the right.
    let mut first = cells.dimensions().start.1;
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(|e| unread(&e))? {
        let (line, column) = cell.get_position();
        if line != at {
            hand_over(grid.row(&row), take)?;
            row.clear();
            at = line;
        }
        let text = shown(cell.get_value(), cells.styles().get(style));
        if text.is_empty() {
            continue;
        }
        first = first.min(column);
        if column - first >= MAX_COLUMNS {
            continue;
        }
        let column = (column - first) as usize;
        row.resize(row.len().max(column + 1), String::new());
        row[column] = text;
    }
    hand_over(grid.row(&row), take)?;
    hand_over(grid.finish(), take)
}

fn hand_over(piece: Option<Piece>, take: &mut Take<'_>) -> Result<(), FailureReason> {
    piece.map_or(Ok(()), take)
}

/// A value as a reader sees it.
fn shown(value: &DataRef<'_>, style: Option<&Style>) -> String {
    let format = style.and_then(|style| style.number_format.as_ref()).map_or("", |format| &format.format_code);
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) if format.contains('%') => format!("{}%", plain(number * 100.0)),
        DataRef::Float(number) => plain(*number),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(time) => date(time),
        DataRef::DateTimeIso(text) => text.replace('T', " "),
        DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(CellErrorType::NA) => "#N/A".to_owned(),
        // What went wrong in a formula is no value.
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// A number without what its binary form adds to it.
fn plain(number: f64) -> String {
    if number == number.trunc() && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let rounded = format!("{number:.*e}", DIGITS - 1).parse::<f64>().unwrap_or(number);
    rounded.to_string()
}

fn date(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let seconds = (time.as_f64() * 86_400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock =
        if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") };
    let (has_day, has_time) = (time.as_f64() >= 1.0, time.as_f64().fract() != 0.0);
    match (has_day, has_time) {
        (true, false) => format!("{year:04}-{month:02}-{day:02}"),
        (true, true) => format!("{year:04}-{month:02}-{day:02} {clock}"),
        (false, _) => clock,
    }
}

fn unread(error: &XlsxError) -> FailureReason {
    let cause = match error {
        XlsxError::Password => "this XLSX document is encrypted".to_owned(),
        error => format!("this XLSX document cannot be read: {error}"),
    };
    malformed(cause)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn numbers_are_without_the_noise_of_their_binary_form() {
        let known = [
            (0.1 + 0.2, "0.3"),
            (19.99 * 100.0, "1999"),
            (1e6, "1000000"),
            (-2.5, "-2.5"),
            (1234.56, "1234.56"),
            (1e-7, "0.0000001"),
        ];
        for (number, text) in known {
            assert_eq!(plain(number), text);
        }
    }
}
