//! The text of a DOCX document: paragraphs, list items, and the rows of tables.

mod ends;
mod fields;
mod paragraph;
mod table;

use quick_xml::events::{BytesStart, Event};

use super::{
    super::{
        formula::Formula,
        lines::parts,
        markup::{Xml, attribute, character, events, malformed},
        piece::{Piece, Take},
    },
    numbering::{Counters, Numbering},
    styles::{Look, Styles},
    symbol,
};
use crate::ingest::failure::FailureReason;

use self::{fields::Fields, paragraph::Paragraph, table::Table};

/// Open paragraphs and tables inside each other.
const MAX_DEPTH: usize = 64;
/// Bytes of one paragraph or row; a longer one is handed over in parts.
const MAX_TEXT: usize = 64 * 1024;

/// What the parts beside a text say of it.
pub(super) struct Known {
    pub(super) styles: Styles,
    pub(super) numbering: Numbering,
}

/// What is open, outermost first.
enum Open {
    Paragraph(Box<Paragraph>),
    Table(Box<Table>),
}

/// Whose properties are being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Properties {
    None,
    OfParagraph,
    OfItsMark,
    OfRun,
    OfRow,
}

/// Reads the text.
pub(super) struct Body<'b, 't> {
    known: &'b Known,
    take: &'b mut Take<'t>,
    open: Vec<Open>,
    counters: Counters,
    /// Elements that are open, and how many were when one began that is left out.
    depth: usize,
    left_out: Option<usize>,
    properties: Properties,
    in_text: bool,
    fields: Fields,
    /// How the characters of the open run stand, and those of its style.
    look: Look,
    style: Look,
    formula: Option<Formula>,
    /// Whether the open form field shows its hint.
    hint: bool,
    /// The text of a paragraph whose end was deleted, so that the next one goes on with it.
    carried: String,
    named: bool,
    /// Whether it is the top or bottom of pages.
    running: bool,
}

impl<'b, 't> Body<'b, 't> {
    pub(super) fn new(known: &'b Known, take: &'b mut Take<'t>) -> Self {
        Self {
            known,
            take,
            open: Vec::new(),
            counters: Counters::default(),
            depth: 0,
            left_out: None,
            properties: Properties::None,
            in_text: false,
            fields: Fields::default(),
            look: Look::default(),
            style: Look::default(),
            formula: None,
            hint: false,
            carried: String::new(),
            named: false,
            running: false,
        }
    }

    /// Reads what stands at the top or bottom of pages: no headings, and no numbers of pages.
    pub(super) fn running(mut self) -> Self {
        self.running = true;
        self
    }

