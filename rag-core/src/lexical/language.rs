//! The language that a text is written in, by its small words, and which words are such.
//!
//! A passage has dozens of them, and hardly any is of two languages; a list of them is smaller and quicker than a model of letters, and says why it decided so. Other alphabets than the Latin
//! one need no guess, see `stems`.

use std::{collections::HashMap, sync::LazyLock};

use rust_stemmers::Algorithm;

use super::{
    small_words::{SMALL_WORDS, TELLING},
    terms::is_stop_word,
};
use crate::folding::folded;

/// Small words that a language must be told by, at least; one that several languages have counts its share.
const LEAST: f32 = 1.5;
/// Of the words of a text, this share must be such.
const SHARE: f32 = 0.06;

/// The same for a question, which must have no more than half as many of English.
const LEAST_OF_QUESTION: f32 = 1.2;
/// A question of fewer words is a name, or a word that any language may have.
const FEW: f32 = 3.0;

/// A language of the Latin alphabet that is not English. In the order of [`Language::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Swedish,
    Danish,
    Norwegian,
    Finnish,
    Hungarian,
    Romanian,
    Turkish,
}

impl Language {
    pub(super) const ALL: [Self; 13] = [
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Portuguese,
        Self::Dutch,
        Self::Swedish,
        Self::Danish,
        Self::Norwegian,
        Self::Finnish,
        Self::Hungarian,
        Self::Romanian,
        Self::Turkish,
    ];

    /// The language of texts that stand together; none for English, and for what is hardly prose.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<Self> {
        let mut told = Told::default();
        texts.into_iter().for_each(|text| told.read(text));
        let (language, score) = told.best();
        (score >= LEAST && score >= SHARE * told.words && score > told.english).then_some(language)
    }

    /// The language of a question, which has few words.
    pub(super) fn of_question(text: &str) -> Option<Self> {
        let mut told = Told::default();
        told.read(text);
        let (language, score) = told.best();
        (score >= LEAST_OF_QUESTION && told.words >= FEW && score > 2.0 * told.english).then_some(language)
    }

    /// Whether a word in small letters is one of its small words.
    pub(super) fn has_small(self, word: &str) -> bool {
        LANGUAGES.get(word).is_some_and(|languages| languages & (1 << self as usize) != 0)
    }

    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::German => Algorithm::German,
            Self::French => Algorithm::French,
            Self::Spanish => Algorithm::Spanish,
            Self::Italian => Algorithm::Italian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Dutch => Algorithm::Dutch,
            Self::Swedish => Algorithm::Swedish,
            Self::Danish => Algorithm::Danish,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Finnish => Algorithm::Finnish,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Romanian => Algorithm::Romanian,
            Self::Turkish => Algorithm::Turkish,
        }
    }
}

/// What small words tell of the language of a text.
#[derive(Default)]
struct Told {
    scores: [f32; Language::ALL.len()],
    english: f32,
    words: f32,
}

impl Told {
    fn read(&mut self, text: &str) {
        for word in folded(text).split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            self.words += 1.0;
            let lower = word.to_lowercase();
            self.english += f32::from(u8::from(is_stop_word(&lower)));
            let Some(languages) = LANGUAGES.get(&*lower) else { continue };
            // What many languages have tells little.
            let told = 1.0 / languages.count_ones() as f32;
            for (at, score) in self.scores.iter_mut().enumerate() {
                *score += if languages & (1 << at) != 0 { told } else { 0.0 };
            }
        }
    }

    /// The first of those that are told best.
    fn best(&self) -> (Language, f32) {
        let first = (Language::ALL[0], self.scores[0]);
        let others = Language::ALL.into_iter().zip(self.scores).skip(1);
        others.fold(first, |best, other| if other.1 > best.1 { other } else { best })
    }
}

/// Small words, and the languages that have them, as bits by their places in [`Language::ALL`].
static LANGUAGES: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    let mut words = HashMap::new();
    for (language, small_words) in SMALL_WORDS {
        for word in small_words.split_whitespace() {
            *words.entry(word).or_insert(0) |= 1 << language as usize;
        }
    }
    words
});

/// Whether a word in small letters is a small word of some language, and of none a telling one.
pub(crate) fn is_small(word: &str) -> bool {
    LANGUAGES.contains_key(word) && TELLING.binary_search(&word).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_few_sentences_is_told() {
        for (text, expected) in [
            ("Daily snapshots are kept for seven days and weekly ones for five weeks.", None),
            (
                "Tägliche Sicherungen werden sieben Tage aufbewahrt, die wöchentlichen fünf Wochen.",
                Some(Language::German),
            ),
            ("Les sauvegardes quotidiennes sont conservées pendant sept jours dans le dépôt.", Some(Language::French)),
            ("Las copias diarias se guardan durante siete días en el almacén.", Some(Language::Spanish)),
            ("Le copie giornaliere sono conservate per sette giorni nel deposito della sede.", Some(Language::Italian)),
            ("As cópias diárias são guardadas durante sete dias no armazém.", Some(Language::Portuguese)),
            ("De dagelijkse kopieën worden zeven dagen bewaard in het magazijn.", Some(Language::Dutch)),
            ("De dagliga kopiorna sparas i sju dagar och de veckovisa är kvar längre.", Some(Language::Swedish)),
            (
                "Varmuuskopiot säilytetään seitsemän päivää, mutta viikoittaiset ovat tallessa myös sen jälkeen.",
                Some(Language::Finnish),
            ),
            ("A napi mentések hét napig vannak meg, és a hetiek is csak öt hétig.", Some(Language::Hungarian)),
            (
                "Copiile zilnice sunt păstrate șapte zile și cele săptămânale pentru cinci săptămâni.",
                Some(Language::Romanian),
            ),
            (
                "Günlük yedekler yedi gün saklanır ve haftalık olanlar için beş hafta kadar bir süre var.",
                Some(Language::Turkish),
            ),
            ("fn main() { let x: Vec<u8> = read(path)?; }", None),
            ("von Karman vortex street and the de Laval nozzle at Mach 3", None),
            ("", None),
        ] {
            assert_eq!(Language::of([text]), expected, "{text}");
        }
        let scandinavian = Language::of(["Nøglerne til kælderen ligger hos portneren, og de må ikke lånes ud."]);
        assert!(matches!(scandinavian, Some(Language::Danish | Language::Norwegian)), "{scandinavian:?}");
    }

    #[test]
    fn the_language_of_a_question_is_told_by_fewer_words_and_only_where_nothing_is_english() {
        for (text, expected) in [
            ("Wie lange werden Sicherungen aufbewahrt?", Some(Language::German)),
            ("Wo liegt der Schlüssel?", Some(Language::German)),
            ("Quand ferme la cantine ?", Some(Language::French)),
            ("¿Dónde está la llave?", Some(Language::Spanish)),
            ("Who is Kim?", None),
            ("Kim", None),
            ("die cast tool", None),
            ("von Karman vortex", None),
        ] {
            assert_eq!(Language::of_question(text), expected, "{text}");
        }
    }

    #[test]
    fn a_small_word_that_says_something_elsewhere_is_a_word_like_any_other() {
        for word in ["und", "für", "quelle", "dónde", "não", "het", "och", "jeg", "että", "hogy", "și", "için"] {
            assert!(is_small(word), "{word}");
        }
        for word in ["die", "war", "door", "met", "snapshot", "era", "van"] {
            assert!(!is_small(word), "{word}");
        }
        assert!(TELLING.is_sorted());
    }
}
