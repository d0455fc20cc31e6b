//! Identifiers: runs of characters that are a name as a whole, such as error codes, versions and names in code.

use std::collections::BTreeSet;

use super::{MAX_QUERY_BYTES, MAX_QUERY_TERMS, MAX_WORD_BYTES, scripts::Script, terms::terms};
use crate::{folding::folded, model::Chunk};

/// The identifiers and error codes of a question, and what else it asks for.
///
/// Quantities (`30-day`, `10ms`), plain numbers and names of products (`YouTube`) are none. How rare one is in the corpus cannot be seen from it.
#[derive(Debug, Clone, Default)]
pub struct Identifiers {
    /// Lower-cased.
    names: Vec<String>,
    /// The terms of the question beside them, without those that only ask what something is.
    beside: BTreeSet<u32>,
}

impl Identifiers {
    /// Those of a question; of an overlong one only the beginning counts.
    pub fn of(question: &str) -> Self {
        let question = &*folded(&question[..question.floor_char_boundary(MAX_QUERY_BYTES)]);
        let (mut names, mut beside, mut from) = (Vec::new(), String::new(), 0);
        for candidate in identifiers(question).filter(|candidate| is_identifier(candidate)) {
            let at = candidate.as_ptr() as usize - question.as_ptr() as usize;
            beside.push_str(&question[from..at]);
            from = at + candidate.len();
            let name = normalised(candidate);
            if names.len() < MAX_QUERY_TERMS && !names.contains(&name) {
                names.push(name);
            }
        }
        beside.push_str(&question[from..]);
        let asking = terms(ASKING);
        Self { names, beside: terms(&beside).difference(&asking).copied().collect() }
    }

    /// Whether the question has none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Without those that so many of the chunks hold that they tell none from the others.
    #[must_use]
    pub fn held_by_at_most<'c>(mut self, most: usize, chunks: impl Iterator<Item = &'c Chunk>) -> Self {
        let mut holding = vec![0_usize; self.names.len()];
        for chunk in chunks {
            for (count, held) in holding.iter_mut().zip(self.held_by(chunk)) {
                *count += usize::from(held);
            }
        }
        let mut counts = holding.into_iter();
        self.names.retain(|_| counts.next().is_some_and(|count| count <= most));
        self
    }

    /// Whether a chunk holds one of them, as a whole.
    pub fn are_held_by(&self, chunk: &Chunk) -> bool {
        !self.names.is_empty() && self.held_by(chunk).contains(&true)
    }

    /// Of each whether a chunk holds it.
    fn held_by(&self, chunk: &Chunk) -> Vec<bool> {
        let mut held = vec![false; self.names.len()];
        for text in [&chunk.title, &chunk.text].into_iter().chain(&chunk.headings) {
            for candidate in identifiers(&folded(text)) {
                let candidate = normalised(candidate);
                if let Some(at) = self.names.iter().position(|name| *name == candidate) {
                    held[at] = true;
                }
            }
        }
        held
    }

    /// The share of what else the question asks for that a chunk holds in its title, headings or text; 1 where it asks for nothing else.
    pub fn rest_held_by(&self, chunk: &Chunk) -> f32 {
        if self.beside.is_empty() {
            return 1.0;
        }
        let mut held = terms(&chunk.text);
        for above in std::iter::once(&chunk.title).chain(&chunk.headings) {
            held.extend(terms(above));
        }
        self.beside.intersection(&held).count() as f32 / self.beside.len() as f32
    }
}

/// What is said around an identifier by somebody who asks what it is, or what to do about it. English and German.
const ASKING: &str = "mean means meaning explain explanation describe description define definition tell show give find help please \
    error errors code codes message messages warning exception fault failure fail fails failed problem issue happen happens \
    cause causes caused reason fix fixed solve resolve handle avoid get gets got getting see seeing say says know stand stands \
    refer refers information details number version name identifier setting parameter option value use used work works \
    was ist heißt bedeutet bedeutung der die das den dem ein eine einen bei beim mit für zu tun wie kann man ich erklären erkläre \
    fehler fehlercode fehlermeldung meldung warnung ursache grund beheben behebe bekomme steht wofür warum tritt auf kommt";

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
    text.split(|c: char| Script::of(c).is_some() || !(c.is_alphanumeric() || is_connector(c)))
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