    pub(super) fn read(mut self, xml: &mut Xml<'_>) -> Result<(), FailureReason> {
        events(xml, |event| match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            Event::Text(text) => self.characters(&text.xml10_content()),
            Event::CData(text) => self.characters(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                self.characters(character(&entity).map(String::from).unwrap_or_default().as_str())
            }
            _ => Ok(()),
        })?;
        while let Some(open) = self.open.pop() {
            self.close(open)?;
        }
        let carried = std::mem::take(&mut self.carried);
        if carried.trim().is_empty() { Ok(()) } else { self.hand_over(Piece::Prose(carried)) }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), FailureReason> {
        self.depth += 1;
        if self.left_out.is_some() {
            return Ok(());
        }
        let name = tag.local_name();
        let name = name.as_ref();
        if name == "del" {
            self.deleted();
        }
        if is_left_out(name) || (name == "sdtContent" && std::mem::take(&mut self.hint)) {
            self.left_out = Some(self.depth);
            return Ok(());
        }
        if let Some(formula) = &mut self.formula {
            formula.start(tag);
            self.in_text = name == "t";
            return Ok(());
        }
        match self.properties {
            Properties::OfRun if name == "rStyle" => self.style = self.style_of(tag),
            Properties::OfRun => self.look.property(tag),
            Properties::OfParagraph => self.of_paragraph(name, tag),
            Properties::OfRow => self.of_row(name, tag),
            Properties::OfItsMark => {}
            Properties::None => return self.content(name, tag),
        }
        Ok(())
    }

    /// What is no property.
    fn content(&mut self, name: &str, tag: &BytesStart<'_>) -> Result<(), FailureReason> {
        match name {
            "p" => {
                let goes_on = Paragraph::after(std::mem::take(&mut self.carried));
                return self.open(Open::Paragraph(Box::new(goes_on)));
            }
            "tbl" => return self.open(Open::Table(Box::default())),
            "tr" | "tc" | "gridSpan" | "vMerge" | "cellDel" => {
                if let Some(Open::Table(table)) = self.open.last_mut() {
                    table.start(name, tag);
                }
            }
            "pPr" => self.properties = Properties::OfParagraph,
            "rPr" => self.properties = Properties::OfRun,
            "trPr" => self.properties = Properties::OfRow,
            "r" => (self.look, self.style) = (Look::default(), Look::default()),
            "t" => self.in_text = true,
            "oMath" => self.formula = Some(Formula::default()),
            "showingPlcHdr" => self.hint = true,
            "fldChar" => self.fields.mark(attribute(tag, "fldCharType").as_deref()),
            "instrText" => self.fields.in_instruction = true,
            "fldSimple" if self.running && fields::is_page(&attribute(tag, "instr").unwrap_or_default()) => {
                self.left_out = Some(self.depth);
                self.has_page();
            }
            "tab" | "ptab" => return self.text("\t"),
            "br" | "cr" => return self.text("\n"),
            "noBreakHyphen" => return self.text("-"),
            "sym" => {
                let sign = attribute(tag, "font").zip(attribute(tag, "char"));
                let sign = sign.and_then(|(font, number)| symbol::character(&font, &number));
                return self.text(sign.map(String::from).unwrap_or_default().as_str());
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, open: Open) -> Result<(), FailureReason> {
        if self.open.len() >= MAX_DEPTH {
            return Err(malformed(format!("more than {MAX_DEPTH} tables and text boxes inside each other")));
        }
        self.open.push(open);
        Ok(())
    }

    fn paragraph(&mut self) -> Option<&mut Paragraph> {
        match self.open.last_mut() {
            Some(Open::Paragraph(paragraph)) => Some(paragraph),
            Some(Open::Table(_)) | None => None,
        }
    }

    /// A deletion that was tracked: of the end of a paragraph, of a row, or of what stands inside of it.
    fn deleted(&mut self) {
        match (self.properties, self.open.last_mut()) {
            (Properties::OfItsMark, Some(Open::Paragraph(paragraph))) => paragraph.end_is_deleted = true,
            (Properties::OfRow, Some(Open::Table(table))) => table.delete_row(),
            _ => {}
        }
    }

    fn of_paragraph(&mut self, name: &str, tag: &BytesStart<'_>) {
        if name == "rPr" {
            self.properties = Properties::OfItsMark;
        }
        let Some(value) = attribute(tag, "val") else { return };
        if let Some(paragraph) = self.paragraph() {
            paragraph.property(name, value);
        }
    }

    fn of_row(&mut self, name: &str, tag: &BytesStart<'_>) {
        if let Some(Open::Table(table)) = self.open.last_mut() {
            table.row_property(name, tag);
        }
    }

    fn style_of(&self, tag: &BytesStart<'_>) -> Look {
        let style = attribute(tag, "val").and_then(|id| self.known.styles.get(&id));
        style.map(|style| style.look).unwrap_or_default()
    }

    fn end(&mut self, name: &str) -> Result<(), FailureReason> {
        let depth = self.depth;
        self.depth = self.depth.saturating_sub(1);
        if let Some(left_out) = self.left_out {
            self.left_out = Some(left_out).filter(|left_out| *left_out < depth);
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "instrText" => self.fields.in_instruction = false,
            "oMath" => {
                if let Some(formula) = self.formula.take() {
                    let formula = formula.finish();
                    if let Some(paragraph) = self.paragraph() {
                        paragraph.line.formula(&formula);
                    }
                }
            }
            _ if self.formula.is_some() => self.formula.iter_mut().for_each(|formula| formula.end(name)),
            "pPr" | "trPr" => self.properties = Properties::None,
            "rPr" if self.properties == Properties::OfItsMark => self.properties = Properties::OfParagraph,
            "rPr" => self.properties = Properties::None,
            "p" if matches!(self.open.last(), Some(Open::Paragraph(_))) => return self.close_last(),
            "tr" => return self.end_row(),
            "tbl" if matches!(self.open.last(), Some(Open::Table(_))) => return self.close_last(),
            _ => {}
        }
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), FailureReason> {
        if self.left_out.is_some() {
            return Ok(());
        }
        if self.fields.in_instruction && self.running && self.fields.instruction(text) {
            self.has_page();
        }
        match &mut self.formula {
            _ if !self.in_text => Ok(()),
            Some(formula) => {
                formula.text(text);
                Ok(())
            }
            None => self.text(text),
        }
    }

    fn has_page(&mut self) {
        if let Some(paragraph) = self.paragraph() {
            paragraph.has_page = true;
        }
    }

    fn text(&mut self, text: &str) -> Result<(), FailureReason> {
        if self.fields.is_page() {
            return Ok(());
        }
        let look = self.look.or(self.style);
        for part in parts(text) {
            let known = self.known;
            let Some(paragraph) = self.paragraph() else { return Ok(()) };
            let of_style = paragraph.style.as_ref().and_then(|style| known.styles.get(style));
            let look = look.or(of_style.map(|style| style.look).unwrap_or_default());
            if !look.is_read() {
                return Ok(());
            }
            if let Some(long) = paragraph.text(part, look.stands()) {
                (self.take)(Piece::Prose(long))?;
            }
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), FailureReason> {
        let Some(Open::Table(table)) = self.open.last_mut() else { return Ok(()) };
        table.end_row().map_or(Ok(()), &mut *self.take)
    }
}

/// What is deleted, what was before a change, what says how something looks, and the readings above words.
fn is_left_out(name: &str) -> bool {
    matches!(
        name,
        "del"
            | "delText"
            | "delInstrText"
            | "moveFrom"
            | "Fallback"
            | "sectPr"
            | "tblPr"
            | "tblPrEx"
            | "tblGrid"
            | "rt"
    ) || name.ends_with("PrChange")
        || matches!(name, "numberingChange" | "tblGridChange")
}
