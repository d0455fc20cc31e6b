//! From letters where they stand on a page to words, lines, columns and paragraphs. Pure.
//!
//! Letters are read in the direction in which they are written, whichever that is; what is written in another one is read apart. Time is linear in their number, but for sorting.

use std::collections::HashMap;

use super::{columns, turned};

/// Part of a letter's height by which lines may differ that are one.
const SAME_LINE: f64 = 0.3;
/// The same for letters that are smaller, such as exponents.
const RAISED: f64 = 0.55;
/// Part of the line's letters' height below which letters are smaller.
const SMALLER: f64 = 0.85;
/// Part of a letter's height between two letters that is a space.
const SPACE: f64 = 0.15;
/// The same where spaces are drawn as letters.
const WIDE_SPACE: f64 = 0.3;
/// Part of its width and height by which the same letter stands off that is drawn once more, to look bold.
const TWICE: f64 = 0.35;
/// Line distances above which a paragraph ends.
const PARAGRAPH: f64 = 1.35;
/// Line distance, in heights of letters, above which one does whatever the other lines have.
const FAR: f64 = 2.6;
/// Lines above and below a line that are looked at whether they are part of it. Exponents and accents stand on few.
const NEAR: usize = 64;
/// Lines from which on their distance is the usual one.
const USUAL: usize = 6;
/// Line distance, in heights of letters, that is the usual one at most where few lines tell.
const USUAL_HEIGHTS: f64 = 1.5;
/// Heights of letters that differ so much are not of one paragraph.
const OTHER_SIZE: f64 = 1.2;
/// Part of a letter's height by which lines end at the same place.
const FLUSH: f64 = 0.15;

/// A letter, or several that are drawn as one, where it stands on the page; `y` goes down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glyph {
    pub(super) text: String,
    pub(super) x: f64,
    pub(super) y: f64,
    /// Where the next letter goes, as a step of length 1.
    pub(super) along: (f64, f64),
    /// How far.
    pub(super) width: f64,
    /// Height of the line that it asks for.
    pub(super) size: f64,
}

/// A line that is ruled across the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) y: f64,
}

/// Lines that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paragraph {
    pub(super) lines: Vec<String>,
    /// Whether its lines are filled up to one edge, so that words are divided at their ends.
    pub(super) flush: bool,
}

/// A word on its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) from: f64,
    pub(super) to: f64,
    /// When it was drawn.
    pub(super) drawn: usize,
}

/// Words on one line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) words: Vec<Word>,
}

/// The text of a page.
pub(super) fn paragraphs(glyphs: Vec<Glyph>, rules: &[Rule]) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    for (along, glyphs) in by_direction(glyphs) {
        // Ruled lines are known of upright pages alone.
        let rules = if along == (1.0, 0.0) { rules } else { &[] };
        let rows = rows(once(upright(glyphs, along)));
        for block in columns::blocks(rows, rules) {
            let mut paragraphs = of_block(block).into_iter();
            // A column may end within a sentence.
            if let (Some(last), Some(next)) = (found.last_mut(), paragraphs.as_slice().first())
                && goes_on(last, next)
            {
                last.lines.extend(paragraphs.next().into_iter().flat_map(|next| next.lines));
            }
            found.extend(paragraphs);
        }
    }
    found
}

/// Whether a paragraph goes on with the sentence of the one before.
fn goes_on(last: &Paragraph, next: &Paragraph) -> bool {
    let ends =
        |line: &String| line.trim_end().ends_with(|c: char| !c.is_alphanumeric() && !matches!(c, ',' | '-' | '\u{ad}'));
    let begins = |line: &String| line.starts_with(char::is_lowercase);
    !last.lines.last().is_none_or(ends) && next.lines.first().is_some_and(begins)
}

