//! HTML: the text that a reader sees, from the tokens of a browser-grade tokenizer.
//!
//! No tree is built, so that deep nesting costs neither stack nor more than linear time. Scripts, styles, navigation and the page's frame (header, footer, aside) are dropped;
//! headings, lists, preformatted code and the rows of tables are kept apart. It may not fetch or run anything.

mod tag;

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use self::tag::OpenTag;
use super::lines::MAX_BLOCK;
use crate::ingest::chunk::{Block, Chunker, Shape};
use crate::ingest::failure::FailureReason;

/// Attributes that a tag may have; the richest of ordinary pages have some dozens. The tokenizer compares each with all before it.
const MAX_ATTRIBUTES: usize = 1000;
/// Open elements that are remembered.
const MAX_DEPTH: usize = 4096;
/// Open elements that an end tag may close at once.
const MAX_CLOSED: usize = 256;
/// Bytes that go to the tokenizer at once: few enough that the attributes in them cost little even in a tag that has too many.
const STEP: usize = 2 * 1024;

/// What the tokens amounted to since the last look.
enum Found {
    Title(String),
    Heading { level: u8, text: String },
    Body { shape: Shape, text: String, continues: bool },
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    #[default]
    Prose,
    Heading(u8),
    Code,
    Table,
    Title,
}

/// An HTML document that is being read.
pub(in crate::ingest) struct Html {
    tokenizer: Tokenizer<Page>,
    input: BufferQueue,
    /// The tag, or whatever else a `<` began, of which no token came yet.
    open: Option<OpenTag>,
    lines: u64,
}

impl Html {
    pub(super) fn new() -> Self {
        let tokenizer = Tokenizer::new(Page::default(), TokenizerOpts::default());
        Self { tokenizer, input: BufferQueue::default(), open: None, lines: 1 }
    }

    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let mut rest = piece;
        while !rest.is_empty() {
            let (step, after) = rest.split_at(next_step(rest));
            rest = after;
            self.step(step)?;
            self.tokenizer.sink.hand_over(out);
        }
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Chunker<'_>) {
        self.tokenizer.end();
        self.tokenizer.sink.reader.borrow_mut().end_block();
        self.tokenizer.sink.hand_over(out);
    }

    /// Feeds a `<` alone, or what has none. The tokenizer gives no token from the `<` of a tag to its end, and only a `<` begins one, so whatever it gives says that none is open:
    /// in scripts, comments and quoted values alike, without a second opinion of what those are.
    fn step(&mut self, text: &str) -> Result<(), FailureReason> {
        self.input.push_back(StrTendril::from_slice(text));
        // It would stop only for a script that is to be run, and the sink never asks for that.
        let _ = self.tokenizer.feed(&self.input);
        if self.tokenizer.sink.told.take() {
            self.open = None;
        }
        if text == "<" && self.open.is_none() {
            self.open = Some(OpenTag::new(self.lines));
        } else if let Some(open) = &mut self.open {
            open.read(text);
        }
        self.open.take_if(|open| open.is_nothing());
        self.lines += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let line = match &self.open {
            Some(open) if open.attributes > MAX_ATTRIBUTES => open.line,
            _ if self.tokenizer.sink.crowded.get() => self.lines,
            _ => return Ok(()),
        };
        let cause = format!(
            "line {line}: a tag has more than {MAX_ATTRIBUTES} attributes; it may be broken or not HTML at all"
        );
        Err(FailureReason::Malformed { cause })
    }
}

/// How much of a text goes to the tokenizer next: a `<` alone, or what comes before the next one.
fn next_step(text: &str) -> usize {
    if text.starts_with('<') {
        return 1;
    }
    let window = &text[..text.floor_char_boundary(STEP)];
    window.find('<').unwrap_or(window.len())
}

/// Where the tokens go.
#[derive(Default)]
struct Page {
    reader: RefCell<Reader>,
    /// Whether a token came since the last look.
    told: Cell<bool>,
    /// Whether one was a tag with too many attributes.
    crowded: Cell<bool>,
}

