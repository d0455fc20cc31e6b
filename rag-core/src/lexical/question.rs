//! A question as it is asked of the lexical leg, and how much of it a chunk holds.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    MAX_QUERY_BYTES, MAX_QUERY_TERMS,
    language::Language,
    stems::foreign,
    terms::{Kind, Term, each_term, hash},
    weights::{pair, passage},
};
use crate::model::{Chunk, SparseVector};

/// How much a pair of neighbouring words counts beside a single word. Measured on two judged sets (`docs/quality.md`).
const PAIR_WEIGHT: f32 = 0.4;
/// How much the stem of another language counts beside the name of the word: less, so that the word as it was asked for ranks first.
const FOREIGN_WEIGHT: f32 = 0.7;

/// A question in the terms that passages have.
#[derive(Debug, Clone, Default)]
pub struct Question {
    vector: SparseVector,
    /// Each term and each pair, with every name that a passage may have it under.
    asked: Vec<Vec<u32>>,
}

impl Question {
    /// Terms of a question, each with weight 1, and the pairs of neighbouring ones. Of an overlong question only the beginning counts.
    pub fn of(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_QUERY_BYTES)];
        let language = Language::of_question(text);
        let is_small =
            |term: &Term<'_>| language.zip(term.word).is_some_and(|(language, word)| language.has_small(word));
        let mut asked = Asked::read(text, &|term| term.kind != Kind::Inner && !is_small(term));
        if asked.terms.is_empty() {
            // Nothing but small words, or one character: they are all there is to look for.
            asked = Asked::read(text, &|_| true);
        }
        asked.question()
    }

    /// What the store is searched for.
    pub fn vector(&self) -> &SparseVector {
        &self.vector
    }

    /// The share of its terms, and pairs of neighbouring terms, that a chunk holds in its title, headings or text; 0 without terms.
    pub fn coverage(&self, chunk: &Chunk) -> f32 {
        if self.asked.is_empty() {
            return 0.0;
        }
        let held = passage(&chunk.title, &chunk.headings, &chunk.text).indices;
        let is_held = |names: &&Vec<u32>| names.iter().any(|name| held.binary_search(name).is_ok());
        self.asked.iter().filter(is_held).count() as f32 / self.asked.len() as f32
    }
}

/// What was read of a question.
#[derive(Default)]
struct Asked {
    /// Names of terms, and under which other ones their words may be found.
    terms: BTreeMap<u32, BTreeMap<u32, f32>>,
    pairs: BTreeSet<u32>,
}

