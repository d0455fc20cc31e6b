//! The terms of a text, and their names.

use std::{borrow::Cow, collections::BTreeSet};

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    MAX_WORD_BYTES,
    identifiers::{hump, identifiers, is_compound, normalised},
};

/// The different terms of a text, for comparing texts with each other.
pub fn terms(text: &str) -> BTreeSet<u32> {
    let mut terms = BTreeSet::new();
    each_term(text, &mut |term| {
        terms.insert(hash(term));
        true
    });
    terms
}

/// Calls `sink` with each term of the text until it answers `false`.
pub(super) fn each_term(text: &str, sink: &mut dyn FnMut(&str) -> bool) {
    let stemmer = Stemmer::create(Algorithm::English);
    // In a text without any lower-case letter capitals say nothing.
    let shouted = !text.chars().any(char::is_lowercase);
    let mut previous: Option<(usize, &str)> = None;
    for (start, word) in words(text) {
        // Scripts without spaces come as one word for each character: pairs of neighbours tell more than single ones.
        if let Some((end, before)) = previous
            && end == start
            && !word.is_ascii()
            && !before.is_ascii()
            && !sink(&format!("{before}{word}"))
        {
            return;
        }
        previous = Some((start + word.len(), word));
        // Most words are this plain: they have neither parts nor capitals.
        if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            if !is_stop_word(word) && !sink(&stemmed(&stemmer, word)) {
                return;
            }
            continue;
        }
        let acronym = !shouted && word.len() > 1 && word.chars().all(char::is_uppercase);
        for part in parts(word) {
            let lower = part.to_lowercase();
            let wanted = acronym || !is_stop_word(&lower);
            if wanted && !sink(&stemmed(&stemmer, &lower)) {
                return;
            }
        }
    }
    // No identifier reaches across a space.
    for identifier in text.split_whitespace().filter(|run| !is_plain(run)).flat_map(identifiers) {
        if is_compound(identifier) && !sink(&normalised(identifier)) {
            return;
        }
    }
}

/// Whether a run of characters is a small word, perhaps at the end of a clause: it is no compound, and most runs are such.
fn is_plain(run: &str) -> bool {
    run.trim_end_matches([',', '.', ';', ')']).bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The words of a text by the rules of Unicode, with the place where each begins.
///
/// No word reaches across a space, so the text is cut there first; what is plain ASCII between two spaces, nearly everything in English, needs no tables.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let origin = text.as_ptr() as usize;
    text.split_whitespace().flat_map(move |run| {
        let at = run.as_ptr() as usize - origin;
        let (ascii, other) = if run.is_ascii() { (Some(run), None) } else { (None, Some(run)) };
        let ascii = ascii.into_iter().flat_map(ascii_words);
        let other = other.into_iter().flat_map(UnicodeSegmentation::unicode_word_indices);
        ascii.chain(other).map(move |(start, word)| (at + start, word))
    })
}

/// Runs of letters, digits and underscores; a point or a comma between two digits does not end one.
fn ascii_words(run: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = run.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() {
            let inside_number = matches!(bytes[at], b'.' | b',') && digit(at.checked_sub(1)) && digit(Some(at + 1));
            if !is_word(bytes[at]) && !inside_number {
                break;
            }
            at += 1;
        }
        (start < at).then(|| (start, &run[start..at]))
    })
}

fn stemmed<'w>(stemmer: &Stemmer, word: &'w str) -> Cow<'w, str> {
    let plain = word.len() <= MAX_WORD_BYTES && word.bytes().all(|b| b.is_ascii_lowercase());
    if plain { stemmer.stem(word) } else { word.replace(',', "").into() }
}

/// Splits a word where an identifier or a contraction joins several: `max_size`, `maxSize`, `std.fs`, `don't`.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split(['_', '\'', '’', ':', ';']).flat_map(dotted).flat_map(humps).filter(|part| !part.is_empty())
}