impl Page {
    fn hand_over(&self, out: &mut Chunker<'_>) {
        for found in self.reader.borrow_mut().found.drain(..) {
            match found {
                Found::Title(title) => out.set_title(&title),
                Found::Heading { level, text } => {
                    out.push(Block::Heading { level, title: text.trim(), text: &text });
                }
                Found::Body { shape, text, continues } => out.push(Block::Body { shape, text: &text, continues }),
            }
        }
    }
}

impl TokenSink for Page {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reader = self.reader.borrow_mut();
        // An error is told in the middle of a tag as well.
        self.told.set(self.told.get() || !matches!(token, Token::ParseError(_)));
        match token {
            Token::CharacterTokens(text) => reader.text(&text),
            Token::TagToken(tag) if tag.attrs.len() > MAX_ATTRIBUTES => self.crowded.set(true),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                reader.start(&tag);
                match &*tag.name {
                    "script" => return TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                        return TokenSinkResult::RawData(RawKind::Rawtext);
                    }
                    "title" | "textarea" => return TokenSinkResult::RawData(RawKind::Rcdata),
                    _ => {}
                }
            }
            Token::TagToken(tag) => reader.end(&tag.name),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

#[derive(Default)]
struct Reader {
    /// Open containers, outermost first: elements whose end tag may not be left out.
    open: Vec<html5ever::LocalName>,
    /// Containers that were too deep to be remembered.
    deeper: usize,
    /// The container from which on everything is dropped.
    dropped: Option<usize>,
    reading: Reading,
    /// How many of the open containers are tables.
    tables: usize,
    text: String,
    /// Whether the last block was a list item; a line is left free after the last one.
    item: bool,
    found: Vec<Found>,
}

impl Reader {
    fn start(&mut self, tag: &Tag) {
        let name = &*tag.name;
        let drops = drops(tag) && !(matches!(name, "header" | "footer") && self.within(&["main", "article"]));
        if drops || is_container(name) {
            self.end_block_at(name);
            if self.open.len() >= MAX_DEPTH {
                self.deeper += 1;
                return;
            }
            self.open.push(tag.name.clone());
            self.tables += usize::from(name == "table");
            if drops && self.dropped.is_none() {
                self.dropped = Some(self.open.len() - 1);
            }
        }
        if self.dropped.is_some() {
            return;
        }
        match name {
            "title" => {
                self.end_block();
                self.reading = Reading::Title;
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block();
                self.reading = Reading::Heading(name.as_bytes()[1] - b'0');
            }
            "pre" | "listing" => {
                self.end_block();
                self.reading = Reading::Code;
            }
            "table" => self.reading = Reading::Table,
            "tr" if self.tables > 0 => self.row(),
            "td" | "th" if self.tables > 0 => self.cell(),
            "br" if self.reading == Reading::Table => self.blank(),
            "br" => self.text.push('\n'),
            "li" => {
                self.end_block_at(name);
                self.text.push_str("- ");
            }
            _ if is_block(name) => self.end_block_at(name),
            _ => {}
        }
    }

    fn end(&mut self, name: &html5ever::LocalName) {
        if is_container(name) {
            return self.close(name);
        }
        if self.dropped.is_some() {
            return;
        }
        match &**name {
            "title" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "pre" | "listing" => self.end_block(),
            other if is_block(other) => self.end_block_at(other),
            _ => {}
        }
    }