impl Asked {
    fn read(text: &str, wanted: &dyn Fn(&Term<'_>) -> bool) -> Self {
        let (mut asked, mut before) = (Self::default(), None);
        each_term(text, &mut |term| {
            let name = hash(term.name);
            let wanted = wanted(&term);
            let last = if term.kind == Kind::Word { before.replace((name, wanted)) } else { None };
            if wanted {
                // Two words that differ in an accent have one name, and stems of their own.
                asked.terms.entry(name).or_default().extend(other_names(&term));
                asked.pairs.extend(last.filter(|(_, wanted)| *wanted).map(|(last, _)| pair(last, name)));
            }
            asked.terms.len() < MAX_QUERY_TERMS && asked.pairs.len() < MAX_QUERY_TERMS
        });
        asked
    }

    fn question(self) -> Question {
        let mut weights: BTreeMap<u32, f32> = self.pairs.iter().map(|pair| (*pair, PAIR_WEIGHT)).collect();
        let mut asked: Vec<Vec<u32>> = self.pairs.into_iter().map(|pair| vec![pair]).collect();
        for (name, others) in &self.terms {
            for (other, weight) in others {
                weights.entry(*other).and_modify(|stands| *stands = stands.max(*weight)).or_insert(*weight);
            }
            asked.push(std::iter::once(*name).chain(others.keys().copied()).collect());
        }
        weights.extend(self.terms.into_keys().map(|name| (name, 1.0)));
        let (indices, values) = weights.into_iter().unzip();
        Question { vector: SparseVector { indices, values }, asked }
    }
}

/// Under which names a passage may have a word: by the stems of the language that it is written in, and as older versions named words that are not plain ASCII.
fn other_names(term: &Term<'_>) -> BTreeMap<u32, f32> {
    let Some(word) = term.word else { return BTreeMap::new() };
    let stems =
        Language::ALL.into_iter().filter(|_| term.kind == Kind::Word).filter_map(|language| foreign(language, word));
    let mut names: BTreeMap<u32, f32> = stems.map(|stem| (hash(&stem), FOREIGN_WEIGHT)).collect();
    if !word.is_ascii() {
        names.insert(hash(word), 1.0);
    }
    if word.contains("ss") {
        names.insert(hash(&word.replace("ss", "ß")), 1.0);
    }
    names.remove(&hash(term.name));
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doubles;

    fn chunk(text: &str) -> Chunk {
        doubles::chunk("d".parse().unwrap(), text)
    }

    fn singles(question: &Question) -> Vec<u32> {
        let vector = question.vector();
        vector.indices.iter().zip(&vector.values).filter(|(_, value)| **value == 1.0).map(|(term, _)| *term).collect()
    }

    #[test]
    fn an_overlong_question_is_cut_to_a_bounded_number_of_terms() {
        let text: String = (0..100_000).map(|n| format!("wort{n} ")).collect();
        assert_eq!(singles(&Question::of(&text)).len(), MAX_QUERY_TERMS);
        let text: String = (0..100_000).map(|n| format!("Wört{n}er ")).collect();
        let most = MAX_QUERY_TERMS * (Language::ALL.len() + 3);
        assert!(Question::of(&text).vector().indices.len() <= most);
        assert!(Question::of(&"ü b ".repeat(1_000_000)).vector().indices.len() <= most);
    }

    #[test]
    fn question_and_passage_agree_on_the_names_of_terms() {
        let (question, passage) =
            (Question::of("snapshots ERR_4711"), passage("", &[], "A snapshot failed: err_4711!"));
        let singles = singles(&question);
        assert!(singles.len() == 4 && singles.iter().all(|term| passage.indices.contains(term)));
    }

    #[test]
    fn neighbouring_words_are_found_as_a_pair_in_their_order() {
        let question = Question::of("the reentry of a body");
        let vector = question.vector();
        let pairs: Vec<u32> = vector
            .indices
            .iter()
            .zip(&vector.values)
            .filter(|(_, v)| **v == PAIR_WEIGHT)
            .map(|(term, _)| *term)
            .collect();
        assert_eq!(pairs.len(), 1);
        assert!(passage("", &[], "Reentry bodies glow.").indices.contains(&pairs[0]));
        for text in ["A body at reentry.", "Reentry of a blunt body."] {
            assert!(!passage("", &[], text).indices.contains(&pairs[0]), "{text}");
        }
    }

    #[test]
    fn a_question_too_short_to_tell_its_language_finds_other_forms_of_its_words() {
        for (asked, text) in [
            ("Sicherung", "Tägliche Sicherungen werden sieben Tage aufbewahrt, und die wöchentlichen fünf Wochen."),
            (
                "sauvegarde quotidienne",
                "Les sauvegardes quotidiennes sont conservées pendant sept jours dans le dépôt.",
            ),
            ("copia diaria", "Las copias diarias se guardan durante siete días en el almacén."),
            ("finestra", "Le finestre della cantina sono chiuse di notte dal portiere."),
            ("sleutel", "De sleutels van de kelder liggen bij het loket en worden niet uitgeleend."),
            ("ключ", "Ключи от подвала лежат у вахтёра."),
            ("防火墙", "更新之后必须检查防火墙的配置。"),
            ("サーバー", "バックアップサーバーは地下室にある。"),
            ("서버", "백업 서버를 매주 점검한다."),
            ("กุญแจ", "กุญแจห้องใต้ดินอยู่ที่ยาม"),
        ] {
            let coverage = Question::of(asked).coverage(&chunk(text));
            assert!(coverage >= 0.5, "{asked}: {coverage}");
            assert_eq!(Question::of(asked).coverage(&chunk("Visitors sign the book at the gate.")), 0.0);
        }
    }

    #[test]
    fn small_words_of_a_questions_language_are_not_asked_for() {
        let door = chunk("Der Schlüssel für den Keller liegt beim Pförtner.");
        let other = chunk("Wo und wann der Chor probt, steht an der Tür.");
        let question = Question::of("Wo liegt der Schlüssel?");
        assert!(question.coverage(&door) > 0.6, "{}", question.coverage(&door));
        assert_eq!(question.coverage(&other), 0.0);
        // They are all that there is.
        assert!(!singles(&Question::of("der die das")).is_empty() && !singles(&Question::of("水")).is_empty());
    }

    #[test]
    fn what_older_versions_stored_is_found_by_the_name_that_they_gave_it() {
        for (asked, stored) in
            [("Büro", "büro"), ("ключи", "ключи"), ("東京", "東京"), ("snapshots", "snapshot"), ("Straße", "straße")]
        {
            assert!(Question::of(asked).vector().indices.contains(&hash(stored)), "{asked}");
        }
    }

    const ALPHABETS: &str = "\\PC{0,60}|[a-zß-ÿA-Z0-9⁰-⁹ﬁＡ-Ｚ\u{ad}\n 東京のカタ가나ที่อ.'_-]{0,60}|[а-яё α-ω]{0,40}|((der|die|und|für|Sicherungen|les|sont|pour|clés|的|防火墙) ){0,12}";

    proptest! {
        #[test]
        fn every_text_holds_all_of_itself_as_a_question(text in ALPHABETS) {
            let question = Question::of(&text);
            let coverage = question.coverage(&chunk(&text));
            prop_assert!(question.asked.is_empty() || coverage == 1.0, "{}", coverage);
        }

        #[test]
        fn whatever_language_a_passage_is_taken_for_a_question_asks_for_its_stems(text in ALPHABETS) {
            let asked = Asked::read(&text, &|_| true).question();
            let held = passage("", &[], &text).indices;
            for name in held {
                prop_assert!(asked.vector.indices.contains(&name));
            }
        }

        #[test]
        fn a_vector_is_sorted_distinct_and_finite_for_any_text(text in ".{0,300}") {
            let vector = Question::of(&text).vector;
            prop_assert_eq!(vector.indices.len(), vector.values.len());
            prop_assert!(vector.indices.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(vector.values.iter().all(|value| value.is_finite() && *value > 0.0));
        }
    }
}
