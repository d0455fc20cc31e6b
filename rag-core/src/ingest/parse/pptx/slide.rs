//! The text of one slide, of the notes below it, or of a diagram on it.

use quick_xml::events::{BytesStart, Event};

use super::super::{
    formula::Formula,
    grid::{Grid, repeated},
    line::{Line, Stands},
    markup::{Xml, attribute, events, text_of},
    ordinal::written,
    piece::Piece,
};
use crate::ingest::failure::FailureReason;

/// Bytes of one paragraph; more is left out.
const MAX_PARAGRAPH: usize = 64 * 1024;
/// The deepest level of a list.
const LEVELS: usize = 9;

/// What a shape is on its slide.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Title,
    Text,
    /// The number of the slide, the date, what stands at its bottom.
    Frame,
    /// A shape that has no place of its own.
    Free,
}

impl Place {
    fn of(kind: Option<&str>) -> Self {
        match kind {
            Some("title" | "ctrTitle") => Self::Title,
            Some("sldNum" | "dt" | "ftr" | "hdr" | "sldImg") => Self::Frame,
            _ => Self::Text,
        }
    }
}

/// A slide that was read.
pub(super) struct Slide {
    pub(super) title: Option<String>,
    pub(super) hidden: bool,
    pub(super) pieces: Vec<Piece>,
}

/// A paragraph as far as it is read.
#[derive(Default)]
struct Paragraph {
    line: Line,
    level: usize,
    /// How it is numbered, and from where on.
    numbered: Option<(String, u32)>,
    plain: bool,
}

struct Reading {
    slide: Slide,
    /// Whether only what the speaker wrote is read.
    notes: bool,
    depth: usize,
    left_out: Option<usize>,
    place: Place,
    paragraph: Paragraph,
    counts: [Option<u32>; LEVELS],
    in_text: bool,
    stands: Stands,
    struck: bool,
    formula: Option<Formula>,
    grid: Option<Grid>,
    row: Vec<String>,
    /// The row before.
    above: Vec<String>,
    /// Whether a cell is part of the one before or above it.
    covered: bool,
}

impl Slide {
    /// Reads a slide; of `notes` what the speaker wrote.
    pub(super) fn read(xml: &mut Xml<'_>, notes: bool) -> Result<Self, FailureReason> {
        let mut reading = Reading::new(notes);
        events(xml, |event| {
            match &event {
                Event::Start(tag) => reading.start(tag),
                Event::End(tag) => reading.end(tag.local_name().as_ref()),
                _ => reading.text(&text_of(&event).unwrap_or_default()),
            }
            Ok(())
        })?;
        Ok(reading.slide)
    }
}

