//! What a question asks for: its words, its names, and the kind of its answer.
//!
//! Pure. The kinds are told by words of English and German.

use std::collections::BTreeSet;

use super::named::Names;
use crate::{generate::wording::Wording, lexical};

/// The kind of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many, how much.
    Number,
    /// How long, how often.
    Duration,
    /// When.
    Time,
    /// Who.
    Person,
    /// Where.
    Place,
    /// Why.
    Reason,
    /// How something is done.
    Manner,
    /// What something is.
    Definition,
    /// Which ones.
    List,
    /// Anything else.
    Other,
}

/// A question as it is answered.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) terms: BTreeSet<u32>,
    pub(super) names: Names,
    pub(super) kind: Kind,
    /// Asks which one or who, so that what is denied of something is no answer.
    chooses: bool,
    wording: Wording,
}

impl Question {
    pub(super) fn of(text: &str) -> Self {
        let lower = format!("{} ", text.to_lowercase());
        let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
        Self {
            terms: lexical::terms(text),
            names: Names::of(text),
            kind: kind(&lower),
            chooses: starts(&["which ", "who ", "welche", "wer "]),
            wording: Wording::of(text),
        }
    }

    /// Whether a text denies what the question wants to know of something.
    pub(super) fn is_denied_by(&self, text: &str) -> bool {
        self.chooses && Wording::of(text).denies(&self.wording)
    }

    /// How clearly a text has what the question asks for, from 0 to 1.
    pub(super) fn shown_by(&self, text: &str) -> f32 {
        shows(self.kind, text, &self.terms)
    }
}

/// The first of these that the question holds says its kind; the bare question words last, because the others hold them.
const ASKING: [(Kind, &[&str]); 9] = [
    (
        Kind::Number,
        &[
            "how many ",
            "how much ",
            "how large ",
            "how big ",
            "how deep ",
            "how high ",
            "how old ",
            "how fast ",
            "how far ",
            "what percentage",
            "what number",
            "what share",
            "what size",
            "which port",
            "what port",
            "wie viele ",
            "wie viel ",
            "wie groß ",
            "wie hoch ",
            "wie tief ",
            "wie alt ",
        ],
    ),
    (Kind::Duration, &["how long ", "how often ", "how frequently ", "how soon ", "wie lange ", "wie oft "]),
    (Kind::Time, &["when ", "what year", "which year", "what date", "what time", "wann "]),
    (Kind::Person, &["who ", "whom ", "whose ", "wer ", "wem ", "wen ", "wessen "]),
    (Kind::Place, &["where ", "wo ", "wohin ", "woher "]),
    (Kind::Reason, &["why ", "how come ", "what for", "warum ", "wieso ", "weshalb ", "wozu "]),
    (
        Kind::Manner,
        &["how do ", "how can ", "how to ", "how should ", "how is ", "how are ", "how does ", "how would ", "wie "],
    ),
    (Kind::List, &["which ", "what are the ", "what kinds ", "what types ", "list ", "welche "]),
    (
        Kind::Definition,
        &["what is ", "what's ", "what are ", "what does ", "what do ", "define ", "was ist ", "was bedeutet "],
    ),
];

/// Words at the beginning of a sentence in which what it is about is said.
const BEGINNING: usize = 10;

/// The kind of a question in small letters.
fn kind(lower: &str) -> Kind {
    let begins = |words: &&str| lower.starts_with(*words) || lower.contains(&format!(" {words}"));
    let found = ASKING.iter().find(|(_, words)| words.iter().any(begins)).map_or(Kind::Other, |(kind, _)| *kind);
    match found {
        // One is asked for, not several.
        Kind::List if !asks_several(lower) => Kind::Other,
        other => other,
    }
}

/// Verbs behind which a question goes on, so that the word before them is a noun.
const AUXILIARIES: [&str; 14] =
    ["can", "are", "do", "does", "may", "must", "should", "will", "is", "were", "have", "has", "of", "did"];

/// Whether what is asked for is a plural: "which formats", "which file formats can", "what are the outcomes".
fn asks_several(lower: &str) -> bool {
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["list" | "welche", ..] => true,
        ["what", "are", rest @ ..] => rest.iter().take(3).any(|word| is_plural(word)),
        [_, first, ..] if is_plural(first) => true,
        [_, _, second, verb, ..] => is_plural(second) && AUXILIARIES.contains(verb),
        _ => false,
    }
}

fn is_plural(word: &str) -> bool {
    word.len() > 3 && word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end))
}

