//! Cuts a document's blocks into chunks; pure and deterministic.
//!
//! Guarantees: every chunk ends with a slice of what was pushed, in order, and together these slices hold every byte that is not blank, once. Only in a chunk that begins inside a table something stands before
//! its slice: the table's head, and the key of a row that is cut; [`Draft::repeated`] says how long that is. No chunk is above the limits. No cut falls inside a grapheme that fits the limits. Time is linear
//! and memory is bounded by a few chunks, whatever is pushed.
//! It may not read, write, or know a format: parsers turn formats into [`Block`]s.

mod block;

use std::collections::VecDeque;

use super::{
    growth::Growth,
    split::{Level, Measure, Unit, explode},
    table::{Cost, Table, record},
};
use crate::model::{Notice, Notices};

pub use block::{Block, Draft, Limits, Shape, Value};

/// Changes when the same document would be cut differently; part of every content hash, so that a new version chunks everything again.
pub const VERSION: &str = "structure-5";

/// Blank bytes inside a chunk after which it ends.
const BLANK_BYTES: usize = 512;

/// Characters of a heading that are kept in the path beside a chunk; its text keeps them all.
const HEADING_CHARS: usize = 200;

/// The level of the names of parts, above that of every heading.
const PART: u8 = 0;

/// One in so many boundaries is an anchor: a place that is cut at wherever the chunk began, so that a change moves only the cuts near it.
const ANCHORS: u8 = 3;

/// Takes blocks, gives chunks.
pub struct Chunker<'c> {
    limits: Limits,
    count: &'c (dyn Fn(&str) -> usize + 'c),
    /// What was pushed and not yet cut off, and the units that it consists of.
    text: String,
    units: VecDeque<Unit>,
    tokens: usize,
    table: Table,
    path: Vec<(u8, String)>,
    body: bool,
    blank_tail: usize,
    title: Option<String>,
    /// Whether the first heading names the document.
    headings_name: bool,
    emitted: bool,
    growth: Growth,
    notices: Notices,
    ready: VecDeque<Draft>,
}

