//! Pieces to lines, and lines to blocks of bounded length; what the line-based formats share.
//!
//! Where lines are cut depends on the text alone, never on how it came in pieces.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::ingest::chunk::{Block, Chunker, Shape};

/// Bytes of a block that are held; a longer one is passed on in parts.
pub(super) const MAX_BLOCK: usize = 16 * 1024;
/// Bytes after a cut that are looked at to find the end of a grapheme.
const LOOKAHEAD: usize = 1024;

/// What a line-based format does with a line.
pub(in crate::ingest) trait LineParser: Default {
    /// Takes a line with its end. One that is longer than [`MAX_BLOCK`] comes in parts, of which only the first `starts` it.
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>);

    /// Ends the document.
    fn end(&mut self, out: &mut Chunker<'_>);
}

/// Feeds lines to a parser.
#[derive(Default)]
pub(in crate::ingest) struct Lines<P> {
    parser: P,
    pending: String,
    within: bool,
}

impl<P: LineParser> Lines<P> {
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) {
        self.pending.push_str(piece);
        let mut done = 0;
        loop {
            let rest = &self.pending[done..];
            let window = floor(rest, MAX_BLOCK + LOOKAHEAD);
            let end = match rest.as_bytes()[..window].iter().position(|b| *b == b'\n') {
                Some(newline) => newline + 1,
                None if rest.len() >= MAX_BLOCK + LOOKAHEAD => cut(&rest[..window]),
                None => break,
            };
            self.parser.line(&rest[..end], !self.within, out);
            self.within = !rest[..end].ends_with('\n');
            done += end;
        }
        self.pending.drain(..done);
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) {
        if !self.pending.is_empty() {
            self.parser.line(&self.pending, !self.within, out);
        }
        self.parser.end(out);
    }
}

/// The text in parts that can be held, cut where a line that is too long would be.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = if rest.len() > MAX_BLOCK { cut(&rest[..floor(rest, MAX_BLOCK + LOOKAHEAD)]) } else { rest.len() };
        let part;
        (part, rest) = rest.split_at(end);
        (!part.is_empty()).then_some(part)
    })
}

/// Gives a text to the chunker, a long one in parts; the last one ends its block.
pub(super) fn push(text: &str, shape: Shape, out: &mut Chunker<'_>) {
    let mut parts = parts(text).peekable();
    while let Some(text) = parts.next() {
        out.push(Block::Body { shape, text, continues: parts.peek().is_some() });
    }
}

/// Where to cut a line that is too long: after the last space of its second half, else between graphemes, else between characters.
fn cut(window: &str) -> usize {
    let most = floor(window, MAX_BLOCK);
    let mut grapheme = 0;
    let mut space = 0;
    for (at, part) in window.grapheme_indices(true) {
        let end = at + part.len();
        if end > most {
            break;
        }
        grapheme = end;
        if part.chars().all(char::is_whitespace) {
            space = end;
        }
    }
    [space, grapheme].into_iter().find(|end| *end >= most / 2).unwrap_or(most)
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Lines of the block that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Held {
    pub(super) text: String,
    /// Whether a part of the block was passed on already.
    pub(super) passed: bool,
}

impl Held {
    /// Adds a line; passes on what is too long to be held.
    pub(super) fn add(&mut self, line: &str, shape: Shape, out: &mut Chunker<'_>) {
        if self.text.len() + line.len() > MAX_BLOCK && !self.text.is_empty() {
            out.push(Block::Body { shape, text: &self.text, continues: true });
            self.text.clear();
            self.passed = true;
        }
        self.text.push_str(line);
    }

    /// Ends the block.
    pub(super) fn end(&mut self, shape: Shape, out: &mut Chunker<'_>) {
        if !self.text.is_empty() {
            out.push(Block::Body { shape, text: &self.text, continues: false });
        }
        self.clear();
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.passed = false;
    }
}
