//! A question of one word that stands nowhere, and the word that was meant.
//!
//! No list of the corpus' words is kept: the index itself is one. Every word that is one error away (a letter missing, too many, another one, or two that changed places; Damerau, "A technique for computer detection and
//! correction of spelling errors", CACM 7, 1964) is asked for at once, a few hundred terms, and what is found is the spelling that the corpus has. The cost depends on the length of the word alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    stems::Stems,
    terms::{each_term, hash},
};
use crate::{
    folding::{caseless, folded, unaccented},
    model::{Chunk, SparseVector},
};

/// Letters below which a word has too many neighbours that are words.
const LEAST_LETTERS: usize = 5;
/// Letters below which another letter makes another word more often than an error: Paris is no misspelt parts.
const LEAST_REPLACED: usize = 8;
/// Letters of a word that is looked at; a longer one has too many neighbours.
const MOST_LETTERS: usize = 24;

/// The words that may have been meant by a question of one word.
#[derive(Debug, Clone)]
pub struct Misspelt {
    neighbours: BTreeSet<String>,
}

impl Misspelt {
    /// None where the question is not one word of letters of one alphabet.
    pub fn of(question: &str) -> Option<Self> {
        let question = folded(question);
        let word = question.trim_matches(|c: char| !c.is_alphanumeric());
        let word = unaccented(&caseless(word)).into_owned();
        let letters: Vec<char> = word.chars().collect();
        let alphabet = alphabet(*letters.first()?)?;
        let fits =
            (LEAST_LETTERS..=MOST_LETTERS).contains(&letters.len()) && letters.iter().all(|c| alphabet.contains(c));
        fits.then(|| Self { neighbours: neighbours(&letters, alphabet) })
    }

    /// What finds a passage with one of these words.
    pub fn vector(&self) -> SparseVector {
        let stems = Stems::default();
        let terms: BTreeMap<u32, f32> = self.neighbours.iter().map(|word| (hash(&stems.of(word)), 1.0)).collect();
        let (indices, values) = terms.into_iter().unzip();
        SparseVector { indices, values }
    }

    /// The first of these words that a chunk holds, as the chunk writes it but for capitals.
    pub fn spelt_in(&self, chunk: &Chunk) -> Option<String> {
        let mut spelt = None;
        for text in [&chunk.text, &chunk.title].into_iter().chain(&chunk.headings) {
            each_term(text, &mut |term| {
                let word = term.word.filter(|word| self.neighbours.contains(&*unaccented(word)));
                spelt = word.map(str::to_owned);
                spelt.is_none()
            });
            if spelt.is_some() {
                break;
            }
        }
        spelt
    }
}

/// The alphabet of a letter without accents.
fn alphabet(letter: char) -> Option<std::ops::RangeInclusive<char>> {
    match letter {
        'a'..='z' => Some('a'..='z'),
        'а'..='я' => Some('а'..='я'),
        'α'..='ω' => Some('α'..='ω'),
        _ => None,
    }
}

/// Every word that is one error away.
fn neighbours(word: &[char], alphabet: std::ops::RangeInclusive<char>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for at in 0..=word.len() {
        let (head, tail) = word.split_at(at);
        let mut add = |middle: &[char], tail: &[char]| {
            found.insert([head, middle, tail].concat().into_iter().collect::<String>())
        };
        for letter in alphabet.clone() {
            add(&[letter], tail);
        }
        let [first, rest @ ..] = tail else { continue };
        add(&[], rest);
        if word.len() >= LEAST_REPLACED {
            for letter in alphabet.clone() {
                add(&[letter], rest);
            }
        }
        if let [second, rest @ ..] = rest {
            add(&[*second, *first], rest);
        }
    }
    found.remove(&word.iter().collect::<String>());
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doubles;

    fn chunk(text: &str) -> Chunk {
        doubles::chunk("d".parse().unwrap(), text)
    }

    fn spelt(asked: &str, text: &str) -> Option<String> {
        let misspelt = Misspelt::of(asked)?;
        let chunk = chunk(text);
        let spelt = misspelt.spelt_in(&chunk);
        if spelt.is_some() {
            let held = super::super::passage("", &[], text).indices;
            assert!(
                misspelt.vector().indices.iter().any(|term| held.contains(term)),
                "the store finds it, too: {asked}"
            );
        }
        spelt
    }

    #[test]
    fn a_word_with_one_error_is_found_in_the_spelling_of_the_text() {
        for (asked, text, expected) in [
            ("sabatical", "Employees may take a Sabbatical of three months.", "sabbatical"),
            ("sabbaticall?", "A sabbatical is unpaid.", "sabbatical"),
            ("kubernets", "Kubernetes runs the servers.", "kubernetes"),
            ("vacaton", "Each vacation is planned in March.", "vacation"),
            ("vacatoin", "Each vacation is planned in March.", "vacation"),
            ("snapshit", "Two snapshots, one snapshot.", "snapshot"),
            ("Schlüsel", "Der Schlüssel liegt beim Pförtner.", "schlüssel"),
            ("congélateru", "Le congélateur est au sous-sol.", "congélateur"),
            ("подвла", "Ключи от подвала у вахтёра.", "подвала"),
        ] {
            assert_eq!(spelt(asked, text).as_deref(), Some(expected), "{asked}");
        }
    }

    #[test]
    fn what_is_no_single_word_of_letters_or_too_short_is_left_as_it_is() {
        for asked in
            ["", "two words", "tax", "ERR_4711", "v1234567", "東京都庁", &"a".repeat(MOST_LETTERS + 1), "snapшот"]
        {
            assert!(Misspelt::of(asked).is_none(), "{asked}");
        }
        assert_eq!(spelt("sabatical", "A holiday of three months."), None);
        assert_eq!(spelt("paris", "The parts are in the cellar."), None);
        assert_eq!(spelt("sbtcl", "A sabbatical is unpaid."), None);
    }

    proptest! {
        #[test]
        fn the_neighbours_of_a_word_are_bounded_and_not_the_word(word in "[a-z]{5,24}|[а-я]{5,24}") {
            let misspelt = Misspelt::of(&word).unwrap();
            prop_assert!(!misspelt.neighbours.contains(&word));
            prop_assert!(misspelt.vector().indices.len() <= misspelt.neighbours.len() && misspelt.neighbours.len() <= 66 * (word.chars().count() + 1));
        }
    }
}
