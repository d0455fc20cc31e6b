//! The terms of a text, and their names.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation;

use super::{
    identifiers::{hump, identifiers, is_compound, normalised},
    language::is_small,
    scripts::{each_gram, runs},
    stems::Stems,
};
use crate::folding::{caseless, folded, unaccented};

/// One term of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term<'t> {
    /// Its name: the same whatever language the text is of, and however it is written.
    pub(super) name: &'t str,
    /// The word that it is the stem of, in small letters with its accents; none for what is no word of letters.
    pub(super) word: Option<&'t str>,
    pub(super) kind: Kind,
}

/// What a term counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, or an identifier as a whole: it makes a pair with the one before it.
    Word,
    /// A small word of another language than English: two words that only it parts are neighbours.
    Small,
    /// Neighbouring characters of a script without spaces.
    Gram,
    /// One character of several: a text is found by it where a question has it alone.
    Inner,
}

impl<'t> Term<'t> {
    pub(super) fn gram(name: &'t str) -> Self {
        Self { name, word: None, kind: Kind::Gram }
    }
}

/// The different terms of a text, for comparing texts with each other.
pub fn terms(text: &str) -> BTreeSet<u32> {
    let mut terms = BTreeSet::new();
    each_term(text, &mut |term| {
        if term.kind != Kind::Inner {
            terms.insert(hash(term.name));
        }
        true
    });
    terms
}

/// Calls `sink` with each term of the text until it answers `false`.
///
/// What a word is called depends on its letters alone, so that a question and a passage with the same word always agree on its name.
pub(super) fn each_term(text: &str, sink: &mut dyn FnMut(Term<'_>) -> bool) {
    let text = &*folded(text);
    let stems = Stems::default();
    // In a text without any lower-case letter capitals say nothing.
    let shouted = !text.chars().any(char::is_lowercase);
    for run in text.split_whitespace() {
        let go_on = if run.is_ascii() {
            ascii_words(run).all(|word| each_part(word, shouted, &stems, sink))
        } else {
            runs(run).all(|(script, run)| match script {
                Some(script) => each_gram(script, run, sink),
                None => run.unicode_words().all(|word| each_part(word, shouted, &stems, sink)),
            })
        };
        if !go_on {
            return;
        }
    }
    // No identifier reaches across a space.
    for identifier in text.split_whitespace().filter(|run| !is_plain(run)).flat_map(identifiers) {
        if is_compound(identifier) && !sink(Term { name: &normalised(identifier), word: None, kind: Kind::Word }) {
            return;
        }
    }
}

/// The terms of a word, which an identifier may have several of; tells whether `sink` never answered `false`.
fn each_part(word: &str, shouted: bool, stems: &Stems, sink: &mut dyn FnMut(Term<'_>) -> bool) -> bool {
    // Most words are this plain: they have neither parts nor capitals.
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return is_stop_word(word) || sink(term(&stems.of(word), word));
    }
    let acronym = !shouted && word.len() > 1 && word.chars().all(char::is_uppercase);
    parts(word).all(|part| {
        let lower = caseless(part);
        let plain = unaccented(&lower);
        (!acronym && is_stop_word(&lower)) || sink(term(&stems.of(&plain), &lower))
    })
}

fn term<'t>(name: &'t str, word: &'t str) -> Term<'t> {
    let kind = if is_small(word) { Kind::Small } else { Kind::Word };
    Term { name, word: Some(word), kind }
}

/// Whether a run of characters is a small word, perhaps at the end of a clause: it is no compound, and most runs are such.
fn is_plain(run: &str) -> bool {
    run.trim_end_matches([',', '.', ';', ')']).bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Runs of letters, digits and underscores, as the rules of Unicode have them for plain ASCII; a point or a comma between two digits does not end one, nor does an apostrophe between two letters.
fn ascii_words(run: &str) -> impl Iterator<Item = &str> {
    let bytes = run.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let beside = |at: usize, is: fn(&u8) -> bool| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        before.is_some_and(is) && bytes.get(at + 1).is_some_and(is)
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() {
            let inside = match bytes[at] {
                b'.' | b',' => beside(at, u8::is_ascii_digit),
                b'\'' => beside(at, u8::is_ascii_alphabetic),
                byte => is_word(byte),
            };
            if !inside {
                break;
            }
            at += 1;
        }
        (start < at).then(|| &run[start..at])
    })
}

