//! What a text denies: which words stand under a `not`, a `never` or a `nobody`.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{Shape, Word};

/// Words that deny what follows in their clause, or, with nothing behind them, what stands before.
#[rustfmt::skip]
const DENYING: [&str; 44] = [
    "not", "never", "no", "nobody", "none", "nothing", "neither", "nor", "nowhere", "without", "cannot", "hardly", "lacks", "lack",
    "lacking", "fails", "fail", "failed", "refuses", "refused", "prevents", "prevent", "prevented", "unable", "false", "untrue",
    "nicht", "kein", "keine", "keinen", "keiner", "keines", "keinem", "nie", "niemals", "niemand", "nichts", "ohne", "weder",
    "nirgends", "keinesfalls", "keineswegs", "falsch", "unwahr",
];

/// Words that deny only where `that` follows: a wrong figure is one that exists.
const ABOUT_A_SENTENCE: [&str; 4] = ["false", "untrue", "falsch", "unwahr"];
/// Denying words that are verbs: only with another verb behind them.
const WITH_TO: [&str; 5] = ["fails", "fail", "failed", "refuses", "refused"];

/// A word that denies, and what it denies.
#[derive(Debug, Clone)]
pub(super) struct Negation {
    /// The telling words under it, as places among the words of the text, in their order.
    pub(super) denied: Vec<usize>,
    pub(super) clause: usize,
}

/// What a text denies.
pub(super) fn negations(words: &[Word]) -> Vec<Negation> {
    (0..words.len()).filter(|at| denies(words, *at)).map(|at| negation(words, at)).collect()
}

fn denies(words: &[Word], at: usize) -> bool {
    let lower = words[at].lower.as_str();
    let next = |by: usize| words.get(at + by).map_or("", |word| word.lower.as_str());
    if lower.ends_with("n't") {
        return true;
    }
    if !DENYING.contains(&lower) {
        return false;
    }
    if ABOUT_A_SENTENCE.contains(&lower) {
        return matches!(next(1), "that" | "dass");
    }
    if WITH_TO.contains(&lower) {
        return next(1) == "to";
    }
    // "No. 5", and what is a bound or says that more is meant.
    let numbered = lower == "no" && words.get(at + 1).is_some_and(|word| word.shape == Shape::Number);
    let more = matches!((lower, next(1)), ("not" | "nicht", "only" | "just" | "nur"));
    let bound = ["than", "als"].contains(&next(2)) || matches!(next(1), "exceed" | "exceeds" | "exceeding");
    !(numbered || more || bound)
}

fn negation(words: &[Word], at: usize) -> Negation {
    let sentence = ABOUT_A_SENTENCE.contains(&words[at].lower.as_str());
    let clause = words[at].clause;
    let telling = |from: usize, to: usize| -> Vec<usize> {
        (from..to).filter(|at| words[*at].clause == clause || sentence).filter(|at| words[*at].is_telling()).collect()
    };
    let mut denied = telling(at + 1, words.len());
    if denied.is_empty() {
        denied = telling(0, at);
    }
    Negation { denied, clause: words[at].clause }
}

/// A text with what it denies.
pub(super) struct Said<'t> {
    pub(super) words: &'t [Word],
    pub(super) negations: &'t [Negation],
}

impl Said<'_> {
    fn denied(&self) -> BTreeSet<usize> {
        self.negations.iter().flat_map(|negation| negation.denied.iter().copied()).collect()
    }

    /// Whether a word stands here outside of every negation.
    fn affirms(&self, stem: &str) -> bool {
        let denied = self.denied();
        self.words.iter().enumerate().any(|(at, word)| word.stem == stem && !denied.contains(&at))
    }

    fn has(&self, stem: &str) -> bool {
        self.words.iter().any(|word| word.stem == stem)
    }
}

/// Whether a claim denies what a text says, or says what it denies.
pub(super) fn contradicts(claim: &Said<'_>, part: &Said<'_>) -> bool {
    let unfounded = claim.negations.iter().any(|negation| !is_founded(negation, claim, part));
    let denied = part.negations.iter().any(|negation| is_affirmed(negation, claim, part));
    unfounded || denied || all_denied(claim, part) || opposes(claim, part)
}

