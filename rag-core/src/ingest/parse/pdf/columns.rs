//! Columns: which lines stand beside each other and are read one column after the other. Pure.
//!
//! A table looks like columns, and is read line by line. Columns are lines of prose on both sides of a gap that runs through three lines or more: drawn one side after the other, or with sentences that go on
//! below. Whatever a ruled line crosses is a table.

use super::layout::{Row, Rule, Word};

/// Width of a gap, in heights of letters, that may part columns.
const GAP: f64 = 0.9;
/// Lines of each side that make a column.
const LINES: usize = 3;
/// Letters of a line of prose in a column.
const LETTERS: usize = 12;
/// Part of the lines of a column that go on with the sentence of the line before.
const GOES_ON: f64 = 0.4;
/// Places across the page at which a gap is looked for.
const PLACES: usize = 256;
/// Gaps that are tried, those that the fewest lines cross first.
const TRIES: usize = 8;
/// How often columns are parted again.
const DEPTH: usize = 4;

/// Lines in the order of reading, those of one column together.
pub(super) fn blocks(rows: Vec<Row>, rules: &[Rule]) -> Vec<Vec<Row>> {
    let mut blocks = Vec::new();
    part(rows, rules, DEPTH, &mut blocks);
    blocks
}

fn part(rows: Vec<Row>, rules: &[Rule], depth: usize, blocks: &mut Vec<Vec<Row>>) {
    let best = if depth == 0 { None } else { best(&rows, rules) };
    let Some((at, bands)) = best else {
        blocks.extend((!rows.is_empty()).then_some(rows));
        return;
    };
    let mut rows = rows.into_iter();
    let mut done = 0;
    for (from, to) in bands {
        part(rows.by_ref().take(from - done).collect(), rules, depth - 1, blocks);
        let (left, right): (Vec<_>, Vec<_>) = rows.by_ref().take(to - from).map(|row| row.parted(at)).unzip();
        done = to;
        for side in [left, right] {
            let side = side.into_iter().filter(|row| !row.words.is_empty()).collect();
            part(side, rules, depth - 1, blocks);
        }
    }
    part(rows.collect(), rules, depth - 1, blocks);
}

/// A place where lines are parted, and the lines from and to which they are.
type Parting = (f64, Vec<(usize, usize)>);

/// The gap that parts the most lines.
fn best(rows: &[Row], rules: &[Rule]) -> Option<Parting> {
    let partings = gaps(rows).into_iter().filter_map(|at| {
        let bands = bands(rows, at, rules);
        let lines: usize = bands.iter().map(|(from, to)| to - from).sum();
        (lines > 0).then_some((lines, (at, bands)))
    });
    // Of gaps that part as many lines the first one is the left one.
    let most = partings.fold(None, |best: Option<(usize, Parting)>, next| match best {
        Some(best) if best.0 >= next.0 => Some(best),
        _ => Some(next),
    });
    most.map(|(_, parting)| parting)
}

/// Places that few lines cross, from left to right.
fn gaps(rows: &[Row]) -> Vec<f64> {
    let from = rows.iter().flat_map(|row| row.words.first()).map(|word| word.from).fold(f64::MAX, f64::min);
    let to = rows.iter().flat_map(|row| row.words.last()).map(|word| word.to).fold(f64::MIN, f64::max);
    let step = (to - from) / PLACES as f64;
    if step.is_nan() || step <= 0.0 {
        return Vec::new();
    }
    let place = |x: f64| (((x - from) / step) as usize).min(PLACES - 1);
    let mut changes = vec![0_i64; PLACES + 1];
    for run in rows.iter().flat_map(runs) {
        changes[place(run.0)] += 1;
        changes[place(run.1) + 1] -= 1;
    }
    let crossing: Vec<i64> = changes[..PLACES]
        .iter()
        .scan(0, |sum, change| {
            *sum += change;
            Some(*sum)
        })
        .collect();
    // A gap is a stretch with more lines on both sides than cross it.
    let mut found: Vec<(i64, f64)> = Vec::new();
    let mut at = 0;
    while at < PLACES {
        let end = at + crossing[at..].iter().take_while(|lines| **lines == crossing[at]).count();
        let is_lowest = at > 0 && end < PLACES && crossing[at - 1] > crossing[at] && crossing[end] > crossing[at];
        if is_lowest {
            found.push((crossing[at], from + step * (at + end) as f64 / 2.0));
        }
        at = end;
    }
    found.sort_by_key(|(lines, _)| *lines);
    found.truncate(TRIES);
    found.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    found.into_iter().map(|(_, at)| at).collect()
}

