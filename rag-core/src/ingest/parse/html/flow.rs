//! Texts and blocks: what stands on a line, where lines and blocks end, and what is handed over.

use super::{
    super::script::{lowered, raised},
    element::is_permalink,
    reader::{Found, Open, Reader, Reading},
};
use crate::ingest::{chunk::Shape, split::MAX_BLOCK};

/// Bytes of a term that stands before its definition.
const MAX_TERM: usize = 300;
/// Bytes of a cell after which its paragraphs are read as such.
const MAX_CELL: usize = 4096;

impl Reader {
    pub(super) fn take_text(&mut self, text: &str) {
        if self.is_dropped() {
            return;
        }
        if let Some(math) = &mut self.math {
            if math.text(text) {
                return;
            }
            self.end_math();
        }
        if self.reading == Reading::Code {
            // The newline right after <pre> is not part of the code.
            self.text.push_str(if self.text.is_empty() { text.strip_prefix('\n').unwrap_or(text) } else { text });
            return self.pass_on('\n');
        }
        self.push_text(text);
    }

    /// Adds text of a line; any blanks are one.
    pub(super) fn push_text(&mut self, text: &str) {
        self.settle(text);
        for c in text.chars() {
            if c.is_whitespace() && c != '\u{a0}' {
                self.blank();
                self.pass_on(' ');
            } else {
                // A fraction is written with a slash, whichever of the two.
                self.text.push(if c == '\u{2044}' { '/' } else { c });
            }
        }
        if self.text.len() > 2 * MAX_BLOCK {
            self.pass_on_all();
        }
    }

    /// Adds a text that stands for itself.
    pub(super) fn word(&mut self, word: &str) {
        if word.is_empty() {
            return;
        }
        self.blank();
        self.push_text(word);
        self.apart = true;
    }