/// Letters by the direction in which they are written, that of the most first.
fn by_direction(glyphs: Vec<Glyph>) -> Vec<((f64, f64), Vec<Glyph>)> {
    /// Degrees within which a direction is the same.
    const DEGREES: f64 = 5.0;
    let mut groups: HashMap<i32, Vec<Glyph>> = HashMap::new();
    for glyph in glyphs {
        let degrees = glyph.along.1.atan2(glyph.along.0).to_degrees();
        let step = (degrees / DEGREES).round() as i32;
        groups.entry(step.rem_euclid((360.0 / DEGREES) as i32)).or_default().push(glyph);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(step, glyphs)| (std::cmp::Reverse(glyphs.len()), *step));
    let direction = |step: i32| match step {
        0 => (1.0, 0.0),
        18 => (0.0, 1.0),
        36 => (-1.0, 0.0),
        54 => (0.0, -1.0),
        _ => {
            let (sin, cos) = (f64::from(step) * DEGREES).to_radians().sin_cos();
            (cos, sin)
        }
    };
    groups.into_iter().map(|(step, glyphs)| (direction(step), glyphs)).collect()
}

/// The page turned so that what is written in this direction goes to the right.
fn upright(mut glyphs: Vec<Glyph>, (cos, sin): (f64, f64)) -> Vec<Glyph> {
    for glyph in &mut glyphs {
        (glyph.x, glyph.y) = (glyph.x * cos + glyph.y * sin, glyph.y * cos - glyph.x * sin);
    }
    glyphs
}

/// Without the letters that stand where the same one stands already.
fn once(glyphs: Vec<Glyph>) -> Vec<(usize, Glyph)> {
    let mut seen: HashMap<(String, i64, i64), Vec<(f64, f64)>> = HashMap::new();
    let mut left = Vec::with_capacity(glyphs.len());
    for (drawn, glyph) in glyphs.into_iter().enumerate() {
        let (wide, high) = (TWICE * glyph.width.max(0.1 * glyph.size), TWICE * glyph.size);
        // Whoever stands that near is in the same cell or one beside it.
        let cell = |place: f64, size: f64| (place / size).floor() as i64;
        let (column, line) = (cell(glyph.x, wide), cell(glyph.y, high));
        let near = |(x, y): &(f64, f64)| (x - glyph.x).abs() <= wide && (y - glyph.y).abs() <= high;
        let around = (column - 1..=column + 1).flat_map(|column| (line - 1..=line + 1).map(move |line| (column, line)));
        let mut key = (glyph.text, 0, 0);
        let mut is_there = false;
        for (column, line) in around {
            (key.1, key.2) = (column, line);
            is_there |= seen.get(&key).is_some_and(|places| places.iter().any(near));
        }
        if is_there {
            continue;
        }
        (key.1, key.2) = (column, line);
        let text = key.0.clone();
        seen.entry(key).or_default().push((glyph.x, glyph.y));
        left.push((drawn, Glyph { text, ..glyph }));
    }
    left
}

/// Letters on one line, and how much they are.
struct Line {
    y: f64,
    size: f64,
    weight: f64,
    glyphs: Vec<(usize, Glyph)>,
}

/// Puts letters on lines: the fullest lines first, which take in what stands a little higher or lower beside them.
fn rows(mut glyphs: Vec<(usize, Glyph)>) -> Vec<Row> {
    glyphs.sort_by(|(_, a), (_, b)| a.y.total_cmp(&b.y));
    let mut lines: Vec<Line> = Vec::new();
    for (drawn, glyph) in glyphs {
        let weight = glyph.width.max(0.1 * glyph.size);
        match lines.last_mut() {
            Some(line) if glyph.y - line.y <= 0.05 * glyph.size.min(line.size) => {
                line.size = line.size.max(glyph.size);
                line.weight += weight;
                line.glyphs.push((drawn, glyph));
            }
            _ => lines.push(Line { y: glyph.y, size: glyph.size, weight, glyphs: vec![(drawn, glyph)] }),
        }
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| lines[*b].weight.total_cmp(&lines[*a].weight));
    let mut taken = vec![false; lines.len()];
    let mut rows = Vec::new();
    for main in order {
        if std::mem::replace(&mut taken[main], true) {
            continue;
        }
        let (y, size) = (lines[main].y, lines[main].size);
        let mut on_it = std::mem::take(&mut lines[main].glyphs);
        let is_near = |at: &usize| (lines[*at].y - y).abs() <= RAISED * size;
        let above = (0..main).rev().take(NEAR).take_while(is_near);
        let beside: Vec<usize> = above.chain((main + 1..lines.len()).take(NEAR).take_while(is_near)).collect();
        for at in beside {
            let line = &mut lines[at];
            let off = (line.y - y).abs();
            let belongs = off <= SAME_LINE * size.min(line.size) || line.size <= SMALLER * size;
            if belongs && !std::mem::replace(&mut taken[at], true) {
                on_it.append(&mut line.glyphs);
            }
        }
        rows.push(Row { y, size, words: words(on_it, y) });
    }
    rows.retain(|row| !row.words.is_empty());
    rows.sort_by(|a, b| a.y.total_cmp(&b.y));
    rows
}

