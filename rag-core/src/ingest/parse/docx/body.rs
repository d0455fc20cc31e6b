//! The text of a DOCX document: paragraphs, list items, and the rows of tables.

use quick_xml::events::{BytesStart, Event};

use super::{
    super::{
        columns::name_columns,
        lines::parts,
        piece::{Piece, Take},
    },
    Xml, attribute, character, events, malformed,
    styles::{Role, Styles, outline},
};
use crate::ingest::failure::FailureReason;

/// Open paragraphs and tables inside each other.
const MAX_DEPTH: usize = 64;
/// Bytes of one paragraph or row; a longer one is handed over in parts.
const MAX_TEXT: usize = 64 * 1024;

#[derive(Default)]
struct Paragraph {
    role: Option<Role>,
    /// Depth of the list item that it is.
    item: Option<usize>,
    text: String,
}

/// What is open, outermost first.
enum Open {
    Paragraph(Paragraph),
    /// The rows that are not handed over yet; the cells of the open row.
    Table {
        rows: String,
        cells: Vec<String>,
        /// Bytes of the first row, where it names the columns; nothing before it is read.
        head: Option<usize>,
        /// Whether rows were handed over.
        passed: bool,
    },
}

/// Reads the text.
pub(super) struct Body<'b, 't> {
    styles: &'b Styles,
    take: &'b mut Take<'t>,
    open: Vec<Open>,
    /// Elements whose content is left out, inside each other.
    skipped: usize,
    in_text: bool,
    in_properties: bool,
}

impl<'b, 't> Body<'b, 't> {
    pub(super) fn new(styles: &'b Styles, take: &'b mut Take<'t>) -> Self {
        Self { styles, take, open: Vec::new(), skipped: 0, in_text: false, in_properties: false }
    }