/// Whether the text denies what the claim denies here, or says the opposite of it.
fn is_founded(negation: &Negation, claim: &Said<'_>, part: &Said<'_>) -> bool {
    let denied: Vec<&Word> = negation.denied.iter().map(|at| &claim.words[*at]).collect();
    let clause = nearest_clause(claim, part);
    let mut there = part
        .words
        .iter()
        .filter(|other| Some(other.clause) == clause || denied.iter().all(|word| !part.has(&word.stem)));
    if there.any(|other| denied.iter().any(|word| word.is_opposite(other))) {
        return true;
    }
    if part.negations.is_empty() {
        return false;
    }
    let both = part.denied().into_iter().any(|at| denied.iter().any(|word| word.stem == part.words[at].stem));
    // In other words than the text, so nothing can be compared but that both deny something of one matter.
    let denies_there = part.negations.iter().any(|negation| Some(negation.clause) == clause);
    both || (denies_there && denied.iter().all(|word| !part.has(&word.stem)))
}

/// Whether the claim says what the text denies here.
fn is_affirmed(negation: &Negation, claim: &Said<'_>, part: &Said<'_>) -> bool {
    let Some(head) = negation.denied.first().map(|at| &part.words[*at].stem) else { return false };
    if !claim.negations.is_empty() || part.affirms(head) || !claim.affirms(head) {
        return false;
    }
    let opposed = claim.words.iter().any(|word| negation.denied.iter().any(|at| word.is_opposite(&part.words[*at])));
    let said = negation.denied.iter().filter(|at| claim.affirms(&part.words[**at].stem)).count();
    !opposed && said * 2 >= negation.denied.len()
}

/// Whether the text speaks of the claim's matter only in clauses that deny, and the claim denies nothing.
fn all_denied(claim: &Said<'_>, part: &Said<'_>) -> bool {
    if !claim.negations.is_empty() || part.negations.is_empty() {
        return false;
    }
    let shared = part.words.iter().filter(|word| word.is_telling() && claim.has(&word.stem));
    let clauses: BTreeSet<usize> = shared.map(|word| word.clause).collect();
    let opposite = claim.words.iter().any(|word| part.words.iter().any(|other| word.is_opposite(other)));
    !opposite
        && !clauses.is_empty()
        && clauses.iter().all(|clause| part.negations.iter().any(|negation| negation.clause == *clause))
}

/// Whether the claim has the opposite of a word of the text, and neither is denied.
fn opposes(claim: &Said<'_>, part: &Said<'_>) -> bool {
    let (denied, denied_there) = (claim.denied(), part.denied());
    let clause = nearest_clause(claim, part);
    let there = |at: &usize| Some(part.words[*at].clause) == clause;
    claim.words.iter().enumerate().filter(|(_, word)| word.shape == Shape::Word).any(|(at, word)| {
        let said: Vec<usize> = (0..part.words.len()).filter(|other| part.words[*other].stem == word.stem).collect();
        if said.iter().any(there) {
            return false;
        }
        // Where the text has the word as well, the clause that speaks of the claim's matter counts.
        let opposites = (0..part.words.len()).filter(|other| said.is_empty() || there(other));
        let opposites = opposites.filter(|other| word.is_opposite(&part.words[*other]));
        let mut opposites = opposites.filter(|other| !claim.has(&part.words[*other].stem)).peekable();
        opposites.peek().is_some() && opposites.all(|other| denied.contains(&at) == denied_there.contains(&other))
    })
}

/// The clause of the text that shares most words with the claim.
fn nearest_clause(claim: &Said<'_>, part: &Said<'_>) -> Option<usize> {
    let mut shared = BTreeMap::<usize, usize>::new();
    for word in part.words.iter().filter(|word| word.shape != Shape::Sign && claim.has(&word.stem)) {
        *shared.entry(word.clause).or_default() += 1 + usize::from(word.is_telling());
    }
    shared.into_iter().rev().max_by_key(|(_, count)| *count).map(|(clause, _)| clause)
}