impl<'c> Chunker<'c> {
    /// A chunker that counts tokens with `count`.
    pub fn new(limits: Limits, count: &'c (dyn Fn(&str) -> usize + 'c)) -> Self {
        Self {
            limits,
            count,
            text: String::new(),
            units: VecDeque::new(),
            tokens: 0,
            table: Table::default(),
            path: Vec::new(),
            body: false,
            blank_tail: 0,
            title: None,
            headings_name: true,
            emitted: false,
            growth: Growth::default(),
            notices: Notices::NONE,
            ready: VecDeque::new(),
        }
    }

    /// The document's title: what a parser named, or the first heading. It stands once the first chunk is ready, so that all chunks carry the same.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Names the document; the first name stays.
    pub fn set_title(&mut self, title: &str) {
        if self.title.is_none() && !self.emitted && !title.trim().is_empty() {
            self.title = Some(brief(title));
        }
    }

    /// Says something of the document that is no text of it.
    pub fn notice(&mut self, notice: Notice) {
        self.notices.add(notice);
    }

    /// What was said of the document.
    pub fn into_notices(self) -> Notices {
        self.notices
    }

    /// Says that headings are those of parts, such as records or pages, and none of them is the document's name.
    pub fn keep_headings_from_naming(&mut self) {
        self.headings_name = false;
    }

    /// Ends the section and starts one whose heading stands beside its chunks and not in them; without a heading where the name is empty.
    pub fn section(&mut self, title: &str) {
        self.end_section();
        self.path.retain(|(level, _)| *level == PART);
        if !title.is_empty() {
            self.path.push((1, brief(title)));
        }
    }

    /// Ends the section and begins a part, outermost name first, that all sections and headings stand under until the next one; without a name that is none.
    pub fn within(&mut self, names: &[String]) {
        self.end_section();
        self.path = names.iter().map(|name| (PART, brief(name))).filter(|(_, name)| !name.is_empty()).collect();
    }

    /// Bytes that a format may still add to the document's own text, such as the names of columns.
    pub(super) fn room(&self) -> u64 {
        self.growth.room()
    }

    /// Counts what a format adds to the text that it is about to push.
    pub(super) fn add(&mut self, added: usize) {
        self.growth.add_inside(added);
    }

    /// Takes the next block.
    pub fn push(&mut self, block: Block<'_>) {
        self.growth.push(block.text().len());
        match block {
            Block::Heading { level, title, text } => self.heading(level, title, text),
            Block::Body { shape, text, continues } => {
                self.body = true;
                let level = if continues { Level::Line } else { Level::Block };
                let units = match shape {
                    Shape::Prose | Shape::Lines => explode(text, shape, level, self.measure()),
                    Shape::Table { .. } | Shape::Rows => {
                        let measure = self.measure();
                        self.table.units(text, shape, level, measure)
                    }
                };
                self.take(text, units);
            }
            Block::Record { text, values } => self.record(text, values),
            Block::Blank { text } => self.blank(text),
        }
    }

    /// The next chunk that is complete.
    pub fn pop(&mut self) -> Option<Draft> {
        self.ready.pop_front()
    }

    /// Ends the document; the rest can be popped.
    pub fn finish(&mut self) {
        self.end_section();
    }

    fn heading(&mut self, level: u8, title: &str, text: &str) {
        if self.headings_name {
            self.set_title(title);
        }
        // A heading directly under a larger one stays with it: "# Guide" followed by "## Start" is one chunk.
        let deeper = self.path.last().is_none_or(|(above, _)| *above < level);
        if self.body || !deeper {
            self.end_section();
        }
        while self.path.last().is_some_and(|(above, _)| *above >= level) {
            self.path.pop();
        }
        let title = brief(title);
        // A part may begin with its own name as a heading, which is not shown twice.
        let named = |(above, name): &(u8, String)| *above == PART && name.to_lowercase() == title.to_lowercase();
        if !self.path.last().is_some_and(named) {
            self.path.push((level, title));
        }
        let units = explode(text, Shape::Prose, Level::Never, self.measure());
        self.take(text, units);
    }

    fn record(&mut self, text: &str, values: &[Value]) {
        self.body = true;
        let measure = self.measure();
        if self.limits.hold(0, text.len()) && self.limits.hold((self.count)(text), text.len()) {
            return self.take(text, explode(text, Shape::Lines, Level::Block, measure));
        }
        record(text, values, measure, |part, units| self.take(part, units));
        if let Some(last) = self.units.back_mut() {
            last.level = Level::Block;
        }
    }

    fn measure(&self) -> Measure<'c> {
        (self.limits, self.count)
    }

    fn blank(&mut self, text: &str) {
        if self.units.is_empty() {
            return;
        }
        if self.blank_tail + text.len() > BLANK_BYTES {
            let body = self.body;
            self.end_section();
            self.body = body;
            return;
        }
        self.text.push_str(text);
        self.blank_tail += text.len();
        if let Some(last) = self.units.back_mut() {
            last.bytes += text.len();
        }
    }

    fn take(&mut self, text: &str, units: Vec<Unit>) {
        self.blank_tail = 0;
        for unit in units {
            self.tokens += unit.tokens;
            self.units.push_back(unit);
        }
        self.text.push_str(text);
        // Twice the limit is held back, so that the end of a section can be cut into two halves instead of a whole and a crumb.
        while self.tokens > 2 * self.limits.tokens || self.text.len() > 2 * self.limits.bytes {
            self.cut();
        }
    }

    fn end_section(&mut self) {
        while !self.units.is_empty() {
            self.cut();
        }
        self.body = false;
        self.blank_tail = 0;
    }

    /// Cuts one chunk off the front.
    fn cut(&mut self) {
        let mut units = self.best_cut();
        loop {
            let (bytes, tokens) = self.units.iter().take(units).fold((0, 0), |(b, t), u| (b + u.bytes, t + u.tokens));
            let slice = trimmed(&self.text[..bytes]);
            let (mut text, mut repeated) = self.below_what_is_repeated(slice, units);
            // Units were counted alone; together they may count more where a cut falls inside a word.
            let above = !self.limits.hold((self.count)(&text), text.len());
            if above && units > 1 {
                units = units.div_ceil(2).min(units - 1);
                continue;
            }
            if above {
                (text, repeated) = (slice.to_owned(), 0);
            }
            if !slice.is_empty() {
                self.growth.add_beside(repeated);
                let headings = self.headings();
                self.emitted = true;
                self.ready.push_back(Draft { headings, text, repeated });
            }
            self.units.drain(..units);
            self.text.drain(..bytes);
            self.tokens = self.tokens.saturating_sub(tokens);
            return;
        }
    }

    /// A slice of so many units with what a chunk repeats that begins there, and how many bytes that are; nothing where it would make the document grow without bound.
    fn below_what_is_repeated(&self, slice: &str, units: usize) -> (String, usize) {
        let (Some(first), Some(last)) = (self.units.front(), self.units.get(units.saturating_sub(1))) else {
            return (slice.to_owned(), 0);
        };
        let (above, lead) = first.place.repeated(&last.place);
        let repeated = above.len() + lead.len();
        if slice.is_empty() || repeated == 0 || self.growth.room() < repeated as u64 {
            return (slice.to_owned(), 0);
        }
        // Where an empty cell comes first, the blank before its mark is the cell.
        let rest = slice.trim_start();
        let rest = if lead.is_empty() || rest.starts_with('|') { slice } else { rest };
        let empty = if !lead.is_empty() && rest.starts_with('|') { " " } else { "" };
        (format!("{above}{lead}{empty}{rest}"), repeated + empty.len())
    }

    /// The headings above a chunk; none where long ones above many small chunks would make the document grow without bound.
    fn headings(&mut self) -> Vec<String> {
        let bytes: usize = self.path.iter().map(|(_, title)| title.len()).sum();
        if self.growth.room() < bytes as u64 {
            return Vec::new();
        }
        self.growth.add_beside(bytes);
        self.path.iter().map(|(_, title)| title.clone()).collect()
    }

    /// How many units the next chunk takes: all that is left if it fits; else up to the strongest boundary in the second half of what fits, or, for the last two chunks, near the middle. What a chunk repeats
    /// takes room from it, and the pieces of a row that is cut stand for themselves.
    fn best_cut(&self) -> usize {
        let Some(first) = self.units.front() else { return 0 };
        let (reach, all, all_bytes) = self.ahead(first);
        let last = self.units.get(reach - 1).map_or(&first.place, |last| &last.place);
        if self.holds(all, all_bytes, first.place.cost(last)) {
            return reach;
        }
        let room = self.limits.tokens.saturating_sub(first.place.cost(&first.place).tokens).max(1);
        let last_two = all <= 2 * room;
        let (least, target) = if last_two { (all.saturating_sub(room), all / 2) } else { (room / 2, room) };
        let (mut tokens, mut bytes, mut fitting) = (0, 0, 1);
        let mut best: Option<(Boundary, usize)> = None;
        for (index, unit) in self.units.iter().take(reach).enumerate() {
            tokens += unit.tokens;
            bytes += unit.bytes;
            if !self.holds(tokens, bytes, first.place.cost(&unit.place)) {
                break;
            }
            fitting = index + 1;
            if tokens < least.max(1) || best.is_some_and(|(best, _)| best.level > unit.level) {
                continue;
            }
            let anchor = !last_two && self.is_anchor(fitting, bytes);
            let near = usize::MAX - tokens.abs_diff(target);
            let boundary = Boundary { level: unit.level, anchor, near };
            if best.is_none_or(|(best, _)| boundary >= best) {
                best = Some((boundary, fitting));
            }
        }
        best.map_or(fitting, |(_, units)| units)
    }

    /// The units that may stand in one chunk with the first one, with their tokens and bytes; no more than it takes to see that two chunks do not hold them.
    fn ahead(&self, first: &Unit) -> (usize, usize, usize) {
        let (mut units, mut tokens, mut bytes) = (0, 0, 0);
        for unit in &self.units {
            let apart = first.place.is_in_cut_row() && !unit.place.is_of_row_of(&first.place);
            if apart || tokens > 2 * self.limits.tokens || bytes > 2 * self.limits.bytes {
                break;
            }
            (units, tokens, bytes) = (units + 1, tokens + unit.tokens, bytes + unit.bytes);
        }
        (units, tokens, bytes)
    }

    fn holds(&self, tokens: usize, bytes: usize, repeated: Cost) -> bool {
        self.limits.hold(tokens + repeated.tokens, bytes + repeated.bytes)
    }

    /// Whether the unit that begins there says so itself, whatever stands around it.
    fn is_anchor(&self, unit: usize, at: usize) -> bool {
        let Some(unit) = self.units.get(unit) else { return false };
        let text = self.text[at..at + unit.bytes].trim();
        blake3::hash(text.as_bytes()).as_bytes()[0].is_multiple_of(ANCHORS)
    }
}

/// A place for a cut; the greatest is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Boundary {
    level: Level,
    anchor: bool,
    near: usize,
}

/// Without blank lines before and blanks after; the indentation of the first line stays.
fn trimmed(text: &str) -> &str {
    let text = text.trim_end();
    let lead = text.len() - text.trim_start().len();
    let line = text[..lead].rfind('\n').map_or(0, |newline| newline + 1);
    &text[line..]
}

/// The words of a title, up to what is kept of it; no more of a long one is looked at.
fn brief(title: &str) -> String {
    let spaced = title.split_whitespace().flat_map(|word| std::iter::once(' ').chain(word.chars()));
    spaced.skip(1).take(HEADING_CHARS).collect()
}

#[cfg(test)]
mod tests;
