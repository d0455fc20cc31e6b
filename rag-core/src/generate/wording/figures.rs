//! The figures of a text: numbers in digits and in words, with their units and bounds; dates and times of day.

use super::{
    bounds::{self, Bound},
    numerals,
    units::{self, Dimension, Unit},
    words::{Shape, Word},
};

/// Words behind a number within which its unit stands: `7 full calendar days`.
const UNIT_WITHIN: usize = 3;

/// A number that a text states.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    /// What it may be worth: `1.500` is one thing in English and another in German.
    pub(super) values: Vec<f64>,
    pub(super) unit: Option<Unit>,
    pub(super) bound: Bound,
    /// The stem of what is counted, where no unit says it.
    pub(super) counted: Option<String>,
    /// May be no number: `one` of those that are meant.
    pub(super) loose: bool,
    /// The words that state it, from and to, the latter excluded.
    pub(super) at: (usize, usize),
}

/// The figures of a text in their order.
pub(super) fn figures(words: &[Word]) -> Vec<Figure> {
    let mut found: Vec<Figure> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let stated = date(words, at).or_else(|| clock(words, at));
        let stated = stated.or_else(|| plain(words, at).or_else(|| article(words, at)).map(|one| vec![one]));
        match stated {
            Some(stated) => {
                at = stated.iter().map(|figure| figure.at.1).max().unwrap_or(at).max(at + 1);
                found.extend(stated);
            }
            None => at += 1,
        }
    }
    share_units(words, &mut found);
    for at in 0..found.len() {
        let from = if at > 0 { found[at - 1].at.1 } else { 0 };
        let to = found.get(at + 1).map_or(words.len(), |next| next.at.0);
        let (start, end) = found[at].at;
        found[at].bound = bounds::bound(&words[from.min(start)..start], &words[end..to.max(end)]);
    }
    found
}

/// Whether a text with these words and figures states a figure.
pub(super) fn states(figure: &Figure, held: &[Figure], words: &[Word]) -> bool {
    figure.loose || held.iter().any(|other| figure.is(other, words) && figure.bound.is(other.bound))
}

impl Figure {
    fn new(values: Vec<f64>, unit: Option<Unit>, at: (usize, usize)) -> Self {
        Self { values, unit, bound: Bound::None, counted: None, loose: false, at }
    }

    /// Whether both state the same amount. A text whose words these are may name the unit elsewhere, as tables do.
    pub(super) fn is(&self, other: &Self, words: &[Word]) -> bool {
        match (self.unit, other.unit) {
            (Some(a), Some(b)) if a.dimension == b.dimension => {
                self.meets(other, a.size, b.size) || self.meets(other, a.binary, b.binary)
            }
            (Some(_), Some(_)) => false,
            (Some(unit), None) => {
                let named = |word: &Word| units::named(&word.lower) == Some(unit);
                let half = unit.dimension == Dimension::Share && other.values == numerals::HALF;
                let anywhere = half || matches!(unit.dimension, Dimension::Clock | Dimension::Place | Dimension::Times);
                self.meets(other, 1.0, 1.0) && (anywhere || words.iter().any(named))
            }
            (None, Some(_) | None) => self.meets(other, 1.0, 1.0),
        }
    }

    fn meets(&self, other: &Self, size: f64, other_size: f64) -> bool {
        let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        self.values.iter().any(|a| other.values.iter().any(|b| same(a * size, b * other_size)))
    }
}

/// A number in digits or words, with its unit.
fn plain(words: &[Word], at: usize) -> Option<Figure> {
    let (mut values, mut end, loose) = numerals::number(words, at)?;
    let ordinal = numerals::ordinal_ending(words, end - 1, end);
    if let Some(after) = ordinal {
        let mut figure = Figure::new(values, Some(Unit::of(Dimension::Place, 1.0)), (at, after));
        figure.loose = words[at].first;
        return Some(figure);
    }
    while let Some(times) = words.get(end).and_then(|word| numerals::multiplier(&word.lower)) {
        values.iter_mut().for_each(|value| *value *= times);
        end += 1;
    }
    let before = at.checked_sub(1).and_then(|before| units::named(&words[before].lower));
    let currency =
        before.filter(|unit| matches!(unit.dimension, Dimension::Dollars | Dimension::Euros | Dimension::Pounds));
    let (unit, end) = match currency {
        Some(unit) => (Some(unit), end),
        None => unit_behind(words, end),
    };
    // "one" is a number where it counts something measured.
    let loose = loose && unit.is_none();
    let mut figure = Figure::new(values, unit, (at, end));
    figure.loose = loose;
    figure.counted = match unit {
        Some(_) => None,
        None => words[end..].iter().take(2).find(|word| word.is_telling()).map(|word| word.stem.clone()),
    };
    Some(figure)
}

/// `for a week`: one of it. Without such a word before it, it may say how often (`once a week`).
fn article(words: &[Word], at: usize) -> Option<Figure> {
    let lower = |at: Option<usize>| at.and_then(|at| words.get(at)).map_or("", |word| word.lower.as_str());
    let is_article = matches!(lower(Some(at)), "a" | "an" | "ein" | "eine" | "einen" | "einem" | "einer" | "eines");
    let measures = matches!(
        lower(at.checked_sub(1)),
        "for"
            | "within"
            | "after"
            | "in"
            | "least"
            | "most"
            | "about"
            | "than"
            | "takes"
            | "lasts"
            | "für"
            | "nach"
            | "innerhalb"
    );
    let unit = units::named(lower(Some(at + 1))).filter(|_| is_article && measures)?;
    Some(Figure::new(vec![1.0], Some(unit), (at, at + 2)))
}