/// Whether a run of characters names something as a whole: a code, a version, a name in code.
fn is_identifier(identifier: &str) -> bool {
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
    use crate::doubles;

    fn names(text: &str) -> Vec<String> {
        Identifiers::of(text).names
    }

    fn chunk(text: &str) -> Chunk {
        doubles::chunk("d".parse().unwrap(), text)
    }

    #[test]
    fn only_codes_versions_and_names_in_code_are_identifiers() {
        let text = "Why does Mach-2 fail with ERR_4711, err_4711 or 0x80070005 (see RFC-9457 and foo::bar, maxReplicas, 10.0.0.1)?";
        assert_eq!(names(text), ["err_4711", "0x80070005", "rfc-9457", "foo::bar", "maxreplicas", "10.0.0.1"]);
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
            assert!(names(text).is_empty(), "{text}: {:?}", names(text));
        }
    }

    #[test]
    fn an_identifier_is_held_as_a_whole_or_not_at_all() {
        let asked = Identifiers::of("what is ERR_4711");
        assert!(asked.are_held_by(&chunk("On `err_4711`, restart.")));
        assert!(!asked.are_held_by(&chunk("On ERR_47110 and 4711, restart.")));
        assert!(!Identifiers::of("what is this").are_held_by(&chunk("anything")));
    }

    #[test]
    fn what_only_asks_about_an_identifier_is_nothing_else_that_is_asked_for() {
        let nothing = chunk("nothing");
        for text in [
            "What is error E1042?",
            "What does ERR_TIMEOUT_7 mean?",
            "How do I fix E1042, please?",
            "E1042",
            "Was bedeutet der Fehler E1042?",
            "Was kann man bei der Fehlermeldung ERR_TIMEOUT_7 tun?",
        ] {
            assert_eq!(Identifiers::of(text).rest_held_by(&nothing), 1.0, "{text}");
        }
        let policy = chunk("Travel during COVID-19 needs the approval of the head of department.");
        for text in [
            "Which football club won the league during COVID-19?",
            "What is the recipe of pancakes in the COVID-19 cookbook?",
            "Welcher Verein gewann die Meisterschaft während COVID-19?",
        ] {
            let asked = Identifiers::of(text);
            assert!(asked.are_held_by(&policy) && asked.rest_held_by(&policy) < 0.5, "{text}");
        }
        assert_eq!(Identifiers::of("Who approves travel during COVID-19?").rest_held_by(&policy), 1.0);
    }

    #[test]
    fn an_identifier_is_the_same_in_every_form_and_beside_every_script() {
        let table = chunk("記号ＡＢＣ－４４７１の点検は三月に行う。エラーE\u{200b}5077は冷却水の不足を示す。");
        for asked in ["ABC-4471", "ABC\u{2011}4471", "ａｂｃ－４４７１", "E5077", "E٥٠٧٧"] {
            let asked = Identifiers::of(asked);
            assert!(asked.are_held_by(&table), "{asked:?}");
        }
        assert!(!Identifiers::of("ABC-447").are_held_by(&table) && !Identifiers::of("ABC-4472").are_held_by(&table));
    }

    #[test]
    fn what_many_chunks_hold_tells_none_from_the_others() {
        let chunks = [chunk("ERR_1 and ERR_2"), chunk("ERR_1 again"), chunk("err_1, err_1")];
        let rare = |most| Identifiers::of("ERR_1 ERR_2").held_by_at_most(most, chunks.iter()).names;
        assert_eq!((rare(2), rare(3)), (vec!["err_2".to_owned()], vec!["err_1".to_owned(), "err_2".to_owned()]));
    }

    #[test]
    fn an_overlong_question_has_a_bounded_number_of_them() {
        assert!(names(&"ERR_1 ".repeat(100_000)).len() == 1);
    }

    proptest! {
        #[test]
        fn every_identifier_of_a_text_is_held_by_the_text(text in "[a-zA-Z0-9_:. -]{0,80}") {
            let asked = Identifiers::of(&text);
            let chunk = chunk(&text);
            prop_assert!(asked.is_empty() || asked.are_held_by(&chunk));
            prop_assert_eq!(asked.rest_held_by(&chunk), 1.0);
        }
    }
}
