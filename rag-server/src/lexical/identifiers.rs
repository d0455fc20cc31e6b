//! Identifiers: runs of characters that are a name as a whole, such as error codes, versions and names in code.

use super::{MAX_QUERY_BYTES, MAX_QUERY_TERMS, MAX_WORD_BYTES};
use crate::model::Chunk;

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

/// Where the first capital stands that follows a small letter.
pub(super) fn hump(word: &str) -> Option<usize> {
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
pub(super) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
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

pub(super) fn normalised(identifier: &str) -> String {
    identifier.to_lowercase().replace(is_typographic_hyphen, "-")
}

/// Whether an identifier is more than one word, so that keeping it whole adds a term. Words joined by a hyphen or a slash alone (`boundary-layer`) are not.
pub(super) fn is_compound(identifier: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn an_overlong_question_has_a_bounded_number_of_them() {
        assert!(rare_terms(&"ERR_1 ".repeat(100_000)).len() == 1);
    }

    proptest! {
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