/// The unit behind a number, and where it ends.
fn unit_behind(words: &[Word], end: usize) -> (Option<Unit>, usize) {
    let Some(next) = words.get(end) else { return (None, end) };
    let clause = words[end - 1].clause;
    if next.text == "°" {
        let unit = words.get(end + 1).filter(|word| word.glued).and_then(units::sign);
        return (unit, end + 1 + usize::from(unit.is_some()));
    }
    if next.clause == clause
        && let Some(unit) = units::sign(next)
    {
        return (Some(unit), end + 1);
    }
    let behind = words.iter().enumerate().skip(end).take(UNIT_WITHIN).take_while(|(_, word)| {
        word.clause == clause
            && word.shape == Shape::Word
            && !matches!(word.lower.as_str(), "per" | "pro" | "a" | "an" | "each" | "every" | "in" | "of" | "for")
    });
    let unit = behind.filter_map(|(at, word)| Some((units::named(&word.lower)?, at + 1))).next();
    unit.map_or((None, end), |(unit, end)| (Some(unit), end))
}

/// `5 to 10 GB`: the first number is of the unit of the second.
fn share_units(words: &[Word], figures: &mut [Figure]) {
    for at in (1..figures.len()).rev() {
        let between = &words[figures[at - 1].at.1.min(figures[at].at.0)..figures[at].at.0];
        let is_range = match between {
            [] => words[figures[at].at.0].glued,
            [joining] => matches!(joining.lower.as_str(), "to" | "and" | "or" | "bis" | "und" | "oder"),
            _ => false,
        };
        if is_range && figures[at - 1].unit.is_none() {
            figures[at - 1].unit = figures[at].unit;
            figures[at - 1].counted = figures[at].counted.clone();
        }
    }
}

/// A date: year and day as numbers, the month as one.
fn date(words: &[Word], at: usize) -> Option<Vec<Figure>> {
    let word = &words[at];
    let month = |value: f64| Figure::new(vec![value], Some(Unit::of(Dimension::Month, 1.0)), (at, at + 1));
    let number = |value: f64| Figure::new(vec![value], None, (at, at + 1));
    if word.shape == Shape::Number {
        let parts: Vec<&str> = word.text.split(['-', '/', '.']).collect();
        let [a, b, c] = parts[..] else { return None };
        let value = |text: &str| text.parse::<f64>().ok();
        let (a_value, b_value, c_value) = (value(a)?, value(b)?, value(c)?);
        return match (a.len(), c.len()) {
            (4, _) => Some(vec![number(a_value), month(b_value), number(c_value)]),
            (_, 4) if word.text.contains('.') => Some(vec![number(a_value), month(b_value), number(c_value)]),
            // Month first or day first: nobody can tell, unless one of them is no month.
            (_, 4) => {
                let (mut first, mut second) = (month(a_value), number(b_value));
                if a_value > 12.0 {
                    (first, second) = (number(a_value), month(b_value));
                }
                Some(vec![first, second, number(c_value)])
            }
            _ => None,
        };
    }
    if let Some(value) = numerals::weekday(&word.lower) {
        return Some(vec![Figure::new(vec![value], Some(Unit::of(Dimension::Weekday, 1.0)), (at, at + 1))]);
    }
    let value = numerals::month(&word.lower).filter(|_| word.is_capital())?;
    // "May" and "March" are words as well.
    let near = |at: Option<usize>| {
        at.and_then(|at| words.get(at))
            .is_some_and(|word| word.shape == Shape::Number || numerals::is_ordinal_ending(&word.lower))
    };
    let doubtful = matches!(word.lower.as_str(), "may" | "march")
        && (word.first || words.get(at + 1).is_some_and(|next| !next.glued && next.shape == Shape::Word));
    (!doubtful || near(at.checked_sub(1)) || near(Some(at + 1))).then(|| vec![month(value)])
}

/// A time of day.
fn clock(words: &[Word], at: usize) -> Option<Vec<Figure>> {
    let word = &words[at];
    let unit = Some(Unit::of(Dimension::Clock, 1.0));
    match word.lower.as_str() {
        "noon" | "midday" | "mittag" => return Some(vec![Figure::new(vec![720.0], unit, (at, at + 1))]),
        "midnight" | "mitternacht" => return Some(vec![Figure::new(vec![0.0, 1_440.0], unit, (at, at + 1))]),
        _ => {}
    }
    if word.shape != Shape::Number {
        return None;
    }
    let (hours, minutes) = match word.text.split_once(':') {
        Some((hours, minutes)) => (hours.parse::<f64>().ok()?, minutes.parse::<f64>().ok()?),
        None => (word.text.parse::<f64>().ok()?, 0.0),
    };
    let half = match words.get(at + 1).map(|word| word.lower.as_str()) {
        Some("am" | "a.m" | "a.m.") => Some(0.0),
        Some("pm" | "p.m" | "p.m.") => Some(12.0),
        Some("uhr" | "o'clock") => None,
        _ if word.text.contains(':') && minutes < 60.0 && hours < 25.0 => {
            return Some(vec![Figure::new(vec![hours * 60.0 + minutes], unit, (at, at + 1))]);
        }
        _ => return None,
    };
    let hours = half.map_or(hours, |half| hours % 12.0 + half);
    Some(vec![Figure::new(vec![hours * 60.0 + minutes], unit, (at, at + 2))])
}
