//! A text as words: what it is compared by, whichever way it is written.
//!
//! Words of English and German; of other languages the words as they stand. Punctuation and joining words end a clause.

use rust_stemmers::{Algorithm, Stemmer};

use super::{numerals, units, vocabulary};
use crate::folding::folded;

/// What a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Digits, with points, commas and colons among them; a date in digits.
    Number,
    /// Letters, perhaps with digits among them.
    Word,
    /// One sign, such as `%` or `€`.
    Sign,
}

/// One word of a text.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// As it is written.
    pub(super) text: String,
    /// In small letters, with a plain apostrophe.
    pub(super) lower: String,
    /// What its forms have in common.
    pub(super) stem: String,
    /// What it is made of.
    pub(super) shape: Shape,
    /// Nothing stands between it and the one before.
    pub(super) glued: bool,
    /// A sentence begins with it.
    pub(super) first: bool,
    /// Number of its clause.
    pub(super) clause: usize,
    /// Whether it says what a text is about: no word of grammar, nothing of a figure and no sign.
    pub(super) telling: bool,
    /// The pairs of opposites that it is of, and on which side.
    pub(super) sides: Vec<(usize, bool)>,
}

impl Word {
    fn new(text: &str, shape: Shape) -> Self {
        let lower = text.to_lowercase().replace('’', "'");
        let grammar =
            || vocabulary::is_grammar(&lower) || units::named(&lower).is_some() || numerals::is_numeral(&lower);
        let telling = shape == Shape::Word && !grammar();
        let sides = if shape == Shape::Word { vocabulary::sides(&lower) } else { Vec::new() };
        let (text, stem) = (text.to_owned(), String::new());
        Self { text, lower, stem, shape, glued: false, first: false, clause: 0, telling, sides }
    }

    /// Whether it says what a text is about.
    pub(super) fn is_telling(&self) -> bool {
        self.telling
    }

    /// Whether it and another word say opposite things.
    pub(super) fn is_opposite(&self, other: &Self) -> bool {
        let other_side = |(pair, side): &(usize, bool)| other.sides.contains(&(*pair, !side));
        self.sides.iter().any(other_side) || vocabulary::are_turned(&self.lower, &other.lower)
    }

    /// Without what shows possession or shortens it.
    pub(super) fn bare(&self) -> &str {
        let lower = self.lower.as_str();
        lower.strip_suffix("'s").unwrap_or(lower).trim_end_matches(['.', '\''])
    }

    pub(super) fn is_capital(&self) -> bool {
        self.text.starts_with(char::is_uppercase)
    }
}