impl Reading {
    fn new(notes: bool) -> Self {
        Self {
            slide: Slide { title: None, hidden: false, pieces: Vec::new() },
            notes,
            depth: 0,
            left_out: None,
            place: Place::Free,
            paragraph: Paragraph::default(),
            counts: [None; LEVELS],
            in_text: false,
            stands: Stands::OnTheLine,
            struck: false,
            formula: None,
            grid: None,
            row: Vec::new(),
            above: Vec::new(),
            covered: false,
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        self.depth += 1;
        if self.left_out.is_some() {
            return;
        }
        let name = tag.local_name();
        let name = name.as_ref();
        let value = |name: &str| attribute(tag, name);
        if let Some(formula) = &mut self.formula {
            formula.start(tag);
            self.in_text = name == "t";
            return;
        }
        match name {
            "sld" => self.slide.hidden = value("show").is_some_and(|show| matches!(show.as_str(), "0" | "false")),
            // A number or date that the program writes.
            "fld" => {
                let kind = value("type").unwrap_or_default();
                if kind == "slidenum" || kind.starts_with("datetime") {
                    self.left_out = Some(self.depth);
                }
            }
            "Fallback" => self.left_out = Some(self.depth),
            "sp" => (self.place, self.counts) = (Place::Free, [None; LEVELS]),
            "ph" => self.place = Place::of(value("type").as_deref()),
            "p" => self.paragraph = Paragraph::default(),
            "pPr" => {
                self.paragraph.level = value("lvl").and_then(|level| level.parse().ok()).unwrap_or(0).min(LEVELS - 1);
            }
            "buNone" => self.paragraph.plain = true,
            "buAutoNum" => {
                let from = value("startAt").and_then(|from| from.parse().ok()).unwrap_or(1);
                self.paragraph.numbered = value("type").map(|kind| (kind, from));
            }
            "r" => (self.stands, self.struck) = (Stands::OnTheLine, false),
            "rPr" => {
                let baseline = value("baseline").and_then(|at| at.trim_end_matches('%').parse::<f64>().ok());
                self.stands = match baseline {
                    Some(at) if at > 0.0 => Stands::Raised,
                    Some(at) if at < 0.0 => Stands::Lowered,
                    _ => Stands::OnTheLine,
                };
                self.struck = value("strike").is_some_and(|strike| strike != "noStrike");
            }
            "t" => self.in_text = true,
            "br" => self.paragraph.line.text("\n", Stands::OnTheLine),
            "tab" => self.paragraph.line.text("\t", Stands::OnTheLine),
            "oMath" => self.formula = Some(Formula::default()),
            "tbl" => (self.grid, self.above) = (Some(Grid::default()), Vec::new()),
            "tc" => {
                let is_on = |name: &str| value(name).is_some_and(|on| matches!(on.as_str(), "1" | "true"));
                // So that each row reads alone.
                let above = self.above.get(self.row.len()).filter(|_| is_on("vMerge"));
                let above = above.map_or_else(String::new, |above| repeated(above));
                self.covered = is_on("hMerge") || is_on("vMerge");
                self.row.push(above);
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        let depth = self.depth;
        self.depth = self.depth.saturating_sub(1);
        if let Some(left_out) = self.left_out {
            self.left_out = Some(left_out).filter(|left_out| *left_out < depth);
            return;
        }
        match name {
            "t" => self.in_text = false,
            "oMath" => {
                if let Some(formula) = self.formula.take() {
                    self.paragraph.line.formula(&formula.finish());
                }
            }
            _ if self.formula.is_some() => self.formula.iter_mut().for_each(|formula| formula.end(name)),
            "r" => (self.stands, self.struck) = (Stands::OnTheLine, false),
            "p" => self.end_paragraph(),
            "tr" => {
                self.above = std::mem::take(&mut self.row);
                self.slide.pieces.extend(self.grid.as_mut().and_then(|grid| grid.row(&self.above)));
            }
            "tbl" => self.slide.pieces.extend(self.grid.take().and_then(Grid::finish)),
            "sp" | "graphicFrame" => self.end_shape(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.left_out.is_some() || !self.in_text || self.struck {
            return;
        }
        match &mut self.formula {
            Some(formula) => formula.text(text),
            None if self.paragraph.line.len() + text.len() <= MAX_PARAGRAPH => {
                self.paragraph.line.text(text, self.stands);
            }
            None => {}
        }
    }

    fn end_paragraph(&mut self) {
        let mut paragraph = std::mem::take(&mut self.paragraph);
        let text = paragraph.line.finish();
        let text = text.trim();
        if text.is_empty() || self.place == Place::Frame || (self.notes && self.place != Place::Text) {
            return;
        }
        if self.grid.is_some() {
            if let Some(cell) = self.row.last_mut().filter(|_| !self.covered) {
                cell.push_str(if cell.is_empty() { "" } else { " " });
                cell.push_str(text);
            }
            return;
        }
        if self.place == Place::Title {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            match &mut self.slide.title {
                Some(title) => *title = format!("{title} {line}"),
                title => *title = Some(line),
            }
            return;
        }
        let indent = "  ".repeat(paragraph.level);
        let piece = match self.number(&paragraph) {
            Some(number) => format!("{indent}{number} {text}\n"),
            // The texts of a slide are points, whether or not the master says so; those of the speaker are not.
            None if self.place == Place::Text && !paragraph.plain && !self.notes => format!("{indent}- {text}\n"),
            None => format!("{text}\n\n"),
        };
        self.slide.pieces.push(Piece::Prose(piece));
    }

    /// What stands before a paragraph that is counted.
    fn number(&mut self, paragraph: &Paragraph) -> Option<String> {
        let level = paragraph.level;
        self.counts[level + 1..].fill(None);
        let Some((kind, from)) = &paragraph.numbered else {
            self.counts[level] = None;
            return None;
        };
        let count = self.counts[level].map_or(*from, |count| count.saturating_add(1));
        self.counts[level] = Some(count);
        let format = [
            ("alphaLc", "lowerLetter"),
            ("alphaUc", "upperLetter"),
            ("romanLc", "lowerRoman"),
            ("romanUc", "upperRoman"),
        ];
        let format = format.iter().find(|(begins, _)| kind.starts_with(begins)).map_or("decimal", |(_, format)| format);
        let number = written(count, format);
        Some(match kind {
            kind if kind.ends_with("ParenBoth") => format!("({number})"),
            kind if kind.ends_with("ParenR") => format!("{number})"),
            kind if kind.ends_with("Period") => format!("{number}."),
            _ => number,
        })
    }

    fn end_shape(&mut self) {
        // A list ends with its shape.
        if let Some(Piece::Prose(text)) = self.slide.pieces.last_mut()
            && !text.ends_with("\n\n")
        {
            text.push('\n');
        }
        self.place = Place::Free;
    }
}