/// Splits at full stops, except inside a number.
fn dotted(word: &str) -> impl Iterator<Item = &str> {
    let number = word.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',');
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let now = rest?;
        match now.split_once('.').filter(|_| !number) {
            Some((head, tail)) => {
                rest = Some(tail);
                Some(head)
            }
            None => rest.take(),
        }
    })
}

/// Splits before a capital that follows a small letter.
fn humps(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = hump(rest).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(cut);
        rest = tail;
        Some(head)
    })
}

/// FNV-1a with a final mix, so that short words spread over all 32 bits.
pub(super) fn hash(term: &str) -> u32 {
    mixed(term.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
}

pub(super) fn mixed(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// Words that say nothing about a passage, and what is left of contractions. Sorted.
#[rustfmt::skip]
const STOP_WORDS: [&str; 150] = [
    "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are", "aren", "as", "at",
    "be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "could", "couldn", "d",
    "did", "didn", "do", "does", "doesn", "doing", "don", "down", "during", "each", "few", "for", "from", "further",
    "had", "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "here", "hers", "herself", "him", "himself",
    "his", "how", "i", "if", "in", "into", "is", "isn", "it", "its", "itself", "just", "ll", "m", "me", "more", "most",
    "mustn", "my", "myself", "no", "nor", "not", "now", "of", "off", "on", "once", "only", "or", "other", "ought",
    "our", "ours", "ourselves", "out", "over", "own", "re", "s", "same", "shan", "she", "should", "shouldn", "so",
    "some", "such", "t", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "until", "up", "ve", "very", "was", "wasn", "we", "were",
    "weren", "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "won", "would", "wouldn",
    "you", "your", "yours", "yourself", "yourselves",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms_of(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_term(text, &mut |term| {
            words.push(term.to_owned());
            true
        });
        words
    }

    #[test]
    fn words_are_stemmed_and_stop_words_are_left_out() {
        assert_eq!(terms_of("How long are the Snapshots kept?"), ["long", "snapshot", "kept"]);
        assert_eq!(terms_of("I don't know; it’s the server's."), ["know", "server"]);
        assert_eq!(terms_of("1,284 of 3.5"), ["1284", "3.5"]);
        assert_eq!(terms_of("heißer Grüße"), ["heißer", "grüße"]);
    }

    #[test]
    fn identifiers_are_kept_whole_beside_their_parts() {
        for (text, expected) in [
            ("ERR_4711", vec!["err", "4711", "err_4711"]),
            ("0x80070005", vec!["0x80070005"]),
            ("(foo::bar)", vec!["foo", "bar", "foo::bar"]),
            ("RFC\u{2011}9457.", vec!["rfc", "9457", "rfc-9457"]),
            ("maxReplicas", vec!["max", "replica", "maxreplicas"]),
            ("v1.2.3", vec!["v1", "2", "3", "v1.2.3"]),
            ("boundary-layer", vec!["boundari", "layer"]),
            ("--dry-run", vec!["dri", "run"]),
        ] {
            assert_eq!(terms_of(text), expected, "{text}");
        }
    }

    #[test]
    fn an_acronym_is_no_stop_word_unless_everything_is_in_capitals() {
        assert_eq!(terms_of("The WHO says"), ["who", "say"]);
        assert_eq!(terms_of("WHO SAYS"), ["say"]);
    }

    #[test]
    fn scripts_without_spaces_are_searched_by_pairs_too() {
        assert_eq!(terms_of("東京"), ["東", "東京", "京"]);
    }

    proptest! {
        #[test]
        fn plain_text_has_the_words_that_the_rules_of_unicode_give_it(text in "[ a-zA-Z0-9_.,:'()/-]{0,60}") {
            let parts_of = |words: Vec<(usize, &str)>| -> Vec<String> {
                words.into_iter().flat_map(|(_, word)| parts(word)).map(str::to_owned).collect()
            };
            prop_assert_eq!(parts_of(words(&text).collect()), parts_of(text.unicode_word_indices().collect()));
        }
    }
}
