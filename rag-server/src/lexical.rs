//! The sparse encoder: text to BM25 term weights, on both sides of the search.
//!
//! Pure. A term is a stemmed, lower-cased word, an identifier kept whole (`ERR_4711`, `foo::bar`, `RFC-9457`) beside its parts, or a pair of neighbouring words without the stop words between them. This module counts how often a term stands in a passage and
//! how long the passage is; how rare a term is in the corpus is multiplied in by the store. Whatever changes a term or a weight changes [`VERSION`], because stored vectors no longer fit then.
//!
//! Terms are named by a 32-bit hash. In a vocabulary of 100,000 terms about one pair shares a name; the two then count as one term, which costs a little precision and nothing else.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

use crate::model::{Chunk, SparseVector};

/// Version of the encoder; stored with the collection.
pub const VERSION: &str = "english-2";

/// Versions whose collections may be searched and written. `english-1` knew no pairs: a pair of a question finds nothing there, and everything else is the same.
pub const READABLE: [&str; 2] = ["english-1", VERSION];

/// Saturation of repeated terms; the value that most engines ship.
const K1: f32 = 1.2;
/// How far a long passage is held against its terms; the value that most engines ship.
const B: f32 = 0.75;
/// Length, in terms, of a passage that is neither short nor long. Fixed, because an average that moves with the corpus would make every stored weight stale.
/// Stop words do not count: an abstract of 170 words, or a chunk filled to the model's limit, has about 100.
const AVERAGE_LENGTH: f32 = 100.0;
/// How much a term of the title or of a heading counts beside one of the text.
const HEADING_WEIGHT: f32 = 0.5;
/// How much a pair of neighbouring words counts in a question beside a single word. Measured on two judged sets (`docs/quality.md`).
const PAIR_WEIGHT: f32 = 0.4;
/// Bytes of a question that are read; what a person types is far below.
const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Different terms of a question that are searched for.
const MAX_QUERY_TERMS: usize = 128;
/// Longest word that is stemmed, and longest identifier that is kept whole, in bytes.
const MAX_WORD_BYTES: usize = 128;

/// Weights of a passage: how much each term of its title, headings and text tells about it.
pub fn passage(title: &str, headings: &[String], text: &str) -> SparseVector {
    let mut frequencies = BTreeMap::<u32, f32>::new();
    let mut length = 0.0;
    let above = std::iter::once(title).chain(headings.iter().map(String::as_str)).map(|text| (text, HEADING_WEIGHT));
    for (text, weight) in above.chain([(text, 1.0)]) {
        let mut before = None;
        each_term(text, &mut |term| {
            let term = hash(term);
            *frequencies.entry(term).or_default() += weight;
            // A pair is no length: a passage holds as many as it holds terms.
            length += weight;
            if let Some(before) = before.replace(term) {
                *frequencies.entry(pair(before, term)).or_default() += weight;
            }
            true
        });
    }
    let norm = K1 * (1.0 - B + B * length / AVERAGE_LENGTH);
    let (indices, values) = frequencies.into_iter().map(|(term, tf)| (term, tf * (K1 + 1.0) / (tf + norm))).unzip();
    SparseVector { indices, values }
}

/// Terms of a question, each with weight 1, and the pairs of neighbouring ones. Of an overlong question only the beginning counts.
pub fn query(text: &str) -> SparseVector {
    let (mut terms, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    let mut before = None;
    each_term(&text[..text.floor_char_boundary(MAX_QUERY_BYTES)], &mut |term| {
        let term = hash(term);
        terms.insert(term);
        pairs.extend(before.replace(term).map(|before| pair(before, term)));
        terms.len() < MAX_QUERY_TERMS && pairs.len() < MAX_QUERY_TERMS
    });
    let mut weights: BTreeMap<u32, f32> = pairs.into_iter().map(|pair| (pair, PAIR_WEIGHT)).collect();
    weights.extend(terms.into_iter().map(|term| (term, 1.0)));
    let (indices, values) = weights.into_iter().unzip();
    SparseVector { indices, values }
}

/// Identifiers and error codes of a question, lower-cased: what a passage can hold or not hold, whatever else it is about.
///
/// Quantities (`30-day`, `10ms`), plain numbers and names of products (`YouTube`) are none.
pub fn rare_terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for candidate in identifiers(&text[..text.floor_char_boundary(MAX_QUERY_BYTES)]) {
        let term = normalised(candidate);
        if terms.len() < MAX_QUERY_TERMS && is_rare(candidate) && !terms.contains(&term) {
            terms.push(term);
        }
    }
    terms
}

/// Whether a chunk holds one of the [`rare_terms`] of a question, as a whole identifier.
pub fn holds_any(chunk: &Chunk, rare_terms: &[String]) -> bool {
    if rare_terms.is_empty() {
        return false;
    }
    let texts =
        [chunk.title.as_str(), chunk.text.as_str()].into_iter().chain(chunk.headings.iter().map(String::as_str));
    texts.flat_map(identifiers).any(|candidate| rare_terms.contains(&normalised(candidate)))
}

