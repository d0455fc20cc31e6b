//! HTML: the text that a reader sees, from the tokens of a browser-grade tokenizer.
//!
//! No tree is built, so that deep nesting costs neither stack nor more than linear time. Scripts, styles, navigation, the page's frame (header, footer, aside), and what is hidden or deleted are dropped;
//! headings, lists, preformatted code and the rows of tables are kept apart. It may not fetch or run anything.
//!
//! `element` says what elements are, `reader` which are open and what each begins and ends, `flow` what becomes of texts and blocks, `cells` and `table` of tables; beside this folder, `mathml` and `script` write on a
//! line what is printed above and below it.

mod cells;
mod element;
mod flow;
mod reader;
mod table;
mod tag;

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use self::{
    reader::{Found, Reader},
    tag::OpenTag,
};
use crate::ingest::chunk::{Block, Chunker};
use crate::ingest::failure::FailureReason;

/// Attributes that a tag may have; the richest of ordinary pages have some dozens. The tokenizer compares each with all before it.
const MAX_ATTRIBUTES: usize = 1000;
/// Bytes that go to the tokenizer at once: few enough that the attributes in them cost little even in a tag that has too many.
const STEP: usize = 2 * 1024;

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
        self.tokenizer.sink.reader.borrow_mut().finish();
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
            Token::CharacterTokens(text) => reader.take_text(&text),
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

#[cfg(test)]
mod tests;
