//! The blocks of a piece of Markdown, as the crate `pulldown-cmark` finds them, by where they lie in the source; pure.
//!
//! A block of a list, a quotation or a footnote is one of its own, from the line on which it begins, so that each can be cut behind. What no reader sees is told as holes: comments, link
//! definitions, rules and the marks that close a container.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Marks of lists and quotations that a line may begin with before the piece is not taken apart: the parser looks at each open container for each line.
const MAX_NESTED: usize = 64;

/// What begins an admonition, a fold or a tab of MkDocs, whose text is indented.
const ADMONITIONS: [&str; 4] = ["!!! ", "??? ", "???+ ", "=== \""];

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading of level 1 to 6, without its markup.
    Heading(u8, String),
    Prose,
    /// Code; inside a fence where the source has one.
    Code {
        fenced: bool,
    },
    Table,
    /// HTML that stands by itself.
    Html,
}

/// A block and where it lies: from the line on which it begins to the next block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// Where it ends by its own syntax; what follows are blank lines and holes.
    pub(super) end: usize,
}

/// The blocks of a text, in order.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) found: Vec<Found>,
    /// What is no text, in order and apart from each other.
    pub(super) holes: Vec<Range<usize>>,
    /// The last block that lies in no other one.
    pub(super) last: Range<usize>,
    /// Where the last item of that block begins, if it is a list.
    pub(super) last_item: Option<usize>,
}

/// Cells that may be added to the short rows of tables in a window. Beyond that they are read as lines of text: each would be held.
const MAX_COMPLETED: usize = 1 << 16;

/// Cells by which rows are shorter than the heads of their tables, or a little more.
fn completed_cells(text: &str) -> usize {
    let (mut columns, mut cells) = (0_usize, 0_usize);
    for line in text.lines() {
        let marks = line.bytes().filter(|byte| *byte == b'|').count();
        let is_rule = line.contains('-') && line.bytes().all(|byte| matches!(byte, b'|' | b'-' | b':' | b' ' | b'>'));
        if is_rule {
            columns = marks + 1;
        } else if line.trim().is_empty() {
            columns = 0;
        } else {
            cells += columns.saturating_sub(marks);
        }
    }
    cells
}

impl Blocks {
    pub(super) fn of(text: &str) -> Self {
        if text.lines().any(nests_without_end) {
            return Self::paragraphs(text);
        }
        let options = Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_MATH
            | Options::ENABLE_GFM
            | Options::ENABLE_DEFINITION_LIST;
        let has_tables = completed_cells(text) <= MAX_COMPLETED;
        let options = if has_tables { options | Options::ENABLE_TABLES } else { options };
        let parser = Parser::new_ext(text, options);
        let definitions: Vec<_> = parser.reference_definitions().iter().map(|(_, link)| link.span.clone()).collect();
        let mut walk = Walk::new(text);
        for (event, range) in parser.into_offset_iter() {
            walk.take(event, range);
        }
        for definition in definitions {
            walk.hole(definition);
        }
        walk.end()
    }

    /// The paragraphs between blank lines, whatever they hold.
    fn paragraphs(text: &str) -> Self {
        let mut blocks = Self::default();
        let (mut at, mut blank) = (0, true);
        for line in text.split_inclusive('\n') {
            let was_blank = std::mem::replace(&mut blank, line.trim().is_empty());
            if !blank && was_blank {
                blocks.last = at..at;
                blocks.found.push(Found { at, kind: Kind::Prose, end: at });
            }
            at += line.len();
            if let (false, Some(last)) = (blank, blocks.found.last_mut()) {
                (last.end, blocks.last.end) = (at, at);
            }
        }
        blocks
    }
}