/// The share of a question's terms, and pairs of neighbouring terms, that a chunk holds in its title, headings or text; 0 for a question without terms.
pub fn coverage(question: &SparseVector, chunk: &Chunk) -> f32 {
    if question.indices.is_empty() {
        return 0.0;
    }
    let held = passage(&chunk.title, &chunk.headings, &chunk.text).indices;
    let shared = question.indices.iter().filter(|term| held.binary_search(term).is_ok()).count();
    shared as f32 / question.indices.len() as f32
}

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
fn each_term(text: &str, sink: &mut dyn FnMut(&str) -> bool) {
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

/// Where the first capital stands that follows a small letter.
fn hump(word: &str) -> Option<usize> {
    let mut small = false;
    for (at, c) in word.char_indices() {
        if small && c.is_uppercase() {
            return Some(at);
        }
        small = c.is_lowercase();
    }
    None
}

/// Runs of characters that may be an identifier, without punctuation at their ends.
fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !is_connector(c))
        .map(|run| run.trim_matches(is_connector))
        .filter(|run| run.len() > 1 && run.len() <= MAX_WORD_BYTES)
}

fn is_connector(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | ':' | '/' | '#' | '@') || is_typographic_hyphen(c)
}

fn is_typographic_hyphen(c: char) -> bool {
    matches!(c, '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2013}')
}

fn normalised(identifier: &str) -> String {
    identifier.to_lowercase().replace(is_typographic_hyphen, "-")
}

/// Whether an identifier is more than one word, so that keeping it whole adds a term. Words joined by a hyphen or a slash alone (`boundary-layer`) are not.
fn is_compound(identifier: &str) -> bool {
    let number = identifier.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let joined = !number && identifier.contains(is_connector);
    let telling = identifier.contains(['_', '.', ':', '#', '@']) || identifier.contains(|c: char| c.is_numeric());
    (joined && telling) || hump(identifier).is_some()
}

/// Whether an identifier is so special that a passage which holds it is evidence by itself.
fn is_rare(identifier: &str) -> bool {
    if identifier.contains("://") {
        return false;
    }
    let letters = identifier.contains(char::is_alphabetic);
    let digits = identifier.chars().filter(char::is_ascii_digit).count();
    let version = identifier.split('.').count() > 2 && !letters && digits > 0;
    // One digit is too common: `type-2`, `phase-3`.
    let code = letters && digits > 1 && !is_quantity(identifier);
    let joined = letters && (identifier.contains('_') || identifier.contains("::"));
    version || code || joined || is_camel_case(identifier)
}

/// A number with a unit, an ordinal, or a number in front of words: `10ms`, `5th`, `1950s`, `30-day`.
fn is_quantity(identifier: &str) -> bool {
    let unit = identifier.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = identifier.len() - unit.len();
    let word = unit.trim_start_matches(is_connector);
    number > 0
        && word.chars().all(char::is_alphabetic)
        && (word.len() < unit.len() && word.chars().all(char::is_lowercase) || unit.chars().count() <= 3)
}

/// Begins with two small letters and has a capital later: `maxReplicas`, but neither `iPhone` nor `YouTube`.
fn is_camel_case(identifier: &str) -> bool {
    identifier.chars().take(2).all(char::is_lowercase)
        && identifier.chars().all(char::is_alphanumeric)
        && hump(identifier).is_some()
}

