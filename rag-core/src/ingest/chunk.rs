//! Cuts a document's blocks into chunks; pure and deterministic.
//!
//! Guarantees: every chunk is a slice of what was pushed, in order, and together they hold every byte that is not blank, once. No chunk is above the limits. No cut falls
//! inside a grapheme that fits the limits. Time is linear and memory is bounded by a few chunks, whatever is pushed.
//! It may not read, write, or know a format: parsers turn formats into [`Block`]s.

use std::collections::VecDeque;

use super::{
    growth::Growth,
    split::{Level, Unit, explode},
};
use crate::model::{Notice, Notices};

/// Changes when the same document would be cut differently; part of every content hash, so that a new version chunks everything again.
pub const VERSION: &str = "structure-3";

/// Tokens that a chunk may have, where the model allows it: small enough for a precise citation, large enough for a paragraph, and it leaves room for the headings above it.
const CHUNK_TOKENS: usize = 200;

/// Bytes that a chunk may have: a word without spaces is one token to some tokenizers, whatever its length.
const CHUNK_BYTES: usize = 8 * 1024;

/// Blank bytes inside a chunk after which it ends.
const BLANK_BYTES: usize = 512;

/// Characters of a heading that are kept in the path beside a chunk; its text keeps them all.
const HEADING_CHARS: usize = 200;

/// One in so many boundaries is an anchor: a place that is cut at wherever the chunk began, so that a change moves only the cuts near it.
const ANCHORS: u8 = 3;

/// How large a chunk may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens by the embedder's own tokenizer.
    pub tokens: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Limits {
    /// Limits for a model that cuts passages at `max_tokens`, with a fifth of them left for title and headings.
    pub fn for_model(max_tokens: usize) -> Self {
        Self { tokens: CHUNK_TOKENS.min(max_tokens - max_tokens / 5).max(1), bytes: CHUNK_BYTES }
    }

    pub(super) fn hold(self, tokens: usize, bytes: usize) -> bool {
        tokens <= self.tokens && bytes <= self.bytes
    }
}

/// What a block is, as far as it decides where it may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Sentences; also a list item or a quotation.
    Prose,
    /// Lines that belong together: code, tables.
    Lines,
}

/// A slice of the document that a parser recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block<'t> {
    /// A heading; it starts a section.
    Heading {
        /// 1 to 6.
        level: u8,
        /// The heading without its markup.
        title: &'t str,
        /// The slice.
        text: &'t str,
    },
    /// Anything with text.
    Body {
        /// Where it may be cut.
        shape: Shape,
        /// The slice.
        text: &'t str,
        /// Whether the next block continues this one, because it was too long to be held whole.
        continues: bool,
    },
    /// Blank lines.
    Blank {
        /// The slice.
        text: &'t str,
    },
}

impl<'t> Block<'t> {
    fn text(&self) -> &'t str {
        match self {
            Self::Heading { text, .. } | Self::Body { text, .. } | Self::Blank { text } => text,
        }
    }
}

/// A chunk before it belongs to a version of a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Draft {
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// The slice.
    pub text: String,
}

/// Takes blocks, gives chunks.
pub struct Chunker<'c> {
    limits: Limits,
    count: &'c (dyn Fn(&str) -> usize + 'c),
    /// What was pushed and not yet cut off, and the units that it consists of.
    text: String,
    units: VecDeque<Unit>,
    tokens: usize,
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
        self.path.clear();
        if !title.is_empty() {
            self.path.push((1, brief(title)));
        }
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
                self.take(shape, text, if continues { Level::Line } else { Level::Block });
            }
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
        self.path.push((level, brief(title)));
        self.take(Shape::Prose, text, Level::Never);
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

    fn take(&mut self, shape: Shape, text: &str, level: Level) {
        self.blank_tail = 0;
        for unit in explode(text, shape, level, self.limits, self.count) {
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
            let chunk = trimmed(&self.text[..bytes]);
            // Units were counted alone; together they may count more where a cut falls inside a word.
            let above = units > 1 && !self.limits.hold((self.count)(chunk), chunk.len());
            if above {
                units = units.div_ceil(2).min(units - 1);
                continue;
            }
            if !chunk.is_empty() {
                let text = chunk.to_owned();
                let headings = self.headings();
                self.emitted = true;
                self.ready.push_back(Draft { headings, text });
            }
            self.units.drain(..units);
            self.text.drain(..bytes);
            self.tokens = self.tokens.saturating_sub(tokens);
            return;
        }
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

    /// How many units the next chunk takes: all that is left if it fits; else up to the strongest boundary in the second half of what fits, or, for the last two chunks, near the middle.
    fn best_cut(&self) -> usize {
        if self.limits.hold(self.tokens, self.text.len()) {
            return self.units.len();
        }
        let last_two = self.tokens <= 2 * self.limits.tokens;
        let (least, target) = if last_two {
            (self.tokens.saturating_sub(self.limits.tokens), self.tokens / 2)
        } else {
            (self.limits.tokens / 2, self.limits.tokens)
        };
        let (mut tokens, mut bytes, mut fitting) = (0, 0, 1);
        let mut best: Option<(Boundary, usize)> = None;
        for (index, unit) in self.units.iter().enumerate() {
            tokens += unit.tokens;
            bytes += unit.bytes;
            if !self.limits.hold(tokens, bytes) {
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
