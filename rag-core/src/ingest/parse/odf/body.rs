//! The text of an OpenDocument: paragraphs, headings, items, rows of tables, sheets and slides.

mod paragraph;

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};

use super::{
    super::{
        grid::within_cell,
        line::is_frame,
        markup::{Xml, attribute, events, malformed, text_of},
        piece::{Piece, Take},
    },
    Kind,
    lists::{Label, Lists},
    slide::{Place, Slide},
    styles::Styles,
    table::Table,
};
use crate::ingest::failure::FailureReason;

use self::paragraph::Paragraph;

/// Open paragraphs and tables inside each other.
const MAX_DEPTH: usize = 64;
/// Bytes of one paragraph or cell; more is handed over apart, or left out.
const MAX_TEXT: usize = 128 * 1024;
/// Notes that are held until the text has ended.
const MAX_NOTES: usize = 10_000;
/// Blanks that one element stands for.
const MAX_BLANKS: usize = 100;

/// What is open, outermost first.
enum Open {
    Paragraph(Box<Paragraph>),
    Table(Box<Table>),
}

/// Reads the text.
pub(super) struct Body<'b, 't> {
    kind: Kind,
    styles: &'b mut Styles,
    /// Formulas by the names of the objects that they are.
    formulas: &'b HashMap<String, String>,
    take: &'b mut Take<'t>,
    open: Vec<Open>,
    lists: Lists,
    /// Elements that are open, and how many were when one began that is left out.
    depth: usize,
    left_out: Option<usize>,
    /// Whether definitions are over.
    in_body: bool,
    /// Whether only the tops and bottoms of pages are read, and whether one is open.
    running: Option<bool>,
    /// Notes that are open inside each other, and what they say.
    in_note: usize,
    notes: Vec<Piece>,
    slide: Slide,
    named: bool,
}

impl<'b, 't> Body<'b, 't> {
    pub(super) fn new(
        kind: Kind,
        styles: &'b mut Styles,
        formulas: &'b HashMap<String, String>,
        take: &'b mut Take<'t>,
    ) -> Self {
        Self {
            kind,
            styles,
            formulas,
            take,
            open: Vec::new(),
            lists: Lists::default(),
            depth: 0,
            left_out: None,
            in_body: false,
            running: None,
            in_note: 0,
            notes: Vec::new(),
            slide: Slide::default(),
            named: false,
        }
    }

    /// Reads what stands at the top and bottom of pages, and nothing else.
    pub(super) fn running(mut self) -> Self {
        self.running = Some(false);
        self
    }

    /// Says whether the document has a name already.
    pub(super) fn named(mut self, named: bool) -> Self {
        self.named = named;
        self
    }

