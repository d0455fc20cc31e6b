//! Splits a block that is above the limits into units that are not: sentences or lines, then words, then pieces of words; pure.
//!
//! Guarantee: the units are the block, in order, and a boundary is never inside a grapheme unless that grapheme alone is above the limits.

use unicode_segmentation::UnicodeSegmentation as _;

use super::chunk::{Limits, Shape};
use crate::sentences::sentences;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) bytes: usize,
    pub(super) tokens: usize,
    pub(super) level: Level,
}

/// What ends a line, by the rules of Unicode.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

type Count<'c> = &'c (dyn Fn(&str) -> usize + 'c);

/// The block as units within `limits`; the last one ends at `level`.
pub(super) fn explode(text: &str, shape: Shape, level: Level, limits: Limits, count: Count<'_>) -> Vec<Unit> {
    let mut units = Vec::new();
    let tokens = count(text);
    if limits.hold(tokens, text.len()) {
        return vec![Unit { bytes: text.len(), tokens, level }];
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
        Shape::Lines => {
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
        units.push(Unit { bytes: text.len(), tokens, level });
        return;
    }
    for word in at_graphemes(text, text.split_word_bounds()) {
        let tokens = count(word);
        if limits.hold(tokens, word.len()) {
            units.push(Unit { bytes: word.len(), tokens, level: Level::Word });
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
            units.push(Unit { bytes: piece.len(), tokens, level: Level::Piece });
            return;
        }
        for grapheme in piece.graphemes(true) {
            let tokens = count(grapheme);
            if limits.hold(tokens, grapheme.len()) {
                units.push(Unit { bytes: grapheme.len(), tokens, level: Level::Piece });
            } else {
                units.extend(grapheme.chars().map(|c| Unit { bytes: c.len_utf8(), tokens: 1, level: Level::Piece }));
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