    /// Closes the innermost open container of that name and what was left open inside it.
    fn close(&mut self, name: &html5ever::LocalName) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let reach = self.open.len().saturating_sub(MAX_CLOSED);
        let Some(found) = self.open[reach..].iter().rposition(|open| open == name) else { return };
        let tables = self.open.drain(reach + found..).filter(|open| &**open == "table").count();
        if self.dropped.is_none() {
            self.end_block_at(if tables > 0 { "table" } else { name });
        }
        self.tables -= tables;
        self.dropped = self.dropped.filter(|from| *from < self.open.len());
        if self.dropped.is_none() && self.text.is_empty() {
            self.reading = if self.tables > 0 { Reading::Table } else { Reading::Prose };
        }
    }

    fn within(&self, names: &[&str]) -> bool {
        self.open.iter().rev().take(MAX_CLOSED).any(|open| names.contains(&&**open))
    }

    fn text(&mut self, text: &str) {
        if self.dropped.is_some() {
            return;
        }
        if self.reading == Reading::Code {
            // The newline right after <pre> is not part of the code.
            self.text.push_str(if self.text.is_empty() { text.strip_prefix('\n').unwrap_or(text) } else { text });
            return self.pass_on('\n');
        }
        for c in text.chars() {
            if c.is_whitespace() && c != '\u{a0}' {
                self.blank();
                self.pass_on(' ');
            } else {
                self.text.push(c);
            }
        }
        if self.text.len() > 2 * MAX_BLOCK {
            self.pass_on_all();
        }
    }

    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    fn row(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.pass_on('\n');
    }

    fn cell(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push_str(" | ");
        }
    }

    /// Ends a block at an element; inside a cell of a table it is only a space.
    fn end_block_at(&mut self, name: &str) {
        if self.tables > 0 && self.reading == Reading::Table && name != "table" {
            self.blank();
        } else if name != "p" || self.text != "- " {
            self.end_block();
        }
    }

    fn shape(&self) -> Shape {
        if matches!(self.reading, Reading::Code | Reading::Table) { Shape::Lines } else { Shape::Prose }
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
            self.end_block();
        } else {
            let text = std::mem::take(&mut self.text);
            self.found.push(Found::Body { shape: self.shape(), text, continues: true });
        }
    }

    fn end_block(&mut self) {
        let shape = self.shape();
        let mut text = std::mem::take(&mut self.text);
        let reading = self.reading;
        self.reading = if self.tables > 0 { Reading::Table } else { Reading::Prose };
        text.truncate(text.trim_end().len());
        if text.trim_matches(['-', ' ', '|', '\n']).is_empty() {
            return;
        }
        let item = reading == Reading::Prose && text.starts_with("- ");
        if self.item && !item {
            text.insert(0, '\n');
        }
        match reading {
            Reading::Title => return self.found.push(Found::Title(text)),
            Reading::Heading(level) => {
                text.push('\n');
                self.found.push(Found::Heading { level, text });
            }
            Reading::Prose | Reading::Code | Reading::Table => {
                text.push_str(if item { "\n" } else { "\n\n" });
                self.found.push(Found::Body { shape, text, continues: false });
            }
        }
        self.item = item;
    }
}

fn is_container(name: &str) -> bool {
    matches!(
        name,
        "html" | "body" | "main" | "article" | "section" | "div" | "header" | "footer" | "nav" | "aside" | "ul" | "ol"
    ) || matches!(name, "dl" | "table" | "blockquote" | "figure" | "details" | "form" | "fieldset")
        || is_hidden(name)
}

/// Elements whose content is no text of the page.
fn is_hidden(name: &str) -> bool {
    matches!(
        name,
        "script" | "style" | "template" | "noscript" | "svg" | "iframe" | "object" | "canvas" | "select" | "button"
    ) || matches!(name, "textarea" | "datalist" | "dialog" | "audio" | "video" | "xmp" | "noembed" | "noframes")
}

/// Whether an element and everything in it is dropped.
fn drops(tag: &Tag) -> bool {
    let name = &*tag.name;
    let attribute = |wanted: &str| tag.attrs.iter().find(|a| &*a.name.local == wanted).map(|a| &*a.value);
    let framed = is_container(name)
        && (attribute("hidden").is_some()
            || attribute("aria-hidden") == Some("true")
            || matches!(attribute("role"), Some("navigation" | "banner" | "contentinfo" | "search" | "complementary")));
    framed || is_hidden(name) || matches!(name, "nav" | "aside" | "header" | "footer")
}

fn is_block(name: &str) -> bool {
    matches!(name, "p" | "li" | "dt" | "dd" | "hr" | "caption" | "figcaption" | "summary" | "legend" | "address")
        || matches!(name, "tr" | "td" | "th" | "thead" | "tbody" | "tfoot" | "head" | "option" | "center")
}

#[cfg(test)]
mod tests;