    pub(super) fn blank(&mut self) {
        if self.raised.is_some() {
            self.settle("");
        }
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    pub(super) fn trim(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
    }

    /// Decides what depended on what follows: a raised text, a number or a word that is beside another one.
    pub(super) fn settle(&mut self, next: &str) {
        if let Some((text, noted)) = self.raised.take() {
            let fraction = next.starts_with(['/', '\u{2044}']) && text.chars().all(|c| c.is_ascii_digit());
            if fraction {
                if self.text.ends_with(|c: char| c.is_ascii_digit()) {
                    self.text.push(' ');
                }
                self.text.push_str(&text);
            } else {
                let appended = raised(&self.text, &text, noted);
                self.text.push_str(&appended);
                self.number_ended = self.text.ends_with(|c: char| c.is_ascii_digit());
            }
        }
        let Some(first) = next.chars().next() else { return };
        let words = self.apart && first.is_alphanumeric() && !self.text.is_empty() && !self.text.ends_with([' ', '\n']);
        if words || self.number_ended && first.is_ascii_digit() {
            self.text.push(' ');
        }
        self.number_ended = false;
        self.goes_on();
    }

    /// The text of an element that ends, taken out of what was read; nothing where a part of it was passed on.
    pub(super) fn text_of(&mut self, open: &Open) -> Option<String> {
        self.settle("");
        let (texts, start) = open.start;
        let whole = texts == self.texts && self.text.is_char_boundary(start);
        whole.then(|| self.text.split_off(start))
    }

    pub(super) fn end_script(&mut self, open: &Open) {
        let Some(text) = self.text_of(open) else { return };
        if &*open.name == "sup" {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.raised = (!text.is_empty()).then_some((text, open.links));
            return;
        }
        let appended = lowered(&self.text, &text);
        self.text.push_str(&appended);
        self.number_ended = self.text.ends_with(|c: char| c.is_ascii_digit());
    }

    /// Readings are gathered until the word that they are of has ended.
    pub(super) fn end_reading(&mut self, open: &Open) {
        if let Some(text) = self.text_of(open) {
            self.readings.push_str(text.trim());
        }
    }

    pub(super) fn end_ruby(&mut self) {
        let readings = std::mem::take(&mut self.readings);
        if !readings.is_empty() {
            self.push_text(&format!("({readings})"));
        }
    }

    /// A link that only marks its own place says nothing.
    pub(super) fn end_link(&mut self, open: &Open) {
        let named = matches!(self.reading, Reading::Heading(_))
            || self.open.last().is_some_and(|outer| matches!(&*outer.name, "dt" | "caption" | "figcaption"));
        if let Some(text) = self.text_of(open).filter(|text| !is_permalink(text, named)) {
            self.text.push_str(&text);
        }
    }

    pub(super) fn end_line(&mut self) {
        self.settle("");
        self.goes_on();
        match self.reading {
            Reading::Code => self.text.push('\n'),
            Reading::Prose if !self.is_in_cell() => {
                self.trim();
                if self.text.len() > self.lead {
                    self.text.push('\n');
                }
            }
            _ => self.blank(),
        }
    }

    pub(super) fn end_term(&mut self) {
        self.settle("");
        self.trim();
        self.term = self.reading == Reading::Prose && (1..=MAX_TERM).contains(&self.text.len());
        if !self.term {
            self.end_block();
        }
    }

    pub(super) fn start_definition(&mut self) {
        self.trim();
        if !self.text.ends_with([':', '?', '!', '.', '：', '？']) {
            self.text.push(':');
        }
        self.text.push(' ');
        (self.term, self.lead) = (false, self.text.len());
    }

    pub(super) fn end_code(&mut self, open: &Open) {
        if !self.is_in_cell() {
            return self.end_block();
        }
        self.reading = Reading::Prose;
        let Some(code) = self.text_of(open) else { return self.end_block() };
        if !code.trim().contains('\n') {
            return self.word(&code.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        // Code of several lines stands in no row.
        self.surface(self.tables.len());
        self.start_block(Reading::Code);
        self.text = code.trim_matches('\n').to_owned();
        self.end_block();
    }

    /// Ends a block at an element; inside a cell of a table it is only a space.
    pub(super) fn boundary(&mut self, name: &str) {
        if self.is_in_cell() {
            self.settle("");
            self.goes_on();
            self.number_ended = false;
            self.blank();
            if self.text.len() > MAX_CELL {
                self.surface(self.tables.len());
                self.end_block();
            }
            return;
        }
        if self.reading == Reading::Code {
            // What stands in code is a line of it.
            if !self.text.is_empty() && !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            return;
        }
        if self.reading == Reading::Caption {
            return self.blank();
        }
        let announced = self.lead > 0 && self.text.len() <= self.lead && matches!(name, "p" | "div");
        let empty = self.text.is_empty() && self.raised.is_none() && self.reading != Reading::Prose;
        if !(announced || empty) {
            self.end_block();
        }
    }

    pub(super) fn start_block(&mut self, reading: Reading) {
        self.end_block();
        self.reading = reading;
    }

    /// Passes on what is too long to be held, up to the last `at`.
    fn pass_on(&mut self, at: char) {
        if self.text.len() > MAX_BLOCK && self.text.ends_with(at) {
            self.pass_on_all();
        }
    }

    fn pass_on_all(&mut self) {
        if matches!(self.reading, Reading::Title | Reading::Heading(_)) {
            // Nobody reads a heading of that length; the rest of it is body text.
            return self.end_block();
        }
        if self.reading == Reading::Code {
            self.surface(self.tables.len());
        }
        let text = self.taken();
        if self.is_in_cell() {
            return self.pass_cell_on(&text);
        }
        let shape = if self.reading == Reading::Code { Shape::Lines } else { Shape::Prose };
        self.found.push(Found::Body { shape, text, continues: true });
    }

    /// The text, which ends here.
    pub(super) fn taken(&mut self) -> String {
        self.texts += 1;
        self.lead = 0;
        std::mem::take(&mut self.text)
    }

    pub(super) fn end_block(&mut self) {
        self.settle("");
        self.goes_on();
        self.number_ended = false;
        let (lead, item) = (self.lead, std::mem::take(&mut self.item));
        self.term = false;
        let reading = std::mem::take(&mut self.reading);
        let mut text = self.taken();
        text.truncate(text.trim_end().len());
        if item && text.len() <= lead || text.trim_matches(['-', ' ', '|', '\n']).is_empty() {
            return;
        }
        match reading {
            Reading::Title => self.found.push(Found::Title(text)),
            Reading::Heading(level) => {
                self.leave_line_free(&mut text, false);
                text.push('\n');
                self.found.push(Found::Heading { level, text });
            }
            Reading::Prose | Reading::Caption | Reading::Code => {
                let shape = if reading == Reading::Code { Shape::Lines } else { Shape::Prose };
                text.push_str(if item { "\n" } else { "\n\n" });
                self.hand_over(shape, text, item);
            }
        }
    }

    /// Hands a block over.
    pub(super) fn hand_over(&mut self, shape: Shape, mut text: String, item: bool) {
        let shape = match (self.leave_line_free(&mut text, item), shape) {
            (added, Shape::Table { head }) if head > 0 => Shape::Table { head: head + added },
            (_, shape) => shape,
        };
        self.found.push(Found::Body { shape, text, continues: false });
    }

    /// Leaves a line free above what follows a list; tells how many bytes that are.
    fn leave_line_free(&mut self, text: &mut String, item: bool) -> usize {
        let after = std::mem::replace(&mut self.after_item, item);
        if !after || item {
            return 0;
        }
        text.insert(0, '\n');
        1
    }
}
