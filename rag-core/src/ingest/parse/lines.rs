//! Pieces to lines, and lines to blocks of bounded length; what the line-based formats share.
//!
//! Where lines are cut depends on the text alone, never on how it came in pieces.

use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    split::{LOOKAHEAD, cut},
};

pub(super) use crate::ingest::split::{MAX_BLOCK, parts};

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
            let window = rest.floor_char_boundary(MAX_BLOCK + LOOKAHEAD);
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

/// Gives a text to the chunker, a long one in parts, of a table whole rows where they can be held; the last one ends its block.
pub(super) fn push(text: &str, shape: Shape, out: &mut Chunker<'_>) {
    if matches!(shape, Shape::Table { .. } | Shape::Rows) {
        let mut held = Held::default();
        held.add_lines(text, shape, out);
        return held.end_lines(shape, out);
    }
    let mut parts = parts(text).peekable();
    let mut shape = shape;
    while let Some(text) = parts.next() {
        out.push(Block::Body { shape, text, continues: parts.peek().is_some() });
        shape = shape.going_on();
    }
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

    /// Adds whole lines, and of one that is too long the parts.
    pub(super) fn add_lines(&mut self, text: &str, shape: Shape, out: &mut Chunker<'_>) {
        for part in text.split_inclusive('\n').flat_map(parts) {
            let shape = if self.passed { shape.going_on() } else { shape };
            self.add(part, shape, out);
        }
    }

    /// Ends the block of lines.
    pub(super) fn end_lines(&mut self, shape: Shape, out: &mut Chunker<'_>) {
        let shape = if self.passed { shape.going_on() } else { shape };
        self.end(shape, out);
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
