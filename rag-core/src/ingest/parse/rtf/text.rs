//! The text of an RTF document as far as it is read.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        docx::{Role, named, outline},
        formula::{self, Formula},
        grid::{Grid, repeated},
        line::Line,
        piece::{Piece, Take},
        title,
    },
    group::{Group, Known, Place},
};
use crate::ingest::failure::FailureReason;

/// Bytes of one paragraph or cell; more is left out.
const MAX_TEXT: usize = 128 * 1024;
/// Notes and different paragraphs at the tops and bottoms of pages.
const MAX_APART: usize = 10_000;
/// Cells of a row.
const MAX_COLUMNS: usize = 1000;
/// Styles that are remembered.
const MAX_STYLES: usize = 10_000;

/// What a paragraph is.
#[derive(Clone, Copy, Default)]
struct Paragraph {
    style: Option<i64>,
    outline: Option<Role>,
    in_table: bool,
}

/// The open row, and what its definition says of its cells.
#[derive(Default)]
struct Row {
    cells: Vec<String>,
    cell: String,
    /// Of each cell whether it goes on with the one above.
    merged: Vec<bool>,
    merges: bool,
    above: Vec<String>,
}

/// Reads the text.
pub(super) struct Text<'t, 'x> {
    take: &'t mut Take<'x>,
    pub(super) known: Known,
    /// Bytes of characters that may take more than one.
    bytes: Vec<u8>,
    /// The first half of a character that is written as two numbers.
    half: Option<u16>,
    line: Line,
    label: String,
    paragraph: Paragraph,
    styles: HashMap<i64, Role>,
    style: (i64, String, Option<Role>),
    formula: Option<Formula>,
    title: String,
    grid: Option<Grid>,
    row: Row,
    /// A note that is open, and the text around it.
    apart: String,
    notes: Vec<Piece>,
    seen: HashSet<String>,
}

impl<'t, 'x> Text<'t, 'x> {
    pub(super) fn new(take: &'t mut Take<'x>) -> Self {
        Self {
            take,
            known: Known::default(),
            bytes: Vec::new(),
            half: None,
            line: Line::default(),
            label: String::new(),
            paragraph: Paragraph::default(),
            styles: HashMap::new(),
            style: (0, String::new(), None),
            formula: None,
            title: String::new(),
            grid: None,
            row: Row::default(),
            apart: String::new(),
            notes: Vec::new(),
            seen: HashSet::new(),
        }
    }

    pub(super) fn byte(&mut self, byte: u8, group: &Group) -> Result<(), FailureReason> {
        if group.is_read() && self.bytes.len() < MAX_TEXT {
            self.bytes.push(byte);
        }
        Ok(())
    }

