//! Whether two texts say nearly the same.
//!
//! Pure, and bounded by the texts: no index of the corpus is asked. Sheets made from one template, or two versions of a page, differ in a name or a date; beside each other they fill the
//! places of an answer with one statement. Nearly the same is what shares most of its different words, in whatever order (A. Broder, "On the Resemblance and Containment of Documents",
//! 1997, with single words for shingles, since a name changes every shingle of a short text).
//!
//! Caveat: a text that is written without spaces has few words here, and is told from another one too easily.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The share of their different words that two such texts have in common. A sheet of one sentence with another name shares nine tenths of them, two facts of one kind about a half.
const MOST: f32 = 0.8;

/// The different words of a text, by their hashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(BTreeSet<u64>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Self(words.map(hashed).collect())
    }

    /// Whether a text says nearly the same as another one, and neither holds a word of the question that the other one lacks: then what differs is what was asked for.
    pub(super) fn repeat(&self, other: &Self, question: &Self) -> bool {
        let (fewer, more) = (self.0.len().min(other.0.len()), self.0.len().max(other.0.len()));
        // So many words cannot be shared.
        if fewer == 0 || (fewer as f32) < MOST * more as f32 {
            return false;
        }
        let shared = self.0.intersection(&other.0).count();
        let either = self.0.len() + other.0.len() - shared;
        shared as f32 >= MOST * either as f32
            && self.0.symmetric_difference(&other.0).all(|word| !question.0.contains(word))
    }
}

fn hashed(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(a: &str, b: &str, question: &str) -> bool {
        let (a, b, question) = (Words::of(a), Words::of(b), Words::of(question));
        assert_eq!(a.repeat(&b, &question), b.repeat(&a, &question));
        a.repeat(&b, &question)
    }

    const SHEET: &str = "Supplier Alder. Invoices are paid within thirty days of receipt, and a reminder follows.";

    #[test]
    fn a_sheet_with_another_name_says_nearly_the_same_and_an_exception_does_not() {
        let other = SHEET.replace("Alder", "Birch").to_uppercase();
        assert!(repeat(SHEET, &other, "When are invoices paid?"));
        let exempt = "Invoices of the supplier Cedar are exempt: they are paid on the day of receipt by cheque.";
        assert!(!repeat(SHEET, exempt, "When are invoices paid?"));
        assert!(!repeat("Zone 7 costs 88 euro.", "Zone 8 costs 92 euro.", "What is dear?"));
    }

    #[test]
    fn what_differs_in_a_word_of_the_question_is_no_repetition() {
        let other = SHEET.replace("Alder", "Birch");
        for question in ["When does birch pay?", "And Alder?", "Alder or Birch?"] {
            assert!(!repeat(SHEET, &other, question), "{question}");
        }
    }

    #[test]
    fn a_text_without_words_and_one_that_holds_much_more_repeat_nothing() {
        assert!(!repeat("", "", "x") && !repeat("--", "- -", "x"));
        assert!(!repeat(SHEET, &format!("{SHEET} Payment by cheque has to be asked for at the counter."), "x"));
    }
}
