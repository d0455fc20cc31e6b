//! What a question names: a version, a number, an identifier, a letter, a proper name; and whether a text names it, or another one of its kind.
//!
//! Pure. Words near in meaning answer each other's questions, names do not: what is said of release 2.5 is no answer to a question about 2.6.
//! Of one kind are names behind the same word (`release 2.5`, `vitamin K`), of the same pattern (`ERR_4711`, `ERR_4712`), and letters with and without a sign (`C`, `C++`, `C#`).

use std::collections::BTreeSet;

use super::tokens::{self, Shape, Token};
use crate::{folding::folded, generate::wording, lexical};

/// Shortest proper name.
const MIN_PROPER: usize = 3;

/// One name of a question.
#[derive(Debug, Clone)]
struct Name {
    /// As it was asked for, with the word before it where that says what it is.
    said: String,
    key: String,
    /// Of a proper name, which may be written in another form.
    terms: BTreeSet<u32>,
    pattern: String,
    /// None of a proper name: of those nobody knows which are of one kind.
    shape: Option<Shape>,
    /// The term of the word before it.
    kind: Option<u32>,
}

/// The names of a question.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Vec<Name>);

/// What a text says of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// It names one of them.
    Held,
    /// It names another one of the same kind, and none of them.
    Other,
    /// It names nothing of their kind.
    Silent,
}

impl Names {
    pub(super) fn of(question: &str) -> Self {
        // In a question without any small letter capitals say nothing.
        let shouted = !question.contains(char::is_lowercase);
        let question = &*folded(question);
        let tokens = tokens::tokens(question);
        let proper = !shouted && capitals_tell(question, &tokens);
        let mut names: Vec<Name> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &tokens[before]);
            let kind = before.and_then(Token::kind);
            let is_name = match token.shape {
                Some(Shape::Code) => true,
                Some(Shape::Number) => kind.is_some() || token.key.len() > 1,
                Some(Shape::Letter) => !shouted && is_letter_name(token, kind),
                // The word before a number or a letter says of what kind that is.
                None => {
                    proper && is_proper(token, begins_sentence(question, token)) && !names_a_kind(tokens.get(at + 1))
                }
            };
            if is_name && names.iter().all(|name| name.key != token.key) {
                let said = match before
                    .filter(|_| kind.is_some() && matches!(token.shape, Some(Shape::Number | Shape::Letter)))
                {
                    Some(before) => format!("{} {}", before.text, token.text),
                    None => token.text.to_owned(),
                };
                let (key, pattern) = (token.key.clone(), pattern(&token.key));
                let terms = if token.shape.is_none() { lexical::terms(&key) } else { BTreeSet::new() };
                names.push(Name { said, key, terms, pattern, shape: token.shape, kind });
            }
        }
        Self(names)
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// What a text says of them.
    pub(super) fn naming(&self, text: &str) -> Naming {
        if self.are_none() {
            return Naming::Silent;
        }
        let text = folded(text);
        let tokens = tokens::tokens(&text);
        if self.0.iter().any(|name| name.is_held(&tokens)) {
            Naming::Held
        } else if self.0.iter().any(|name| name.has_other(&tokens)) {
            Naming::Other
        } else {
            Naming::Silent
        }
    }

    /// Those that none of these texts names, and whether instead of them all another one of their kind stands there.
    pub(super) fn missing(&self, texts: &[&str]) -> (Vec<String>, bool) {
        if self.are_none() {
            return (Vec::new(), false);
        }
        let texts: Vec<_> = texts.iter().map(|text| folded(text)).collect();
        let tokens: Vec<Vec<Token<'_>>> = texts.iter().map(|text| tokens::tokens(text)).collect();
        let held = |name: &&Name| tokens.iter().any(|tokens| name.is_held(tokens));
        let (held, missing): (Vec<&Name>, Vec<&Name>) = self.0.iter().partition(held);
        let other = |name: &&Name| tokens.iter().any(|tokens| name.has_other(tokens));
        let others_alone = held.is_empty() && missing.iter().any(other);
        (missing.into_iter().map(|name| name.said.clone()).collect(), others_alone)
    }
}