/// Whether a line begins with more marks of containers than anybody reads.
fn nests_without_end(line: &str) -> bool {
    let mut rest = line;
    for _ in 0..=MAX_NESTED {
        rest = rest.trim_start_matches([' ', '\t']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mark = match rest.as_bytes().first() {
            Some(b'>') => 1,
            Some(b'-' | b'*' | b'+' | b':') => 1,
            Some(b'[') if rest.starts_with("[^") => rest.find("]:").map_or(0, |at| at + 2),
            Some(b'0'..=b'9') if digits < 10 && rest[digits..].starts_with(['.', ')']) => digits + 1,
            _ => 0,
        };
        if mark == 0 {
            return false;
        }
        rest = &rest[mark..];
    }
    true
}

struct Walk<'t> {
    text: &'t str,
    blocks: Blocks,
    depth: usize,
    /// Whether the last block is a container of which nothing was read yet: what comes first in it stays with its mark.
    fresh: bool,
    /// The title of the heading that is read.
    title: Option<String>,
    /// Whether what is indented belongs to an admonition, and is no code.
    admonition: bool,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, blocks: Blocks::default(), depth: 0, fresh: false, title: None, admonition: false }
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        if self.depth == 0 && !matches!(event, Event::End(_)) {
            self.blocks.last = line_start(self.text, range.start)..range.end;
            self.blocks.last_item = None;
        }
        match event {
            Event::Start(tag) => {
                self.start(tag, range);
                self.depth += 1;
            }
            Event::End(tag) => {
                self.depth -= 1;
                self.end_of(tag);
            }
            Event::Rule => self.hole(range),
            Event::InlineHtml(tag) if tag.starts_with("<!--") => self.hole(range),
            Event::Html(_) => {}
            Event::Text(text) | Event::Code(text) => self.inline(&text),
            Event::InlineMath(_) | Event::DisplayMath(_) => self.inline(&self.text[range]),
            Event::SoftBreak | Event::HardBreak => self.inline(" "),
            Event::InlineHtml(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => self.fresh = false,
        }
    }

    fn inline(&mut self, text: &str) {
        self.fresh = false;
        if let Some(title) = &mut self.title {
            title.push_str(text);
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        if self.depth == 0 && !matches!(tag, Tag::Paragraph | Tag::CodeBlock(CodeBlockKind::Indented)) {
            self.admonition = false;
        }
        match tag {
            Tag::Heading { level, .. } if self.depth == 0 => {
                self.title = Some(String::new());
                self.leaf(Kind::Heading(number(level), String::new()), range);
            }
            Tag::Item => {
                if self.depth == 1 {
                    self.blocks.last_item = Some(line_start(self.text, range.start));
                }
                self.container(range);
            }
            Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) | Tag::DefinitionListTitle => self.container(range),
            Tag::HtmlBlock if self.depth == 0 => self.leaf(Kind::Html, range),
            Tag::HtmlBlock => {
                self.comments(&range);
                self.leaf(Kind::Prose, range);
            }
            Tag::CodeBlock(CodeBlockKind::Indented) if self.admonition => self.leaf(Kind::Prose, range),
            Tag::CodeBlock(kind) => self.leaf(Kind::Code { fenced: matches!(kind, CodeBlockKind::Fenced(_)) }, range),
            Tag::Table(_) => self.leaf(Kind::Table, range),
            Tag::Heading { .. } => self.leaf(Kind::Prose, range),
            Tag::Paragraph => self.paragraph(range),
            _ => {}
        }
    }

    fn end_of(&mut self, tag: TagEnd) {
        if !matches!(tag, TagEnd::Heading(_)) || self.depth > 0 {
            return;
        }
        let Some((title, block)) = self.title.take().zip(self.blocks.found.last_mut()) else { return };
        // In a formula a line of signs underlines nothing.
        let formula = title.matches("$$").count() % 2 == 1;
        if title.trim().is_empty() || formula {
            block.kind = Kind::Prose;
        } else if let Kind::Heading(_, of) = &mut block.kind {
            *of = title;
        }
    }

    /// A block that holds others.
    fn container(&mut self, range: Range<usize>) {
        self.push(Kind::Prose, range);
        self.fresh = true;
    }

    /// A block that holds text.
    fn leaf(&mut self, kind: Kind, range: Range<usize>) {
        if std::mem::take(&mut self.fresh) {
            if let Some(container) = self.blocks.found.last_mut() {
                (container.kind, container.end) = (kind, container.end.max(range.end));
            }
        } else {
            self.push(kind, range);
        }
    }

    fn push(&mut self, kind: Kind, range: Range<usize>) {
        let at = line_start(self.text, range.start);
        if self.blocks.found.last().is_none_or(|last| last.at < at) {
            self.blocks.found.push(Found { at, kind, end: range.end });
        }
    }

    /// The comments in HTML that stands inside a container.
    fn comments(&mut self, range: &Range<usize>) {
        let mut at = range.start;
        while let Some(open) = self.text[at..range.end].find("<!--") {
            let from = at + open;
            at = self.text[from..range.end].find("-->").map_or(range.end, |close| from + close + 3);
            self.hole(from..at);
        }
    }

    fn paragraph(&mut self, range: Range<usize>) {
        let text = self.text[range.clone()].trim_end();
        if self.depth == 0 {
            self.admonition = ADMONITIONS.iter().any(|mark| text.starts_with(mark));
        }
        self.leaf(Kind::Prose, range);
    }

    /// The lines that close a container of Docusaurus or Pandoc.
    fn closing_marks(&mut self) {
        for (index, found) in self.blocks.found.iter().enumerate().filter(|(_, found)| found.kind == Kind::Prose) {
            let end = self.blocks.found.get(index + 1).map_or(self.text.len(), |next| next.at);
            let mut from = found.at;
            for line in self.text[found.at..end].split_inclusive('\n') {
                let mark = line.trim();
                if mark.len() >= 3 && mark.bytes().all(|byte| byte == b':') {
                    self.blocks.holes.push(from..from + line.len());
                }
                from += line.len();
            }
        }
    }

    fn hole(&mut self, range: Range<usize>) {
        self.blocks.holes.push(range);
    }

    fn end(mut self) -> Blocks {
        self.closing_marks();
        self.blocks.holes.sort_by_key(|hole| hole.start);
        // A hole inside another one, such as a comment in HTML, is told by the outer one.
        self.blocks.holes.dedup_by(|inner, outer| inner.end <= outer.end);
        self.blocks
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
