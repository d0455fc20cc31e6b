//! Numbers as they are written: in digits, in words, as places in a row; names of months and days.

use super::words::{Shape, Word};

/// What a half is worth: of one, and in percent.
pub(super) const HALF: [f64; 2] = [0.5, 50.0];

/// The number that begins at a word: what it may be worth, where it ends, and whether it may be no number at all.
pub(super) fn number(words: &[Word], at: usize) -> Option<(Vec<f64>, usize, bool)> {
    let word = &words[at];
    match word.shape {
        Shape::Number => Some((digits(&word.text)?, at + 1, false)),
        Shape::Word => in_words(words, at),
        Shape::Sign => None,
    }
}

/// What a number in digits may be worth.
fn digits(text: &str) -> Option<Vec<f64>> {
    let plain: String = text.chars().filter(|c| !matches!(c, '\'' | '\u{a0}' | '\u{2009}' | '\u{202f}')).collect();
    let mut readings = vec![plain.replace(',', ""), plain.replace('.', "").replace(',', ".")];
    // A comma or a point before three digits parts thousands or begins a fraction.
    let groups = |mark: char| {
        let mut parts = plain.split(mark);
        parts.next().is_some_and(|first| !first.is_empty() && first.len() <= 3 && first != "0")
            && parts.all(|part| part.len() == 3)
    };
    if plain.contains(',') && !plain.contains('.') && !groups(',') {
        readings.remove(0);
    } else if plain.contains('.') && !plain.contains(',') && !groups('.') {
        readings.pop();
    }
    let mut values: Vec<f64> = readings.iter().filter_map(|reading| reading.parse().ok()).collect();
    values.dedup();
    (!values.is_empty()).then_some(values)
}

/// `twenty-five`, `two hundred and six`, `einundzwanzig`, `a dozen`.
fn in_words(words: &[Word], at: usize) -> Option<(Vec<f64>, usize, bool)> {
    let lower = words[at].lower.as_str();
    if let Some(values) = special(lower) {
        return Some((values, at + 1, lower == "once" || lower == "einmal"));
    }
    if let Some(place) = place(words, at) {
        return Some((vec![place], at + 1, false));
    }
    let (mut total, mut current, mut end) = (0.0, small(lower)?, at + 1);
    loop {
        let joined = words.get(end).is_some_and(|word| matches!(word.lower.as_str(), "and" | "und"));
        // "five and six" are two numbers; "two hundred and six" is one.
        let next = end + usize::from(joined && (current >= 100.0 || total > 0.0));
        let Some(word) = words.get(next).filter(|word| word.shape == Shape::Word) else { break };
        match (small(&word.lower), word.lower.as_str()) {
            (Some(value), _) if fits(current, value) => current += value,
            (_, "hundred" | "hundert") if current < 100.0 => current *= 100.0,
            (_, "thousand" | "tausend") if current < 1_000.0 => {
                total += current * 1_000.0;
                current = 0.0;
            }
            _ => break,
        }
        end = next + 1;
    }
    let value = total + current;
    Some((vec![value], end, value == 1.0))
}

/// Whether a smaller number may follow to make one of both: `twenty` `five`, `two hundred` `six`.
fn fits(current: f64, value: f64) -> bool {
    (current == 0.0 && value > 0.0)
        || ((20.0..100.0).contains(&current) && current % 10.0 == 0.0 && value < 10.0)
        || (current >= 100.0 && current % 100.0 == 0.0 && value < 100.0)
}

fn special(lower: &str) -> Option<Vec<f64>> {
    Some(match lower {
        "half" | "hälfte" | "halb" | "halbe" | "halben" => HALF.to_vec(),
        "dozen" | "dutzend" => vec![12.0],
        "once" | "einmal" => vec![1.0],
        "twice" | "zweimal" | "both" | "beide" | "beiden" => vec![2.0],
        "thrice" | "dreimal" => vec![3.0],
        _ => return None,
    })
}