/// Puts the letters of a line into words.
fn words(mut glyphs: Vec<(usize, Glyph)>, y: f64) -> Vec<Word> {
    glyphs.sort_by(|(drawn_a, a), (drawn_b, b)| a.x.total_cmp(&b.x).then(drawn_a.cmp(drawn_b)));
    let is_blank = |glyph: &Glyph| glyph.text.chars().all(char::is_whitespace);
    let gap = if glyphs.iter().any(|(_, glyph)| is_blank(glyph)) { WIDE_SPACE } else { SPACE };
    let mut words: Vec<Word> = Vec::new();
    let mut last: Option<(f64, bool, f64)> = None;
    let mut blank = true;
    for (drawn, glyph) in glyphs {
        if is_blank(&glyph) {
            blank = true;
            continue;
        }
        let to = glyph.x + glyph.width;
        let digit = glyph.text.starts_with(|c: char| c.is_ascii_digit());
        let apart = last.is_none_or(|(size, was_digit, was_y)| {
            let end = words.last().map_or(f64::MIN, |word| word.to);
            // An exponent is no further digit of its base.
            let raised = digit && was_digit && (glyph.y - was_y).abs() > 0.2 * size.max(glyph.size);
            glyph.x - end > gap * size.max(glyph.size) || raised
        });
        last = Some((glyph.size, glyph.text.ends_with(|c: char| c.is_ascii_digit()), glyph.y));
        match words.last_mut() {
            Some(word) if !apart && !blank => {
                word.text.push_str(&glyph.text);
                word.to = word.to.max(to);
                word.drawn = word.drawn.min(drawn);
            }
            _ => words.push(Word { text: glyph.text, from: glyph.x, to, drawn }),
        }
        blank = false;
    }
    debug_assert!(y.is_finite(), "letters without a place are left out before");
    words
}

/// Cuts lines that stand below each other into paragraphs.
fn of_block(rows: Vec<Row>) -> Vec<Paragraph> {
    let usual = usual_distance(&rows);
    let flush = is_flush(&rows);
    let mut found: Vec<Paragraph> = Vec::new();
    let mut last: Option<(f64, f64)> = None;
    for row in rows {
        let ends = last.is_none_or(|(y, size)| {
            let (below, larger) = (row.y - y, size.max(row.size));
            let other = larger > OTHER_SIZE * size.min(row.size);
            other || below > PARAGRAPH * usual || below > FAR * larger
        });
        last = Some((row.y, row.size));
        let line = turned::line(&row.words);
        match found.last_mut() {
            Some(paragraph) if !ends => paragraph.lines.push(line),
            _ => found.push(Paragraph { lines: vec![line], flush }),
        }
    }
    found
}

/// The distance of lines in a block: the one in the middle.
fn usual_distance(rows: &[Row]) -> f64 {
    let mut distances: Vec<f64> = rows.windows(2).map(|pair| pair[1].y - pair[0].y).collect();
    distances.sort_by(f64::total_cmp);
    let Some(middle) = distances.get(distances.len() / 2) else { return f64::MAX };
    let largest = rows.iter().map(|row| row.size).fold(0.0, f64::max);
    if rows.len() > USUAL { *middle } else { middle.min(USUAL_HEIGHTS * largest) }
}

/// Whether half of the lines, and three at least, end at the edge.
fn is_flush(rows: &[Row]) -> bool {
    let end = |row: &Row| row.words.last().map_or(f64::MIN, |word| word.to);
    let edge = rows.iter().map(end).fold(f64::MIN, f64::max);
    let full = rows.iter().filter(|row| edge - end(row) <= FLUSH * row.size).count();
    full >= 3 && 2 * full >= rows.len()
}