    pub(super) fn read(mut self, xml: &mut Xml<'_>) -> Result<(), FailureReason> {
        events(xml, |event| match &event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            _ => {
                self.text(&text_of(&event).unwrap_or_default());
                Ok(())
            }
        })?;
        while let Some(open) = self.open.pop() {
            self.close(open)?;
        }
        if !self.notes.is_empty() {
            (self.take)(Piece::Apart)?;
            std::mem::take(&mut self.notes).into_iter().try_for_each(&mut *self.take)?;
        }
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), FailureReason> {
        self.depth += 1;
        if self.left_out.is_some() {
            return Ok(());
        }
        let name = tag.local_name();
        let name = name.as_ref();
        if self.is_left_out(name, tag) {
            self.left_out = Some(self.depth);
            return Ok(());
        }
        match name {
            "body" => self.in_body = true,
            "header" | "header-left" | "header-first" | "footer" | "footer-left" | "footer-first" => {
                self.running = self.running.map(|_| true);
            }
            _ if !self.in_body && self.running != Some(true) => self.styles.start(name, tag),
            "p" | "h" => {
                let paragraph = Paragraph::begin(name == "h", tag, self.lists.label());
                return self.push(Open::Paragraph(Box::new(paragraph)));
            }
            "list" => self.lists.begin(tag),
            "list-item" => self.lists.item(self.styles, tag),
            "note" => self.in_note += 1,
            "table" if self.open.is_empty() && self.kind == Kind::Workbook => {
                (self.take)(Piece::Section(attribute(tag, "name").unwrap_or_default()))?;
                return self.push(Open::Table(Box::default()));
            }
            "table" => return self.push(Open::Table(Box::default())),
            "page" if self.kind == Kind::Presentation => self.slide.begin(),
            "notes" => self.slide.in_notes = true,
            "frame" | "custom-shape" => self.slide.place = Place::of(attribute(tag, "class").as_deref()),
            _ => self.within(name, tag),
        }
        Ok(())
    }

    /// What stands in a paragraph or in a table.
    fn within(&mut self, name: &str, tag: &BytesStart<'_>) {
        match (name, self.open.last_mut()) {
            ("table-row", Some(Open::Table(table))) => table.begin_row(tag),
            ("table-cell", Some(Open::Table(table))) => table.begin_cell(tag, false),
            ("covered-table-cell", Some(Open::Table(table))) => table.begin_cell(tag, true),
            ("span", Some(Open::Paragraph(paragraph))) => {
                let style = attribute(tag, "style-name").unwrap_or_default();
                paragraph.begin_span(self.styles.is_read("text", &style), self.styles.stands(&style));
            }
            ("s", Some(Open::Paragraph(paragraph))) => {
                let blanks = attribute(tag, "c").and_then(|count| count.parse().ok()).unwrap_or(1);
                paragraph.exactly(&" ".repeat(usize::min(blanks, MAX_BLANKS)));
            }
            ("tab", Some(Open::Paragraph(paragraph))) => paragraph.exactly("\t"),
            ("line-break", Some(Open::Paragraph(paragraph))) => paragraph.exactly("\n"),
            ("object", Some(Open::Paragraph(paragraph))) => {
                let object = attribute(tag, "href").unwrap_or_default();
                if let Some(formula) = self.formulas.get(&object.trim_start_matches("./").to_lowercase()) {
                    paragraph.formula(formula);
                }
            }
            ("hidden-paragraph", Some(Open::Paragraph(paragraph))) => {
                paragraph.hidden = attribute(tag, "is-hidden").is_none_or(|hidden| hidden == "true");
            }
            _ => {}
        }
    }

    /// What is deleted, said about the text, made of it by a program, or not to be seen.
    fn is_left_out(&mut self, name: &str, tag: &BytesStart<'_>) -> bool {
        let style = |styles: &Styles, family: &str| {
            attribute(tag, "style-name").is_some_and(|style| styles.is_hidden(family, &style))
        };
        match name {
            "tracked-changes" | "annotation" | "ruby-text" | "note-citation" | "table-of-content"
            | "alphabetical-index" => true,
            "forms" | "placeholder" | "hidden-text" | "number" | "page-thumbnail" | "date-time-decl" => true,
            // Of a picture, and not the field that shows the document's title.
            "title" | "desc" => tag.name().as_ref().starts_with("svg:"),
            "page-number" | "page-count" => {
                if let Some(Open::Paragraph(paragraph)) = self.open.last_mut() {
                    paragraph.has_page = true;
                }
                true
            }
            "section" => attribute(tag, "display").is_some_and(|display| display != "true"),
            "table" => style(self.styles, "table"),
            "page" if self.kind == Kind::Presentation && self.in_body => {
                let hidden = style(self.styles, "drawing-page");
                if hidden {
                    self.slide.pass();
                }
                hidden
            }
            "p" | "h" => attribute(tag, "style-name").is_some_and(|style| !self.styles.is_read("paragraph", &style)),
            _ => false,
        }
    }

    fn push(&mut self, open: Open) -> Result<(), FailureReason> {
        if self.open.len() >= MAX_DEPTH {
            return Err(malformed(format!("more than {MAX_DEPTH} tables and text boxes inside each other")));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), FailureReason> {
        let depth = self.depth;
        self.depth = self.depth.saturating_sub(1);
        if let Some(left_out) = self.left_out {
            self.left_out = Some(left_out).filter(|left_out| *left_out < depth);
            return Ok(());
        }
        match (name, self.open.last_mut()) {
            ("header" | "header-left" | "header-first" | "footer" | "footer-left" | "footer-first", _) => {
                self.running = self.running.map(|_| false);
            }
            ("p" | "h", Some(Open::Paragraph(_))) | ("table", Some(Open::Table(_))) => {
                if let Some(open) = self.open.pop() {
                    return self.close(open);
                }
            }
            ("span", Some(Open::Paragraph(paragraph))) => paragraph.end_span(),
            ("list", _) => self.lists.end(),
            ("note", _) => self.in_note = self.in_note.saturating_sub(1),
            ("table-cell" | "covered-table-cell", Some(Open::Table(table))) => table.end_cell(),
            ("table-row", Some(Open::Table(table))) => {
                let rows = table.end_row();
                return rows.into_iter().try_for_each(|rows| self.hand_over(rows));
            }
            ("frame" | "custom-shape", _) => self.slide.place = Place::Free,
            ("notes", _) => self.slide.in_notes = false,
            ("page", None) if self.kind == Kind::Presentation => return self.end_slide(),
            _ if !self.in_body => self.styles.end(name),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let Some(Open::Paragraph(paragraph)) = self.open.last_mut() else { return };
        if self.left_out.is_none() && paragraph.line.len() + text.len() <= MAX_TEXT {
            paragraph.text(text);
        }
    }

    fn close(&mut self, open: Open) -> Result<(), FailureReason> {
        match open {
            Open::Paragraph(paragraph) => self.close_paragraph(*paragraph),
            Open::Table(table) => table.finish().map_or(Ok(()), |rows| self.hand_over(rows)),
        }
    }

    fn close_paragraph(&mut self, mut paragraph: Paragraph) -> Result<(), FailureReason> {
        let boxes = std::mem::take(&mut paragraph.boxes);
        let label = match paragraph.heading {
            Some(level) if paragraph.counts => self.lists.heading(self.styles, level, paragraph.from),
            _ => paragraph.label.take(),
        };
        let text = paragraph.line.finish();
        let text = text.trim();
        let is_frame = paragraph.has_page && is_frame(text);
        if !text.is_empty() && !is_frame && !paragraph.hidden {
            self.hand_over_paragraph(&paragraph, label, text)?;
        }
        if boxes.is_empty() { Ok(()) } else { self.hand_over(Piece::Prose(format!("{boxes}\n\n"))) }
    }

    fn hand_over_paragraph(
        &mut self,
        paragraph: &Paragraph,
        label: Option<Label>,
        text: &str,
    ) -> Result<(), FailureReason> {
        let is_inner = !self.open.is_empty() || self.in_note > 0 || self.running.is_some();
        let indent = "  ".repeat(self.lists.depth());
        let (mark, whole) = match label {
            Some(Label::Bullet) if is_inner => (String::new(), true),
            Some(Label::Bullet) => ("- ".to_owned(), false),
            Some(Label::Number(number, whole)) => (format!("{number} "), whole),
            None => (String::new(), true),
        };
        let is_item = !mark.is_empty();
        if !is_inner && let Some(level) = paragraph.heading {
            // The number is the heading's, and no part of what the document is called.
            if is_item && !self.named {
                (self.take)(Piece::Title(text.to_owned()))?;
            }
            self.named = true;
            return self.hand_over(Piece::Heading(level.clamp(1, 6) as u8, format!("{mark}{text}\n")));
        }
        if !is_inner && self.kind == Kind::Text && self.styles.is_title(&paragraph.style) {
            (self.take)(Piece::Title(text.to_owned()))?;
            self.named = true;
            return self.hand_over(Piece::Heading(1, format!("{text}\n")));
        }
        let indent = if whole { "" } else { &indent };
        let end = if is_item && !is_inner { "\n" } else { "\n\n" };
        self.hand_over(Piece::Prose(format!("{indent}{mark}{text}{end}")))
    }

    /// Gives a piece on; what stands in a cell, in a text box, in a note or on a slide goes there instead.
    fn hand_over(&mut self, piece: Piece) -> Result<(), FailureReason> {
        if self.in_note > 0 {
            if self.notes.len() < MAX_NOTES {
                self.notes.push(piece);
            }
            return Ok(());
        }
        let inner = within_cell(&piece);
        let outer = match self.open.last_mut() {
            Some(Open::Table(table)) => table.cell(),
            Some(Open::Paragraph(paragraph)) => Some(&mut paragraph.boxes),
            None => None,
        };
        let Some(outer) = outer.filter(|outer| outer.len() + inner.len() <= MAX_TEXT) else {
            return match self.kind {
                Kind::Presentation => self.slide.take(piece),
                Kind::Text | Kind::Workbook => (self.take)(piece),
            };
        };
        outer.push_str(if outer.is_empty() { "" } else { " " });
        outer.push_str(&inner);
        Ok(())
    }

    fn end_slide(&mut self) -> Result<(), FailureReason> {
        let (title, pieces) = self.slide.end();
        if let Some(title) = title.as_ref().filter(|_| !self.named) {
            self.named = true;
            (self.take)(Piece::Title(title.clone()))?;
        }
        (self.take)(Piece::Section(format!("slide {}", self.slide.number)))?;
        let title = title.map(|title| Piece::Heading(2, format!("{title}\n")));
        title.into_iter().chain(pieces).try_for_each(&mut *self.take)
    }
}