/// A number below a hundred in one word, and in German up to a thousand.
fn small(lower: &str) -> Option<f64> {
    const ONES: [(&str, &str); 20] = [
        ("zero", "null"),
        ("one", "eins"),
        ("two", "zwei"),
        ("three", "drei"),
        ("four", "vier"),
        ("five", "fünf"),
        ("six", "sechs"),
        ("seven", "sieben"),
        ("eight", "acht"),
        ("nine", "neun"),
        ("ten", "zehn"),
        ("eleven", "elf"),
        ("twelve", "zwölf"),
        ("thirteen", "dreizehn"),
        ("fourteen", "vierzehn"),
        ("fifteen", "fünfzehn"),
        ("sixteen", "sechzehn"),
        ("seventeen", "siebzehn"),
        ("eighteen", "achtzehn"),
        ("nineteen", "neunzehn"),
    ];
    const TENS: [(&str, &str); 8] = [
        ("twenty", "zwanzig"),
        ("thirty", "dreißig"),
        ("forty", "vierzig"),
        ("fifty", "fünfzig"),
        ("sixty", "sechzig"),
        ("seventy", "siebzig"),
        ("eighty", "achtzig"),
        ("ninety", "neunzig"),
    ];
    let of = |table: &[(&str, &str)], word: &str| table.iter().position(|(en, de)| *en == word || *de == word);
    let tens = |word: &str| of(&TENS, word).map(|at| (at as f64 + 2.0) * 10.0);
    if let Some(one) = of(&ONES, lower) {
        return Some(one as f64);
    }
    if let Some(ten) = tens(lower) {
        return Some(ten);
    }
    let (ones, ten) = lower.split_once("und")?;
    let ones = if ones == "ein" { Some(1) } else { of(&ONES, ones) };
    Some(ones? as f64 + tens(ten)?)
}

/// A place in a row, in one word. `second` is a unit of time as often.
fn place(words: &[Word], at: usize) -> Option<f64> {
    const PLACES: [(&str, &str); 12] = [
        ("first", "erst"),
        ("second", "zweit"),
        ("third", "dritt"),
        ("fourth", "viert"),
        ("fifth", "fünft"),
        ("sixth", "sechst"),
        ("seventh", "siebt"),
        ("eighth", "acht"),
        ("ninth", "neunt"),
        ("tenth", "zehnt"),
        ("eleventh", "elft"),
        ("twelfth", "zwölft"),
    ];
    let lower = words[at].lower.as_str();
    let before = at.checked_sub(1).map_or("", |before| words[before].lower.as_str());
    if lower == "second" && matches!(before, "a" | "per" | "each" | "every" | "one") {
        return None;
    }
    let german = ["e", "er", "en", "es", "em"].iter().find_map(|ending| lower.strip_suffix(ending));
    PLACES.iter().position(|(en, de)| *en == lower || german == Some(*de)).map(|at| at as f64 + 1.0)
}

/// Where a place in a row ends: `5th`, `fifth`.
pub(super) fn ordinal_ending(words: &[Word], last: usize, end: usize) -> Option<usize> {
    if words[last].shape == Shape::Word {
        return place(words, last).map(|_| end);
    }
    words.get(end).filter(|word| word.glued && is_ordinal_ending(&word.lower)).map(|_| end + 1)
}

pub(super) fn is_ordinal_ending(lower: &str) -> bool {
    matches!(lower, "st" | "nd" | "rd" | "th")
}

/// Whether a word is a number, or part of one, and nothing else.
pub(super) fn is_numeral(lower: &str) -> bool {
    small(lower).is_some_and(|value| value != 1.0)
        || multiplier(lower).is_some()
        || month(lower).is_some()
        || weekday(lower).is_some()
}

/// What a word behind a number multiplies it by.
pub(super) fn multiplier(lower: &str) -> Option<f64> {
    Some(match lower {
        "hundred" => 100.0,
        "thousand" | "tausend" => 1e3,
        "million" | "millions" | "millionen" => 1e6,
        "billion" | "billions" | "milliarde" | "milliarden" => 1e9,
        "dozen" => 12.0,
        _ => return None,
    })
}

/// The number of a month.
pub(super) fn month(lower: &str) -> Option<f64> {
    const MONTHS: [&[&str]; 12] = [
        &["january", "jan", "januar"],
        &["february", "feb", "februar"],
        &["march", "mar", "märz"],
        &["april", "apr"],
        &["may", "mai"],
        &["june", "jun", "juni"],
        &["july", "jul", "juli"],
        &["august", "aug"],
        &["september", "sep", "sept"],
        &["october", "oct", "oktober"],
        &["november", "nov"],
        &["december", "dec", "dezember"],
    ];
    MONTHS.iter().position(|names| names.contains(&lower)).map(|at| at as f64 + 1.0)
}

/// The number of a day of the week.
pub(super) fn weekday(lower: &str) -> Option<f64> {
    const DAYS: [&[&str]; 7] = [
        &["monday", "mondays", "montag", "montags"],
        &["tuesday", "tuesdays", "dienstag", "dienstags"],
        &["wednesday", "wednesdays", "mittwoch", "mittwochs"],
        &["thursday", "thursdays", "donnerstag", "donnerstags"],
        &["friday", "fridays", "freitag", "freitags"],
        &["saturday", "saturdays", "samstag", "samstags"],
        &["sunday", "sundays", "sonntag", "sonntags"],
    ];
    DAYS.iter().position(|names| names.contains(&lower)).map(|at| at as f64 + 1.0)
}