/// FNV-1a with a final mix, so that short words spread over all 32 bits.
fn hash(term: &str) -> u32 {
    mixed(term.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
}

/// Names two terms in this order; the first is turned, so that a pair is not its reverse.
fn pair(first: u32, second: u32) -> u32 {
    mixed(first.rotate_left(11).wrapping_mul(0x9e37_79b1) ^ second)
}

fn mixed(mut hash: u32) -> u32 {
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

    fn weight(vector: &SparseVector, term: &str) -> Option<f32> {
        vector.indices.iter().position(|index| *index == hash(term)).map(|at| vector.values[at])
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

    #[test]
    fn only_identifiers_and_error_codes_are_rare() {
        let text = "Why does Mach-2 fail with ERR_4711, err_4711 or 0x80070005 (see RFC-9457 and foo::bar, maxReplicas, 10.0.0.1)?";
        assert_eq!(rare_terms(text), ["err_4711", "0x80070005", "rfc-9457", "foo::bar", "maxreplicas", "10.0.0.1"]);
        for text in [
            "in 1954",
            "30-day",
            "the 5th",
            "10ms",
            "the 1950s",
            "on YouTube",
            "iPhone",
            "type-2",
            "3.5",
            "e.g. this",
            "https://a.b/c12",
        ] {
            assert!(rare_terms(text).is_empty(), "{text}: {:?}", rare_terms(text));
        }
    }

    #[test]
    fn a_rare_term_is_held_as_a_whole_or_not_at_all() {
        let chunk = |text: &str| {
            let (document, version) = ("d".parse().unwrap(), crate::model::ContentHash("v".into()));
            let id = crate::model::ChunkId::new(&document, &version, 0);
            Chunk { id, document, version, ordinal: 0, title: String::new(), headings: vec![], text: text.to_owned() }
        };
        let rare = rare_terms("what is ERR_4711");
        assert!(holds_any(&chunk("On `err_4711`, restart."), &rare));
        assert!(!holds_any(&chunk("On ERR_47110 and 4711, restart."), &rare));
        assert!(!holds_any(&chunk("anything"), &[]));
    }

    #[test]
    fn a_term_weighs_more_when_repeated_less_in_a_long_passage_and_less_in_a_heading() {
        let once = weight(&passage("", &[], "snapshot of disk"), "snapshot").unwrap();
        let twice = weight(&passage("", &[], "snapshot of snapshot"), "snapshot").unwrap();
        let long = weight(&passage("", &[], &format!("snapshot {}", "disk ".repeat(300))), "snapshot").unwrap();
        let heading = weight(&passage("", &["snapshot".to_owned()], "disk"), "snapshot").unwrap();
        assert!(twice > once && once > long && once > heading && heading > 0.0, "{twice} {once} {long} {heading}");
        assert_eq!(weight(&passage("", &[], "disk"), "snapshot"), None);
    }

    #[test]
    fn the_weight_of_a_term_follows_bm25() {
        // Two terms of length 2: tf 1, norm = 1.2 * (0.25 + 0.75 * 2 / 100).
        let expected = 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 0.02));
        let found = weight(&passage("", &[], "snapshot disk"), "snapshot").unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn an_overlong_question_is_cut_to_a_bounded_number_of_terms() {
        let text: String = (0..100_000).map(|n| format!("wört{n} ")).collect();
        let singles = query(&text).values.iter().filter(|value| **value == 1.0).count();
        assert_eq!(singles, MAX_QUERY_TERMS);
        assert!(query(&"ü b ".repeat(1_000_000)).indices.len() <= 2 * MAX_QUERY_TERMS);
        assert!(rare_terms(&"ERR_1 ".repeat(100_000)).len() == 1);
    }

    #[test]
    fn question_and_passage_agree_on_the_names_of_terms() {
        let (question, passage) = (query("snapshots ERR_4711"), passage("", &[], "A snapshot failed: err_4711!"));
        let singles = question.indices.iter().zip(&question.values).filter(|(_, value)| **value == 1.0);
        assert!(singles.clone().count() == 4 && singles.clone().all(|(term, _)| passage.indices.contains(term)));
    }

    #[test]
    fn neighbouring_words_are_found_as_a_pair_in_their_order() {
        let question = query("the reentry of a body");
        let pairs: Vec<u32> = question
            .indices
            .iter()
            .zip(&question.values)
            .filter(|(_, value)| **value < 1.0)
            .map(|(term, _)| *term)
            .collect();
        assert_eq!(pairs.len(), 1);
        assert!(passage("", &[], "Reentry bodies glow.").indices.contains(&pairs[0]));
        for text in ["A body at reentry.", "Reentry of a blunt body."] {
            assert!(!passage("", &[], text).indices.contains(&pairs[0]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_text_has_the_words_that_the_rules_of_unicode_give_it(text in "[ a-zA-Z0-9_.,:'()/-]{0,60}") {
            let parts_of = |words: Vec<(usize, &str)>| -> Vec<String> {
                words.into_iter().flat_map(|(_, word)| parts(word)).map(str::to_owned).collect()
            };
            prop_assert_eq!(parts_of(words(&text).collect()), parts_of(text.unicode_word_indices().collect()));
        }

        #[test]
        fn vectors_are_sorted_distinct_and_finite_for_any_text(text in ".{0,300}", title in ".{0,40}") {
            for vector in [passage(&title, &[], &text), query(&text)] {
                prop_assert_eq!(vector.indices.len(), vector.values.len());
                prop_assert!(vector.indices.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(vector.values.iter().all(|value| value.is_finite() && *value > 0.0));
            }
        }

        #[test]
        fn every_rare_term_of_a_text_is_held_by_the_text(text in "[a-zA-Z0-9_:. -]{0,80}") {
            let (document, version): (crate::model::DocumentId, _) = ("d".parse().unwrap(), crate::model::ContentHash("v".into()));
            let id = crate::model::ChunkId::new(&document, &version, 0);
            let rare = rare_terms(&text);
            let chunk = Chunk { id, document, version, ordinal: 0, title: String::new(), headings: vec![], text };
            prop_assert!(rare.is_empty() || holds_any(&chunk, &rare));
        }
    }
}