/// The words of a text in their order.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let text = folded(text);
    let (mut rest, mut clause, mut first, mut glued) = (&*text, 0, true, false);
    while let Some(c) = rest.chars().next() {
        let (length, shape) = match c {
            _ if c.is_ascii_digit() => number(rest),
            _ if c.is_alphabetic() => (word(rest), Shape::Word),
            _ if is_flag(rest) => (flag(rest), Shape::Word),
            '%' | '°' | '$' | '€' | '£' | '≥' | '≤' | '<' | '>' | '~' | '≈' => (c.len_utf8(), Shape::Sign),
            _ => {
                let hyphen = matches!(c, '-' | '‑' | '–') && glued;
                if !(hyphen || c.is_whitespace() && c != '\n' || matches!(c, '\'' | '’' | '`' | '*' | '_' | '/')) {
                    clause += 1;
                    first |= matches!(c, '.' | '!' | '?' | ':' | '\n' | '|');
                }
                glued = !c.is_whitespace();
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        let (text, tail) = rest.split_at(length);
        let word = Word::new(text, shape);
        if vocabulary::joins_clauses(&word.lower) {
            clause += 1;
        }
        words.push(Word { glued, first, clause, ..word });
        (rest, first, glued) = (tail, false, true);
    }
    let algorithm = if are_german(&words) { Algorithm::German } else { Algorithm::English };
    let stemmer = Stemmer::create(algorithm);
    for word in &mut words {
        word.stem = stem(&stemmer, &word.lower);
    }
    words
}

fn stem(stemmer: &Stemmer, lower: &str) -> String {
    let bare = lower.strip_suffix("'s").unwrap_or(lower);
    stemmer.stem(vocabulary::regular(bare)).into_owned()
}

/// Whether more of its words of grammar are German than English.
pub(super) fn are_german(words: &[Word]) -> bool {
    let count = |is: fn(&str) -> bool| words.iter().filter(|word| is(&word.lower)).count();
    count(vocabulary::is_german_grammar) > count(vocabulary::is_english_grammar)
}

/// Whether a flag of a command line begins here: `--no-tls`.
fn is_flag(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn flag(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(text.len())
}

/// Length of the number, or of the name that begins with a digit, at the beginning of a text.
fn number(text: &str) -> (usize, Shape) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if let Some(length) = date(bytes) {
        return (length, Shape::Number);
    }
    let mut at = 0;
    while digit(at) || (at > 0 && matches!(bytes.get(at), Some(b'.' | b',' | b':' | b'\'')) && digit(at + 1)) {
        at += 1;
    }
    // Thin and unbreakable spaces part groups of three.
    let group = |at: usize| {
        let rest = &text[at..];
        let space = rest.chars().next().filter(|c| matches!(c, '\u{a0}' | '\u{2009}' | '\u{202f}'))?;
        let from = at + space.len_utf8();
        ((from..from + 3).all(digit) && !digit(from + 3)).then_some(from + 3)
    };
    while let Some(end) = group(at) {
        at = end;
    }
    // `25GB` is a number and its unit, `4a7b` and `0x80` are names.
    let tail = word(&text[at..]);
    if tail > 0 && text[at..at + tail].contains(|c: char| c.is_ascii_digit() || c == '_') {
        return (at + tail, Shape::Word);
    }
    (at, Shape::Number)
}

/// Length of a date in digits that is written with hyphens or slashes: `2026-05-01`, `5/1/2026`.
fn date(bytes: &[u8]) -> Option<usize> {
    let run = bytes.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/')).count();
    let text = std::str::from_utf8(&bytes[..run]).ok()?;
    let parts: Vec<&str> = text.split(['-', '/']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    matches!(lengths[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4]).then_some(run)
}

/// Length of the run of letters and digits at the beginning of a text, with what joins the parts of a name.
fn word(text: &str) -> usize {
    let mut end = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let inner = matches!(c, '\'' | '’' | '.' | ':' | '_');
        let next = chars.peek().map(|(_, next)| *next);
        let goes_on =
            inner && at > 0 && next.is_some_and(|n| n.is_alphanumeric() || (matches!(c, ':' | '_') && n == c));
        if !(c.is_alphanumeric() || c == '_' || goes_on) {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn numbers_names_and_signs_are_words_of_their_own() {
        for (text, expected) in [
            ("25GB, 7-day (1,234.5)", vec!["25", "GB", "7", "day", "1,234.5"]),
            ("5–10 °C, 20%.", vec!["5", "10", "°", "C", "20", "%"]),
            ("ERR_TIMEOUT_7 and foo::bar, 0x80", vec!["ERR_TIMEOUT_7", "and", "foo::bar", "0x80"]),
            ("2026-05-01 or 1.5.2026, at 10:30", vec!["2026-05-01", "or", "1.5.2026", "at", "10:30"]),
            ("don't, the server's, 6 a.m.", vec!["don't", "the", "server's", "6", "a.m"]),
            ("set --no-tls, or -v", vec!["set", "--no-tls", "or", "v"]),
            ("12\u{202f}000 Euro", vec!["12\u{202f}000", "Euro"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn forms_of_a_word_have_one_stem_in_english_and_german() {
        let stems = |text: &str| words(text).into_iter().map(|word| word.stem).collect::<Vec<_>>();
        assert_eq!(stems("They are kept"), stems("They are keep"));
        assert_eq!(stems("the server's backups")[1..], ["server", "backup"]);
        assert_eq!(stems("die Sicherungen und der Server")[1], stems("die Sicherung und der Server")[1]);
    }

    #[test]
    fn punctuation_and_joining_words_end_a_clause() {
        let clauses: Vec<_> = words("It runs, but not here").into_iter().map(|word| word.clause).collect();
        assert_eq!(clauses, [0, 0, 2, 2, 2]);
    }
}