/// Stretches of a line without a gap.
fn runs(row: &Row) -> Vec<(f64, f64)> {
    let mut runs: Vec<(f64, f64)> = Vec::new();
    for Word { from, to, .. } in &row.words {
        match runs.last_mut() {
            Some(run) if from - run.1 <= GAP * row.size => run.1 = run.1.max(*to),
            _ => runs.push((*from, *to)),
        }
    }
    runs
}

impl Row {
    fn crosses(&self, at: f64) -> bool {
        runs(self).iter().any(|(from, to)| *from < at && at < *to)
    }

    /// What stands left and right of a gap.
    fn parted(self, at: f64) -> (Self, Self) {
        let (left, right) = self.words.into_iter().partition(|word| word.from < at);
        (Self { words: left, ..self }, Self { words: right, y: self.y, size: self.size })
    }
}

/// Where lines that do not cross a gap follow each other and are columns on both sides of it.
fn bands(rows: &[Row], at: f64, rules: &[Rule]) -> Vec<(usize, usize)> {
    let (mut bands, mut from) = (Vec::new(), 0);
    while from < rows.len() {
        let lines = rows[from..].iter().take_while(|row| !row.crosses(at)).count();
        if lines >= LINES && are_columns(&rows[from..from + lines], at, rules) {
            bands.push((from, from + lines));
        }
        from += lines.max(1);
    }
    bands
}

/// Lines of one side of a gap.
struct Side<'r> {
    lines: Vec<(f64, Vec<&'r Word>)>,
}

impl<'r> Side<'r> {
    fn of(rows: &'r [Row], is_in: impl Fn(&Word) -> bool) -> Self {
        let line = |row: &'r Row| (row.y, row.words.iter().filter(|word| is_in(word)).collect::<Vec<_>>());
        Self { lines: rows.iter().map(line).filter(|(_, words)| !words.is_empty()).collect() }
    }

    /// The first and the last line.
    fn extent(&self) -> Option<(f64, f64)> {
        Some((self.lines.first()?.0, self.lines.last()?.0))
    }

    fn within(&mut self, from: f64, to: f64) {
        self.lines.retain(|(y, _)| (from..=to).contains(y));
    }

    /// Whether half of the lines are as long as those of prose.
    fn is_prose(&self) -> bool {
        let letters = |words: &Vec<&Word>| words.iter().map(|word| word.text.chars().count()).sum::<usize>();
        let is_long =
            |words: &&Vec<&Word>| words.len() > 1 && letters(words) >= LETTERS || letters(words) >= 2 * LETTERS;
        2 * self.lines.iter().map(|(_, words)| words).filter(is_long).count() >= self.lines.len()
    }

    /// Whether its lines go on with the sentences of the lines before; of scripts without small letters all do.
    fn goes_on(&self) -> bool {
        let goes_on = |(_, words): &&(f64, Vec<&Word>)| {
            words
                .first()
                .and_then(|word| word.text.chars().next())
                .is_some_and(|c| c.is_lowercase() || is_without_case(c))
        };
        let lines = self.lines.iter().skip(1);
        let all = lines.len();
        lines.filter(goes_on).count() as f64 >= GOES_ON * all as f64
    }
}

fn is_without_case(c: char) -> bool {
    c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase()
}

fn are_columns(rows: &[Row], at: f64, rules: &[Rule]) -> bool {
    let mut sides = [Side::of(rows, |word| word.from < at), Side::of(rows, |word| word.from >= at)];
    let [Some(left), Some(right)] = [sides[0].extent(), sides[1].extent()] else { return false };
    let size = rows.iter().map(|row| row.size).fold(0.0, f64::max);
    // What stands above or below the other side says nothing.
    let (from, to) = (left.0.max(right.0) - size, left.1.min(right.1) + size);
    sides.iter_mut().for_each(|side| side.within(from, to));
    let [left, right] = &sides;
    if left.lines.len() < LINES || right.lines.len() < LINES || !left.is_prose() || !right.is_prose() {
        return false;
    }
    let is_inside = |rule: &&Rule| rule.from < at && at < rule.to && from + size < rule.y && rule.y < to - size;
    if rules.iter().filter(is_inside).count() >= 2 {
        return false;
    }
    is_drawn_apart(left, right) || left.goes_on() && right.goes_on()
}

/// Whether one side was drawn after the other, and not both line by line.
fn is_drawn_apart(left: &Side<'_>, right: &Side<'_>) -> bool {
    let drawn = |side: &Side<'_>, is_left: bool| {
        side.lines.iter().flat_map(|(_, words)| words.iter().map(move |word| (word.drawn, is_left))).collect::<Vec<_>>()
    };
    let mut words = drawn(left, true);
    words.extend(drawn(right, false));
    words.sort_unstable();
    let changes = words.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    changes <= 1 + (left.lines.len() + right.lines.len()) / 8
}