    pub(super) fn read(mut self, xml: &mut Xml<'_>) -> Result<(), FailureReason> {
        events(xml, |event| match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => {
                self.start(&tag)?;
                self.end(tag.local_name().as_ref())
            }
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            Event::Text(text) if self.in_text => self.text(&text.xml10_content()),
            Event::CData(text) if self.in_text => self.text(&text.xml10_content()),
            Event::GeneralRef(entity) if self.in_text => {
                self.text(&character(&entity).map(String::from).unwrap_or_default())
            }
            _ => Ok(()),
        })?;
        while let Some(open) = self.open.pop() {
            self.close(open)?;
        }
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), FailureReason> {
        let name = tag.local_name();
        let name = name.as_ref();
        if is_skipped(name) {
            self.skipped += 1;
        }
        if self.skipped > 0 {
            return Ok(());
        }
        match name {
            "p" | "tbl" => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(malformed(format!("more than {MAX_DEPTH} tables and text boxes inside each other")));
                }
                self.open.push(match name {
                    "p" => Open::Paragraph(Paragraph::default()),
                    _ => Open::Table { rows: String::new(), cells: Vec::new(), head: None, passed: false },
                });
            }
            "tc" => {
                if let Some(Open::Table { cells, .. }) = self.open.last_mut() {
                    cells.push(String::new());
                }
            }
            "pPr" => self.in_properties = true,
            "t" => self.in_text = true,
            "tab" if !self.in_properties => return self.text("\t"),
            "br" | "cr" => return self.text("\n"),
            "noBreakHyphen" => return self.text("-"),
            "pStyle" | "outlineLvl" | "ilvl" | "numId" => self.property(name, attribute(tag, "val").as_deref()),
            _ => {}
        }
        Ok(())
    }

    fn property(&mut self, name: &str, value: Option<&str>) {
        let (Some(Open::Paragraph(paragraph)), Some(value)) = (self.open.last_mut(), value) else { return };
        match name {
            "pStyle" => paragraph.role = paragraph.role.or(self.styles.get(value).copied()),
            "outlineLvl" => paragraph.role = paragraph.role.or(outline(value)),
            "ilvl" => paragraph.item = Some(value.parse::<usize>().unwrap_or(0).min(8)),
            // A list number of 0 takes the paragraph out of its style's list.
            _ if value == "0" => paragraph.item = None,
            _ => paragraph.item = paragraph.item.or(Some(0)),
        }
    }

    fn end(&mut self, name: &str) -> Result<(), FailureReason> {
        if is_skipped(name) {
            self.skipped = self.skipped.saturating_sub(1);
            return Ok(());
        }
        if self.skipped > 0 {
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "pPr" => self.in_properties = false,
            "p" if matches!(self.open.last(), Some(Open::Paragraph(_))) => {
                if let Some(open) = self.open.pop() {
                    self.close(open)?;
                }
            }
            "tr" => self.end_row()?,
            "tbl" if matches!(self.open.last(), Some(Open::Table { .. })) => {
                if let Some(open) = self.open.pop() {
                    self.close(open)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), FailureReason> {
        for part in parts(text) {
            let Some(Open::Paragraph(paragraph)) = self.open.last_mut() else { return Ok(()) };
            paragraph.text.push_str(part);
            if paragraph.text.len() > MAX_TEXT {
                let long = std::mem::take(&mut paragraph.text);
                (self.take)(Piece::Prose(long))?;
            }
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), FailureReason> {
        let Some(Open::Table { rows, cells, head, passed }) = self.open.last_mut() else { return Ok(()) };
        let cells = std::mem::take(cells);
        let cells: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
        let row = cells.join(" | ");
        if !row.trim_matches([' ', '|']).is_empty() {
            rows.push_str(&row);
            rows.push('\n');
            head.get_or_insert(if name_columns(&cells) { rows.len() } else { 0 });
        }
        if rows.len() <= MAX_TEXT {
            return Ok(());
        }
        let piece = rows_of(std::mem::take(rows), *head, std::mem::replace(passed, true));
        (self.take)(piece)
    }

    fn close(&mut self, open: Open) -> Result<(), FailureReason> {
        match open {
            Open::Paragraph(Paragraph { role, item, text }) => {
                let text = text.trim_end();
                if text.trim().is_empty() {
                    return Ok(());
                }
                match (role, item) {
                    _ if !self.open.is_empty() => self.hand_over(Piece::Prose(text.to_owned())),
                    (Some(Role::Title), _) => {
                        (self.take)(Piece::Title(text.to_owned()))?;
                        self.hand_over(Piece::Heading(1, format!("{text}\n")))
                    }
                    (Some(Role::Heading(level)), _) => self.hand_over(Piece::Heading(level, format!("{text}\n"))),
                    (None, Some(depth)) => self.hand_over(Piece::Prose(format!("{}- {text}\n", "  ".repeat(depth)))),
                    (None, None) => self.hand_over(Piece::Prose(format!("{text}\n\n"))),
                }
            }
            Open::Table { rows, .. } if rows.is_empty() => Ok(()),
            Open::Table { mut rows, head, passed, .. } => {
                rows.push('\n');
                self.hand_over(rows_of(rows, head, passed))
            }
        }
    }

    /// Gives a piece on; what stands in a cell or in a text box goes into its cell or paragraph instead.
    fn hand_over(&mut self, piece: Piece) -> Result<(), FailureReason> {
        let inner = match &piece {
            Piece::Prose(text) | Piece::Lines(text) | Piece::Heading(_, text) => text.as_str(),
            Piece::Table(_, text) | Piece::Rows(text) => text.as_str(),
            Piece::Title(_) | Piece::Page(_) | Piece::Apart | Piece::Notice(_) => "",
        };
        let outer = match self.open.last_mut() {
            Some(Open::Table { cells, .. }) => cells.last_mut(),
            Some(Open::Paragraph(paragraph)) => Some(&mut paragraph.text),
            None => None,
        };
        let Some(outer) = outer.filter(|outer| outer.len() + inner.len() <= 2 * MAX_TEXT) else {
            return (self.take)(piece);
        };
        if !outer.is_empty() {
            outer.push(' ');
        }
        outer.push_str(&inner.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(())
    }
}

fn rows_of(rows: String, head: Option<usize>, passed: bool) -> Piece {
    if passed { Piece::Rows(rows) } else { Piece::Table(head.unwrap_or(0), rows) }
}

fn is_skipped(name: &str) -> bool {
    matches!(
        name,
        "del" | "moveFrom" | "Fallback" | "instrText" | "delText" | "rPr" | "sectPr" | "tblPr" | "tcPr" | "trPr"
    )
}