    /// Ends the bytes so far, which are one text in the encoding of the group.
    pub(super) fn end_bytes(&mut self, group: Option<&Group>) -> Result<(), FailureReason> {
        let bytes = std::mem::take(&mut self.bytes);
        match group {
            Some(group) if !bytes.is_empty() => {
                let (text, _) = group.encoding(&self.known).decode_without_bom_handling(&bytes);
                self.text(&text, group);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn character(&mut self, character: char, group: &Group) -> Result<(), FailureReason> {
        self.end_bytes(Some(group))?;
        if group.is_read() {
            self.text(character.encode_utf8(&mut [0; 4]), group);
        }
        Ok(())
    }

    /// Takes a number of UTF-16.
    pub(super) fn unit(&mut self, unit: u16, group: &Group) -> Result<(), FailureReason> {
        let half = self.half.take();
        if (0xd800..0xdc00).contains(&unit) {
            self.half = Some(unit);
            return Ok(());
        }
        let units: Vec<u16> = half.into_iter().chain([unit]).collect();
        char::decode_utf16(units).filter_map(Result::ok).try_for_each(|character| self.character(character, group))
    }

    fn text(&mut self, text: &str, group: &Group) {
        let into = match group.place {
            Place::Nowhere | Place::Fonts => return,
            Place::Styles => &mut self.style.1,
            Place::Title => &mut self.title,
            Place::Note | Place::Running => &mut self.apart,
            Place::Label => &mut self.label,
            Place::Formula => {
                self.formula.iter_mut().for_each(|formula| formula.text(text));
                return;
            }
            Place::Text => {
                if self.line.len() + text.len() <= MAX_TEXT {
                    self.line.text(text, group.stands);
                }
                return;
            }
        };
        if into.len() + text.len() <= MAX_TEXT {
            into.push_str(text);
        }
    }

    /// Takes a control word, after the group has.
    pub(super) fn word(&mut self, word: &str, number: Option<i64>, group: &Group) -> Result<(), FailureReason> {
        match (group.place, word) {
            (Place::Styles, "s") => self.style.0 = number.unwrap_or(0),
            (Place::Styles, "outlinelevel") => self.style.2 = number.and_then(|level| outline(&level.to_string())),
            (Place::Formula, "mmath") => self.formula = Some(Formula::default()),
            (Place::Formula, _) => self.structure(word, group),
            (Place::Note | Place::Running, "par" | "sect" | "page") => self.end_apart(group.place),
            (Place::Text, "par" | "sect" | "page") => return self.end_paragraph(),
            (Place::Text, "pard") => self.paragraph = Paragraph::default(),
            (Place::Text, "s") => self.paragraph.style = number,
            (Place::Text, "outlinelevel") => {
                self.paragraph.outline = number.and_then(|level| outline(&level.to_string()));
            }
            (Place::Text, "intbl") => self.paragraph.in_table = true,
            (Place::Text, "trowd") => (self.row.merged, self.row.merges) = (Vec::new(), false),
            (Place::Text, "clvmrg") => self.row.merges = true,
            (Place::Text, "cellx") if self.row.merged.len() < MAX_COLUMNS => {
                self.row.merged.push(std::mem::take(&mut self.row.merges));
            }
            (Place::Text, "cell") => self.end_cell(),
            (Place::Text, "nestcell" | "nestrow") => self.line.text(" ", group.stands),
            (Place::Text, "row") => return self.end_row(),
            _ => {}
        }
        Ok(())
    }

    fn structure(&mut self, word: &str, group: &Group) {
        let name = word.strip_prefix('m').unwrap_or_default();
        let Some(formula) = self.formula.as_mut().filter(|_| group.opened.as_deref() == Some(name)) else { return };
        if formula::is_structure(name) {
            formula.structure(name);
        } else {
            formula.part(name);
        }
    }

    pub(super) fn end_group(&mut self, group: &Group, outer: &Group) -> Result<(), FailureReason> {
        if group.opened.is_some() {
            self.formula.iter_mut().for_each(Formula::close);
        }
        if group.place == Place::Styles && outer.place == Place::Styles {
            self.end_style();
        }
        if !group.begins || group.place == outer.place {
            return Ok(());
        }
        match group.place {
            Place::Note | Place::Running => self.end_apart(group.place),
            Place::Formula => {
                if let Some(formula) = self.formula.take() {
                    self.line.formula(&formula.finish());
                }
            }
            Place::Title => {
                let title = std::mem::take(&mut self.title);
                if title::names(&title, None) {
                    return (self.take)(Piece::Title(title));
                }
            }
            Place::Text | Place::Nowhere | Place::Fonts | Place::Styles | Place::Label => {}
        }
        Ok(())
    }

    fn end_style(&mut self) {
        let (number, name, outline) = std::mem::take(&mut self.style);
        let role = named(name.trim().trim_end_matches(';')).or(outline);
        if self.styles.len() < MAX_STYLES {
            self.styles.extend(role.map(|role| (number, role)));
        }
    }

    /// Ends a paragraph of a note, or of the top or bottom of pages, which stands on each page and is kept once.
    fn end_apart(&mut self, place: Place) {
        let text = std::mem::take(&mut self.apart);
        let text = text.trim();
        let is_new = place == Place::Note || self.seen.insert(text.to_owned());
        if !text.is_empty() && is_new && self.notes.len() < MAX_APART {
            self.notes.push(Piece::Prose(format!("{text}\n\n")));
        }
    }

    fn end_cell(&mut self) {
        let text = self.line.finish();
        let label = std::mem::take(&mut self.label);
        let cell = format!("{} {} {}", std::mem::take(&mut self.row.cell), label.trim(), text.trim());
        if self.row.cells.len() < MAX_COLUMNS {
            self.row.cells.push(cell.trim().to_owned());
        }
    }

    fn end_row(&mut self) -> Result<(), FailureReason> {
        let mut cells = std::mem::take(&mut self.row.cells);
        for (at, cell) in cells.iter_mut().enumerate() {
            // So that each row reads alone.
            if self.row.merged.get(at) == Some(&true)
                && let Some(above) = self.row.above.get(at)
            {
                *cell = repeated(above);
            }
        }
        let rows = self.grid.get_or_insert_default().row(&cells);
        self.row.above = cells;
        rows.map_or(Ok(()), &mut *self.take)
    }

    fn end_paragraph(&mut self) -> Result<(), FailureReason> {
        let text = self.line.finish();
        let text = text.trim();
        let label = std::mem::take(&mut self.label);
        let label = label.trim();
        let paragraph = self.paragraph;
        if paragraph.in_table {
            if self.row.cell.len() + text.len() <= MAX_TEXT {
                self.row.cell = format!("{} {label} {text}", self.row.cell).trim().to_owned();
            }
            return Ok(());
        }
        if let Some(rows) = self.grid.take().and_then(Grid::finish) {
            self.row.above.clear();
            (self.take)(rows)?;
        }
        if text.is_empty() {
            return Ok(());
        }
        let role = paragraph.outline.or(paragraph.style.and_then(|style| self.styles.get(&style).copied()));
        let numbered = format!("{label} {text}");
        let piece = match role {
            Some(Role::Contents) => return Ok(()),
            Some(Role::Title) => {
                (self.take)(Piece::Title(text.to_owned()))?;
                Piece::Heading(1, format!("{text}\n"))
            }
            Some(Role::Heading(level)) => Piece::Heading(level, format!("{}\n", numbered.trim())),
            None if label.is_empty() => Piece::Prose(format!("{text}\n\n")),
            None if label.chars().any(char::is_alphanumeric) => Piece::Prose(format!("{numbered}\n")),
            None => Piece::Prose(format!("- {text}\n")),
        };
        (self.take)(piece)
    }

    /// Ends the document.
    pub(super) fn finish(mut self) -> Result<(), FailureReason> {
        self.end_bytes(Some(&Group::default()))?;
        self.paragraph.in_table = false;
        self.end_paragraph()?;
        (self.take)(Piece::Apart)?;
        self.notes.into_iter().try_for_each(self.take)
    }
}
