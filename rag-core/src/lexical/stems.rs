//! What the forms of a word have in common, by the Snowball algorithms.
//!
//! Every word is stemmed by its letters alone, whatever language it is of: English for Latin letters, Russian for Cyrillic, Greek, Arabic and Tamil for theirs. A passage that is written in
//! another language has its words by the stems of that language as well, and a question by those of all of them, since a question is too short to tell.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};

use super::{MAX_WORD_BYTES, language::Language};
use crate::folding::unaccented;

/// The stem of a word without accents in small letters, by its letters alone.
pub(super) struct Stems {
    english: Stemmer,
}

impl Default for Stems {
    fn default() -> Self {
        Self { english: Stemmer::create(Algorithm::English) }
    }
}

impl Stems {
    pub(super) fn of<'w>(&self, word: &'w str) -> Cow<'w, str> {
        if word.len() > MAX_WORD_BYTES {
            return Cow::Borrowed(word);
        }
        if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return self.english.stem(word);
        }
        match algorithm(word) {
            Some(algorithm) => Cow::Owned(unaccented(&Stemmer::create(algorithm).stem(word)).into_owned()),
            None if word.contains(',') => Cow::Owned(word.replace(',', "")),
            None => Cow::Borrowed(word),
        }
    }
}

/// The algorithm for a word of another alphabet than the Latin one.
fn algorithm(word: &str) -> Option<Algorithm> {
    let all = |is: fn(char) -> bool| word.chars().all(is);
    match word.chars().next()? {
        '\u{400}'..='\u{4ff}' => all(|c| matches!(c, 'а'..='я')).then_some(Algorithm::Russian),
        '\u{370}'..='\u{3ff}' => all(|c| matches!(c, 'α'..='ω')).then_some(Algorithm::Greek),
        '\u{600}'..='\u{6ff}' => all(|c| matches!(c, '\u{621}'..='\u{64a}')).then_some(Algorithm::Arabic),
        '\u{b80}'..='\u{bff}' => all(|c| matches!(c, '\u{b82}'..='\u{bcd}')).then_some(Algorithm::Tamil),
        _ => None,
    }
}

/// The stem of a word in small letters with its accents, by a language of the Latin alphabet; none for what is no word of letters.
pub(super) fn foreign(language: Language, word: &str) -> Option<String> {
    let letter = |c: char| c.is_ascii_lowercase() || matches!(c, '\u{df}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
    if word.len() > MAX_WORD_BYTES || !word.chars().all(letter) {
        return None;
    }
    let stem = Stemmer::create(language.algorithm()).stem(word).into_owned();
    // Marked, so that it is never taken for a word of English.
    Some(format!("~{}", unaccented(&stem)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem_in_every_language() {
        for (language, one, other) in [
            (Language::German, "sicherung", "sicherungen"),
            (Language::German, "häuser", "haus"),
            (Language::French, "sauvegardes", "sauvegarde"),
            (Language::French, "conservées", "conservé"),
            (Language::Spanish, "guardadas", "guardado"),
            (Language::Italian, "finestre", "finestra"),
            (Language::Portuguese, "cópias", "cópia"),
            (Language::Dutch, "sleutels", "sleutel"),
            (Language::Swedish, "nycklarna", "nycklar"),
            (Language::Danish, "nøglerne", "nøgler"),
            (Language::Norwegian, "nøklene", "nøkler"),
            (Language::Finnish, "avaimessa", "avaimesta"),
            (Language::Hungarian, "kulcsok", "kulcs"),
            (Language::Romanian, "sistemului", "sistemul"),
            (Language::Turkish, "anahtarlar", "anahtar"),
        ] {
            assert_eq!(foreign(language, one), foreign(language, other), "{one} {other}");
        }
        let stems = Stems::default();
        for (one, other) in [("ключи", "ключ"), ("сервера", "сервер"), ("snapshots", "snapshot")]
        {
            assert_eq!(stems.of(one), stems.of(other), "{one} {other}");
        }
    }

    #[test]
    fn a_number_or_a_name_with_digits_has_no_stem_of_another_language() {
        for word in ["4711", "v2", "err_1", "東京", "ключ"] {
            assert_eq!(foreign(Language::German, word), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn no_word_breaks_a_stemmer(
            latin in "[a-zß-ɏḀ-ỿ]{0,24}", cyrillic in "[а-я]{0,24}", greek in "[α-ω]{0,24}", arabic in "[\u{621}-\u{64a}]{0,24}",
            tamil in "[\u{b82}-\u{bcd}]{0,24}", any in "\\PC{0,24}",
        ) {
            let stems = Stems::default();
            for word in [&latin, &cyrillic, &greek, &arabic, &tamil, &any] {
                stems.of(word);
                for language in Language::ALL {
                    foreign(language, word);
                }
            }
        }
    }
}
