//! A text as tokens that may be names: `2.6`, `C#`, `ERR_4711`, `vitamin` and `D`.
//!
//! Pure.

use crate::lexical;

/// Longest unit that is written behind a number without a space.
const MAX_UNIT: usize = 3;
/// Longest base of a name with a sign behind it: `C#`, `F#`, `C++`.
const MAX_SIGNED: usize = 2;
/// Shortest word that says of what kind a name behind it is.
const MIN_KIND: usize = 3;
/// Words that stand before any number. They are no stop words of the search.
const BEFORE_NUMBERS: [&str; 20] = [
    "about", "almost", "another", "around", "least", "within", "every", "last", "next", "first", "plus", "minus",
    "nearly", "only", "since", "than", "until", "year", "years", "per",
];

/// What a name is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Letters with digits, underscores, colons or points among them, or capitals behind small letters; a flag.
    Code,
    /// Digits, with points among them.
    Number,
    /// One capital, perhaps with a sign behind it, or a Roman number.
    Letter,
}

/// A word, number or name.
#[derive(Debug, Clone)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    /// What it is compared by.
    pub(super) key: String,
    /// Where it may be a name.
    pub(super) shape: Option<Shape>,
}

impl<'t> Token<'t> {
    fn new(text: &'t str) -> Self {
        let shape = shape(text);
        let key = match shape {
            Some(Shape::Letter) => text.to_uppercase(),
            Some(Shape::Number) => text.trim_start_matches(['v', 'V']).replace(',', ""),
            Some(Shape::Code) | None => text.to_lowercase().replace(['_', '-', '‑', '–'], ""),
        };
        Self { text, key, shape }
    }

    pub(super) fn lower(&self) -> std::borrow::Cow<'_, str> {
        if self.shape == Some(Shape::Letter) { self.key.to_lowercase().into() } else { (&self.key).into() }
    }

    /// The term of a word that says of what kind the name behind it is.
    pub(super) fn kind(&self) -> Option<u32> {
        let is_word = self.shape.is_none() && self.text.chars().count() >= MIN_KIND;
        let is_word = is_word && self.text.chars().all(char::is_alphabetic);
        let is_word = is_word && !BEFORE_NUMBERS.contains(&&*self.key) && !lexical::is_small(&self.key);
        // A stop word of English has no term.
        if is_word { lexical::terms(&self.key).pop_first() } else { None }
    }
}

/// The tokens of a text in their order.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for run in runs(text) {
        for part in parts(run) {
            tokens.push(Token::new(part));
        }
    }
    tokens
}

/// Runs of letters, digits and what joins them, without punctuation at their ends.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || is_joint(c) || c == ','))
        .flat_map(comma_parts)
        .map(trimmed_start)
        .map(trimmed_end)
        .filter(|run| !run.is_empty())
}

fn is_joint(c: char) -> bool {
    matches!(c, '_' | '-' | '‑' | '–' | '.' | ':' | '#' | '+' | '@')
}

/// A comma joins groups of digits and nothing else.
fn comma_parts(run: &str) -> impl Iterator<Item = &str> {
    let grouped = run.trim_matches(',');
    let number = grouped.contains(',') && grouped.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.'));
    let whole = number.then_some(grouped);
    let parts = (!number).then(|| run.split(',')).into_iter().flatten();
    whole.into_iter().chain(parts)
}

/// Without the joints at the beginning; two hyphens belong to a flag.
fn trimmed_start(run: &str) -> &str {
    let flag = run.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic));
    if flag { run } else { run.trim_start_matches(is_joint) }
}

/// Without the joints at the end; `#` and `+` belong to short names.
fn trimmed_end(run: &str) -> &str {
    let signed = run.trim_end_matches(['.', ':', ',', '-', '–']);
    let base = signed.trim_end_matches(['#', '+']);
    let keeps = base.len() < signed.len()
        && base.chars().count() <= MAX_SIGNED
        && base.chars().all(char::is_alphabetic)
        && matches!(&signed[base.len()..], "#" | "+" | "++");
    if keeps { signed } else { base.trim_end_matches(is_joint) }
}

/// A range of numbers is two, and a number with a unit or a word behind it is a number and a word: `2008-2009`, `30-day`, `25GB`.
fn parts(run: &str) -> Vec<&str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let hyphened: Vec<&str> = run.split(['-', '–', '‑']).collect();
    if hyphened.len() == 2 && is_number(hyphened[0]) {
        let word = hyphened[1];
        if is_number(word) || (word.chars().count() > 1 && word.chars().all(char::is_lowercase)) {
            return hyphened;
        }
    }
    let unit = run.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &run[..run.len() - unit.len()];
    let is_unit = (2..=MAX_UNIT).contains(&unit.chars().count()) && unit.chars().all(char::is_alphabetic);
    if is_number(number) && (is_unit || matches!(unit, "s" | "h" | "m")) { vec![number, unit] } else { vec![run] }
}

fn shape(text: &str) -> Option<Shape> {
    let number = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let digits = text.contains(|c: char| c.is_ascii_digit());
    if digits && number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b':')) {
        return Some(Shape::Number);
    }
    let base = text.trim_end_matches(['#', '+']);
    let single = base.chars().count() == 1 && base.chars().all(char::is_alphabetic);
    let signed = base.len() < text.len();
    if (single && (signed || base.chars().all(char::is_uppercase)))
        || (signed && base.len() <= MAX_SIGNED)
        || is_roman(text)
    {
        return Some(Shape::Letter);
    }
    let letters = text.contains(char::is_alphabetic);
    let joined = text.contains('_') || text.contains("::");
    (letters && (digits || joined || text.starts_with("--") || is_dotted(text) || is_camel_case(text)))
        .then_some(Shape::Code)
}

fn is_roman(text: &str) -> bool {
    (2..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'I' | b'V' | b'X'))
}

/// Words joined by points, as names in code are; neither `e.g.` nor a sentence without a space behind it.
fn is_dotted(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Begins with two small letters and has a capital later.
fn is_camel_case(text: &str) -> bool {
    text.chars().take(2).all(char::is_lowercase)
        && text.contains(char::is_uppercase)
        && text.chars().all(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_words_are_told_apart() {
        let found = |text: &str| -> Vec<(String, Option<Shape>)> {
            tokens(text).into_iter().map(|token| (token.key, token.shape)).collect()
        };
        let (code, number, letter) = (Some(Shape::Code), Some(Shape::Number), Some(Shape::Letter));
        for (text, expected) in [
            ("C#, C++ and (C).", vec![("C#", letter), ("C++", letter), ("and", None), ("C", letter)]),
            ("ERR_4711: v2.6!", vec![("err4711", code), ("2.6", number)]),
            (
                "25GB, 1,250 in 2008–2009",
                vec![("25", number), ("gb", None), ("1250", number), ("in", None), ("2008", number), ("2009", number)],
            ),
            ("issue #12 of foo::bar", vec![("issue", None), ("12", number), ("of", None), ("foo::bar", code)]),
            (
                "Vitamin D: e.g. maxReplicas",
                vec![("vitamin", None), ("D", letter), ("e.g", None), ("maxreplicas", code)],
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(key, shape)| (key.to_owned(), shape)).collect();
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