/// Splits a word where an identifier or a contraction joins several: `max_size`, `maxSize`, `std.fs`, `don't`. One letter before an apostrophe (`l'eau`) is no word.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split_inclusive(['\'', '’']).flat_map(|joined| {
        let text = joined.trim_end_matches(['\'', '’']);
        let elided = move |part: &str| {
            let last = part.as_bytes().as_ptr_range().end == text.as_bytes().as_ptr_range().end;
            last && text.len() < joined.len() && part.chars().all(char::is_alphabetic) && part.chars().nth(1).is_none()
        };
        let parts = text.split(['_', ':', ';']).flat_map(dotted).flat_map(humps);
        parts.filter(move |part| !part.is_empty() && !elided(part))
    })
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

pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// Words of English that say nothing about a passage, and what is left of contractions. Sorted.
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
            words.push(term.name.to_owned());
            true
        });
        words
    }

    #[test]
    fn words_are_stemmed_and_stop_words_are_left_out() {
        assert_eq!(terms_of("How long are the Snapshots kept?"), ["long", "snapshot", "kept"]);
        assert_eq!(terms_of("I don't know; it’s the server's."), ["know", "server"]);
        assert_eq!(terms_of("1,284 of 3.5"), ["1284", "3.5"]);
        assert_eq!(terms_of("heißer Grüße"), ["heisser", "gruss"]);
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
        assert_eq!(terms_of("東京"), ["東", "京", "東京"]);
    }

    #[test]
    fn one_word_has_one_name_however_it_is_written() {
        for (one, other) in [
            ("ﬁrewall", "firewall"),
            ("ＡＢＣ－４４７１", "ABC-4471"),
            ("depart\u{ad}\nment", "department"),
            ("Cafe\u{301}", "CAFÉ"),
            ("café", "cafe"),
            ("STRASSE", "Straße"),
            ("Ключи", "ключ"),
            ("l’eau", "eau"),
            ("٤٧١١", "4711"),
            ("ｶﾞｽ", "ガス"),
        ] {
            assert_eq!(terms(one), terms(other), "{one}");
        }
        for (one, other) in [("10⁵", "105"), ("2½", "21"), ("й", "и")] {
            assert_ne!(terms(one), terms(other), "{one}");
        }
    }

    #[test]
    fn an_identifier_beside_letters_of_a_script_without_spaces_is_kept_whole() {
        let terms = terms_of("型番ABC-4471の点検");
        assert!(terms.contains(&"abc-4471".to_owned()), "{terms:?}");
    }

    proptest! {
        #[test]
        fn a_folded_text_has_the_terms_of_the_text(text in "\\PC{0,60}|[a-zß-ÿ0-9⁰-⁹ﬁＡ-Ｚ\u{ad}\n 東のカ가ที่.'_-]{0,60}") {
            prop_assert_eq!(terms(&text), terms(&folded(&text)));
        }

        #[test]
        fn plain_text_has_the_words_that_the_rules_of_unicode_give_it(text in "[ a-zA-Z0-9_.,:'()/-]{0,60}") {
            let parts_of = |words: Vec<&str>| -> Vec<String> { words.into_iter().flat_map(parts).map(str::to_owned).collect() };
            let ascii = text.split_whitespace().flat_map(ascii_words).collect();
            prop_assert_eq!(parts_of(ascii), parts_of(text.unicode_words().collect()));
        }
    }
}