fn names_a_kind(next: Option<&Token<'_>>) -> bool {
    next.is_some_and(|next| matches!(next.shape, Some(Shape::Number | Shape::Letter)))
}

/// Whether capitals tell names from other words: neither in a title, nor in German, where every noun has one.
fn capitals_tell(question: &str, tokens: &[Token<'_>]) -> bool {
    let long = tokens.iter().skip(1).filter(|token| token.text.chars().count() >= MIN_PROPER);
    let (capital, all) = long.fold((0, 0), |(capital, all), token| {
        (capital + usize::from(token.text.starts_with(char::is_uppercase)), all + 1)
    });
    (capital < all || all == 1) && !wording::is_german(question)
}

/// Whether a token stands where any word has a capital.
fn begins_sentence(question: &str, token: &Token<'_>) -> bool {
    let before = &question[..token.text.as_ptr() as usize - question.as_ptr() as usize];
    before.trim_end().chars().next_back().is_none_or(|c| matches!(c, '.' | '?' | '!' | ':' | '…'))
}

/// Whether a word is a proper name: a capital within a sentence, or more than one in its first word.
fn is_proper(token: &Token<'_>, first: bool) -> bool {
    let mut capitals = token.text.chars().filter(|c| c.is_uppercase());
    let long = token.text.chars().count() >= MIN_PROPER && token.text.chars().all(char::is_alphabetic);
    long && token.text.starts_with(char::is_uppercase) && (!first || capitals.nth(1).is_some())
}

/// Whether a letter is a name rather than a word: `A` and `I` are words, unless a kind stands before `A`.
fn is_letter_name(token: &Token<'_>, kind: Option<u32>) -> bool {
    match token.key.as_str() {
        "I" => false,
        "A" => kind.is_some(),
        _ => true,
    }
}

impl Name {
    fn is_held(&self, tokens: &[Token<'_>]) -> bool {
        let same = |token: &Token<'_>| {
            token.key == self.key
                || (!self.terms.is_empty() && token.shape.is_none() && lexical::terms(&token.key) == self.terms)
                || (self.shape == Some(Shape::Code)
                    && (is_end_of(&token.key, &self.key) || is_end_of(&self.key, &token.key)))
        };
        // Written as two words: `RFC 9457`, `max replicas`.
        let split =
            |pair: &[Token<'_>]| self.key.strip_prefix(&*pair[0].lower()).is_some_and(|rest| *rest == *pair[1].lower());
        tokens.iter().any(same) || (self.shape == Some(Shape::Code) && tokens.windows(2).any(split))
    }

    fn is_signed(&self) -> bool {
        self.key.contains(['#', '+'])
    }

    /// Whether another one of its kind is named.
    fn has_other(&self, tokens: &[Token<'_>]) -> bool {
        if self.shape.is_none() {
            return false;
        }
        tokens.iter().enumerate().any(|(at, token)| {
            let Some(shape) = token.shape.filter(|_| token.key != self.key) else { return false };
            let kind = || at.checked_sub(1).and_then(|before| tokens[before].kind());
            if self.shape == Some(Shape::Code) && shape == Shape::Code && self.pattern.contains('0') {
                let of_pattern = pattern(&token.key) == self.pattern;
                return of_pattern || (self.kind.is_some() && kind() == self.kind);
            }
            // Letters with a sign are of one kind whatever stands before them.
            let letters = self.shape == Some(Shape::Letter) && shape == Shape::Letter;
            let signed = letters && (self.is_signed() || token.key.contains(['#', '+']));
            match self.kind {
                _ if signed => true,
                Some(_) => kind() == self.kind,
                None => letters && is_letter_name(token, kind()),
            }
        })
    }
}

/// A key with each run of digits as one zero: `ERR_4711` and `ERR_4712` have one pattern.
fn pattern(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for c in key.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && pattern.ends_with('0')) {
            pattern.push(c);
        }
    }
    pattern
}

/// Whether a name without a point is the last part of one with points: `reduce` of `functools.reduce`, but no file of another.
fn is_end_of(bare: &str, dotted: &str) -> bool {
    dotted.rsplit_once('.').is_some_and(|(_, last)| last == bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_versions_numbers_letters_and_identifiers() {
        let said = |text: &str| Names::of(text).0.into_iter().map(|name| name.said).collect::<Vec<_>>();
        for (question, expected) in [
            ("default timeout in release 2.6", vec!["release 2.6"]),
            ("How much vitamin D do adults need?", vec!["vitamin D"]),
            ("C# style", vec!["C#"]),
            ("Is C++ faster than C?", vec!["C++", "C"]),
            ("What does Appendix C say?", vec!["Appendix C"]),
            ("What does ERR_4711 mean, and maxReplicas?", vec!["ERR_4711", "maxReplicas"]),
            ("How deep is station 117 in metres?", vec!["station 117"]),
            ("What does --dry-run do?", vec!["--dry-run"]),
            ("What happened from 2008-2009?", vec!["2008", "2009"]),
            ("Which complications does type II have?", vec!["type II"]),
            ("How do I connect it to Elasticsearch?", vec!["Elasticsearch"]),
            ("SAML login", vec!["SAML"]),
            ("Connect The Server To Grafana", vec![]),
            ("Wie verbinde ich den Server mit der Sicherung?", vec![]),
            ("Do I need a key for the 3 servers?", vec![]),
            ("WHAT IS PLAN B", vec![]),
            ("Which file formats can I ingest?", vec![]),
            ("What is e.g. a plan?", vec![]),
            ("When does the gate open? And the rest?", vec![]),
            ("The gate is shut. Grafana shows it in Denmark.", vec!["Denmark"]),
        ] {
            assert_eq!(said(question), expected, "{question}");
        }
    }

    #[test]
    fn a_text_names_what_is_asked_for_or_another_one_of_its_kind() {
        use Naming::{Held, Other, Silent};
        for (question, text, expected) in [
            ("timeout in release 2.6", "Release 2.5 raised it to 45 seconds.", Other),
            ("timeout in release 2.6", "Release 2.60 raised it.", Other),
            ("timeout in release 2.6", "Since v2.6 it is 50 seconds, in release 2.5 it was 45.", Held),
            ("timeout in release 2.6", "The timeout is 2.5 seconds.", Silent),
            ("How much vitamin D?", "Vitamin K: adults need 120 µg a day.", Other),
            ("How much vitamin D?", "Vitamins are healthy. I take a pill.", Silent),
            ("C# style", "C++ style: indent with tabs.", Other),
            ("C style", "C# style: indent with four spaces.", Other),
            ("C style", "A style for C: eight columns.", Held),
            ("What is ERR_4711?", "ERR_4712 means that it expired.", Other),
            ("What is ERR_4711?", "On err-4711, restart.", Held),
            ("What is ERR_4711?", "ERROR_LIMIT is 7.", Silent),
            ("Who wrote RFC-9457?", "RFC 9457 is by three.", Held),
            ("What does functools.reduce do?", "reduce(function, iterable) applies it.", Held),
            ("What is the price of ZX-4410?", "sku: ZX-4411; price: 9.99 EUR", Other),
            ("Wie tief ist Station 117?", "Station 116 | 3 | 50", Other),
            ("What does config.toml set?", "Cargo.toml names the crate.", Silent),
            ("What does config_map hold?", "The con\u{ad}fig_map holds it.", Held),
            ("Was kostet das innerhalb von 14 Tagen?", "Rechnungen sind innerhalb von 30 Tagen zu zahlen.", Silent),
            ("What did the WHO change in release 2.6?", "The timeout rose in release 2.5.", Other),
        ] {
            assert_eq!(Names::of(question).naming(text), expected, "{question} beside {text}");
        }
    }

    #[test]
    fn what_no_text_names_is_missing_and_alone_where_only_others_stand_there() {
        let both = Names::of("What changed between release 2.5 and release 2.6?");
        let texts = ["Release 2.4 came in May.", "Release 2.5 came in June."];
        assert_eq!(both.missing(&texts), (vec!["release 2.6".to_owned()], false));
        let one = Names::of("What changed in release 2.6?");
        assert_eq!(one.missing(&texts), (vec!["release 2.6".to_owned()], true));
        assert_eq!(Names::of("Who came in 1954?").missing(&texts), (vec!["1954".to_owned()], false));
        assert_eq!(Names::of("What came?").missing(&texts), (vec![], false));
    }
}
