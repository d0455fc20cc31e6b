//! The names of a text: of people, places and products, and identifiers.

use super::{
    numerals, periods,
    words::{Shape, Word},
};

/// The names of a text, as places among its words. The first word of a sentence is one only where its shape says so.
pub(super) fn names(words: &[Word]) -> Vec<usize> {
    (0..words.len()).filter(|at| is_name(words, *at)).collect()
}

fn is_name(words: &[Word], at: usize) -> bool {
    let word = &words[at];
    if word.shape != Shape::Word || is_listed(word) || !word.is_telling() && !is_code(word) {
        return false;
    }
    let next_is_capital = || {
        words
            .get(at + 1)
            .is_some_and(|next| next.shape == Shape::Word && next.is_capital() && next.clause == word.clause)
    };
    is_code(word) || (word.is_capital() && (!word.first || (next_is_capital() && !is_listed(&words[at + 1]))))
}

/// An identifier or an acronym: digits, underscores or colons among letters, capitals behind the first letter; a flag.
fn is_code(word: &Word) -> bool {
    let text = &word.text;
    let inner = text.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_' || c == ':');
    text.starts_with("--") || (text.chars().count() > 1 && inner && !word.glued)
}

/// Capitals that other checks look at, or nobody needs to.
fn is_listed(word: &Word) -> bool {
    let lower = &word.lower;
    numerals::month(lower).is_some()
        || numerals::weekday(lower).is_some()
        || super::units::named(lower).is_some()
        || periods::of_unit(lower).is_some()
}

/// Whether these words hold a name, in another form perhaps, or as the words whose first letters it is.
pub(super) fn hold(words: &[Word], name: &Word) -> bool {
    words.iter().any(|word| word.stem == name.stem || word.bare() == name.bare()) || spells(words, &name.text)
}

fn spells(words: &[Word], acronym: &str) -> bool {
    let letters: Vec<char> = acronym.chars().collect();
    if letters.len() < 2 || !letters.iter().all(|c| c.is_uppercase()) {
        return false;
    }
    let telling: Vec<&Word> = words.iter().filter(|word| word.is_telling()).collect();
    telling
        .windows(letters.len())
        .any(|run| run.iter().zip(&letters).all(|(word, letter)| word.is_capital() && word.text.starts_with(*letter)))
}