const NUMBER_WORDS: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half", "twice", "dozen", "hundred",
    "thousand",
];
const TIME_UNITS: [&str; 22] = [
    "second", "minute", "hour", "day", "week", "month", "year", "daily", "weekly", "monthly", "forever", "ever",
    "never", "always", "nightly", "ms", "night", "sekunde", "stunde", "tag", "woche", "jahr",
];
const TIMES: [&str; 24] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "noon",
    "midnight",
    "after",
    "before",
    "when",
];
const REASONS: [&str; 16] = [
    "because",
    "since",
    "so",
    "order",
    "due",
    "therefore",
    "otherwise",
    "avoid",
    "prevent",
    "prevents",
    "reason",
    "thus",
    "cannot",
    "weil",
    "damit",
    "denn",
];
const MANNERS: [&str; 14] =
    ["use", "using", "run", "set", "call", "add", "write", "press", "type", "with", "by", "must", "should", "pass"];
const COPULAS: [&str; 12] =
    ["is", "are", "means", "mean", "refers", "stands", "was", "were", "describes", "ist", "sind", "bedeutet"];
const PLACING: [&str; 10] = ["in", "at", "on", "under", "behind", "below", "above", "inside", "into", "from"];

/// How clearly a text has an answer of this kind, from 0 to 1.
fn shows(kind: Kind, text: &str, terms: &BTreeSet<u32>) -> f32 {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let any = |listed: &[&str]| words.iter().any(|word| listed.contains(word));
    let digits = text.contains(|c: char| c.is_ascii_digit());
    let (clearly, perhaps) = match kind {
        Kind::Number => (digits || any(&NUMBER_WORDS), false),
        Kind::Duration => (words.iter().any(|word| is_time_unit(word)), digits),
        Kind::Time => (digits || any(&TIMES), false),
        Kind::Person => {
            (false, text.split_whitespace().skip(1).any(|word| word.starts_with(char::is_uppercase)) || any(&["by"]))
        }
        Kind::Place => (text.contains(" /") || text.contains("`/"), any(&PLACING)),
        Kind::Reason => (any(&["because", "since", "therefore", "weil", "denn"]), any(&REASONS)),
        Kind::Manner => (text.contains('`') || text.contains("--") || text.contains('('), any(&MANNERS)),
        Kind::Definition => (defines(&words, terms), any(&COPULAS)),
        Kind::List => (text.matches(", ").count() > 1 || text.contains('\n'), false),
        Kind::Other => (false, false),
    };
    if clearly {
        1.0
    } else if perhaps {
        0.5
    } else {
        0.0
    }
}

fn is_time_unit(word: &str) -> bool {
    TIME_UNITS.iter().any(|unit| word.trim_end_matches(['s', 'n', 'e']) == unit.trim_end_matches('e'))
}

/// Whether a text begins with what is asked for, and says what that is.
fn defines(words: &[&str], terms: &BTreeSet<u32>) -> bool {
    let beginning = &words[..words.len().min(BEGINNING)];
    let copula = beginning.iter().position(|word| COPULAS.contains(word));
    copula.is_some_and(|copula| beginning[..copula].iter().any(|word| !lexical::terms(word).is_disjoint(terms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_answer_is_told_by_the_words_of_the_question() {
        for (question, expected) in [
            ("How many children were infected?", Kind::Number),
            ("How long are snapshots kept?", Kind::Duration),
            ("When does the gate open?", Kind::Time),
            ("Who signs the book?", Kind::Person),
            ("Where is the key kept?", Kind::Place),
            ("Why is the lock held?", Kind::Reason),
            ("How do I enable it?", Kind::Manner),
            ("Which file formats can I ingest?", Kind::List),
            ("What are the outcomes of a document?", Kind::List),
            ("Which plan includes a backup?", Kind::Other),
            ("What is a snapshot?", Kind::Definition),
            ("Wie lange bleibt er?", Kind::Duration),
            ("Welche Formate gibt es?", Kind::List),
            ("snapshots", Kind::Other),
        ] {
            assert_eq!(Question::of(question).kind, expected, "{question}");
        }
    }

    #[test]
    fn a_sentence_that_denies_what_is_wanted_is_known() {
        let which = Question::of("Which plan includes backups?");
        assert!(which.is_denied_by("The Basic plan does not include backups."));
        assert!(!which.is_denied_by("The Pro plan includes backups and no telephone."));
        assert!(!Question::of("Does the plan include backups?").is_denied_by("It does not include backups."));
        assert!(Question::of("Who may enter?").is_denied_by("Visitors may not enter."));
    }
}
