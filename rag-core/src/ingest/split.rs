//! Splits a block that is above the limits into units that are not: sentences or lines, then words, then pieces of words; pure.
//!
//! Texts that are too long to be held whole are cut into parts before that, by their length alone.
//!
//! Guarantee: the units are the block, in order, and a boundary is never inside a grapheme unless that grapheme alone is above the limits.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    chunk::{Limits, Shape},
    table::Place,
};
use crate::sentences::sentences;

/// Bytes of a block that are held; a longer one is passed on in parts.
pub(super) const MAX_BLOCK: usize = 16 * 1024;
/// Bytes after a cut that are looked at to find the end of a grapheme.
pub(super) const LOOKAHEAD: usize = 1024;

/// Bytes of a piece of a word that is too long: short enough to be within any sensible token limit.
const PIECE_BYTES: usize = 64;

/// How good a place for a cut the end of a unit is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// After a heading: it belongs to what follows.
    Never,
    /// Inside a word.
    Piece,
    /// Between words.
    Word,
    /// At the end of a line.
    Line,
    /// At the end of a sentence, or at a blank line in code.
    Sentence,
    /// At the end of a paragraph, list item, table or code block.
    Block,
}

/// A piece of text that is not cut.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) bytes: usize,
    pub(super) tokens: usize,
    pub(super) level: Level,
    pub(super) place: Place,
}

impl Unit {
    fn new(bytes: usize, tokens: usize, level: Level) -> Self {
        Self { bytes, tokens, level, place: Place::Free }
    }
}

/// What ends a line, by the rules of Unicode.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

pub(super) type Count<'c> = &'c (dyn Fn(&str) -> usize + 'c);
/// How much a unit may hold, and what counts it.
pub(super) type Measure<'c> = (Limits, Count<'c>);

/// The block as units within the limits; the last one ends at `level`.
pub(super) fn explode(text: &str, shape: Shape, level: Level, (limits, count): Measure<'_>) -> Vec<Unit> {
    let mut units = Vec::new();
    let tokens = count(text);
    if limits.hold(tokens, text.len()) {
        return vec![Unit::new(text.len(), tokens, level)];
    }
    match shape {
        Shape::Prose => {
            for sentence in at_graphemes(text, sentences(text).into_iter()) {
                let lines = at_graphemes(sentence, sentence.split_inclusive(LINE_ENDS));
                for (left, line) in (0..lines.len()).rev().zip(lines) {
                    let level = if left == 0 { Level::Sentence } else { line_level(line) };
                    add(line, level, limits, count, &mut units);
                }
            }
        }
        Shape::Lines | Shape::Table { .. } | Shape::Rows => {
            for line in text.split_inclusive('\n') {
                let level = if line.trim().is_empty() { Level::Sentence } else { Level::Line };
                add(line, level, limits, count, &mut units);
            }
        }
    }
    if let Some(last) = units.last_mut() {
        last.level = level;
    }
    units
}

/// Adds a sentence or a line, by its words where it is too long.
fn add(text: &str, level: Level, limits: Limits, count: Count<'_>, units: &mut Vec<Unit>) {
    let tokens = count(text);
    if limits.hold(tokens, text.len()) {
        units.push(Unit::new(text.len(), tokens, level));
        return;
    }
    for word in at_graphemes(text, text.split_word_bounds()) {
        let tokens = count(word);
        if limits.hold(tokens, word.len()) {
            units.push(Unit::new(word.len(), tokens, Level::Word));
        } else {
            add_pieces(word, limits, count, units);
        }
    }
    if let Some(last) = units.last_mut() {
        last.level = level;
    }
}

/// Adds a word in pieces of whole graphemes; a grapheme above the limits falls apart into characters, of which each counts as within them.
fn add_pieces(word: &str, limits: Limits, count: Count<'_>, units: &mut Vec<Unit>) {
    let (mut start, mut end) = (0, 0);
    let mut push = |piece: &str| {
        let tokens = count(piece);
        if limits.hold(tokens, piece.len()) {
            units.push(Unit::new(piece.len(), tokens, Level::Piece));
            return;
        }
        for grapheme in piece.graphemes(true) {
            let tokens = count(grapheme);
            if limits.hold(tokens, grapheme.len()) {
                units.push(Unit::new(grapheme.len(), tokens, Level::Piece));
            } else {
                units.extend(grapheme.chars().map(|c| Unit::new(c.len_utf8(), 1, Level::Piece)));
            }
        }
    };
    for (at, grapheme) in word.grapheme_indices(true) {
        if end > start && at + grapheme.len() - start > PIECE_BYTES {
            push(&word[start..end]);
            start = end;
        }
        end = at + grapheme.len();
    }
    push(&word[start..end]);
}

/// The parts, with those merged whose boundary falls inside a grapheme (Unicode's word and sentence rules know a few such places).
fn at_graphemes<'t>(text: &'t str, parts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut graphemes = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    let (mut start, mut end, mut boundary) = (0, 0, 0);
    let mut merged = Vec::new();
    for part in parts {
        end += part.len();
        while boundary < end {
            match graphemes.next() {
                Some(next) => boundary = next,
                None => break,
            }
        }
        if boundary == end {
            merged.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        merged.push(&text[start..]);
    }
    merged
}

/// Hard-wrapped prose goes on at the end of a line, unless something is announced there.
fn line_level(line: &str) -> Level {
    if line.trim_end().ends_with(':') { Level::Sentence } else { Level::Line }
}

/// The text in parts that can be held, cut where a line that is too long would be.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = if rest.len() > MAX_BLOCK {
            cut(&rest[..rest.floor_char_boundary(MAX_BLOCK + LOOKAHEAD)])
        } else {
            rest.len()
        };
        let part;
        (part, rest) = rest.split_at(end);
        (!part.is_empty()).then_some(part)
    })
}

/// Where to cut a line that is too long: after the last space of its second half, else between graphemes, else between characters.
pub(super) fn cut(window: &str) -> usize {
    let most = window.floor_char_boundary(MAX_BLOCK);
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
