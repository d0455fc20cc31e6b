//! Scripts that are written without spaces between words, or with endings glued to them: Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese.
//!
//! They are cut into pairs of neighbouring characters. Where a word ends is nowhere written, and a dictionary decides it by what stands around the word, so that a question would be cut
//! otherwise than the text that answers it; a pair is the same wherever it stands. Pairs find about as well as words do (Nie, Gao, Zhang and Zhou, "On the use of words and n-grams for
//! Chinese information retrieval", IRAL 2000).

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    MAX_WORD_BYTES,
    terms::{Kind, Term},
};

/// A script, as far as it decides how a run of it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Characters that mean something alone.
    Han,
    /// Mostly endings and particles: one alone says nothing.
    Hiragana,
    /// Words between other scripts, and compounds of them.
    Katakana,
    /// Words between spaces, with endings.
    Hangul,
    /// Thai, Lao, Khmer and Burmese: no spaces at all, and signs around their letters.
    Southeast,
}

impl Script {
    /// The script of a character; none for those whose words stand between spaces.
    pub(super) fn of(c: char) -> Option<Self> {
        match c {
            ..='\u{e00}' => None,
            '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' => Some(Self::Southeast),
            '\u{e80}'..='\u{ecf}' | '\u{edc}'..='\u{edf}' => Some(Self::Southeast),
            '\u{1000}'..='\u{103f}' | '\u{1050}'..='\u{109f}' | '\u{1780}'..='\u{17d3}' => Some(Self::Southeast),
            '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' => Some(Self::Hangul),
            '\u{3041}'..='\u{309f}' => Some(Self::Hiragana),
            '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => Some(Self::Katakana),
            '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => Some(Self::Han),
            '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => Some(Self::Han),
            _ => None,
        }
    }

    /// Whether its words stand by themselves, so that they are terms as a whole, too.
    fn has_words(self) -> bool {
        matches!(self, Self::Katakana | Self::Hangul)
    }
}

/// Runs of one script, and what is of none of them, in the order of the text.
pub(super) fn runs(text: &str) -> impl Iterator<Item = (Option<Script>, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let script = Script::of(rest.chars().next()?);
        let end = rest.find(|c| Script::of(c) != script).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some((script, run))
    })
}

/// Calls `sink` with each term of a run until it answers `false`; tells whether it never did.
pub(super) fn each_gram(script: Script, run: &str, sink: &mut dyn FnMut(Term<'_>) -> bool) -> bool {
    if script.has_words() && run.len() <= MAX_WORD_BYTES && !sink(Term { name: run, word: None, kind: Kind::Word }) {
        return false;
    }
    let mut before: Option<&str> = None;
    for (at, character) in run.grapheme_indices(true) {
        let alone = at == 0 && character.len() == run.len();
        if alone {
            return script.has_words() || script == Script::Hiragana || sink(Term::gram(character));
        }
        // One character of many is asked for only by itself.
        let inner = Term { name: character, word: None, kind: Kind::Inner };
        if script == Script::Han && !sink(inner) {
            return false;
        }
        if let Some(before) = before {
            let pair = &run[at - before.len()..at + character.len()];
            let is_whole_word = script.has_words() && pair.len() == run.len();
            if !(is_whole_word || sink(Term::gram(pair))) {
                return false;
            }
        }
        before = Some(character);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grams(run: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (script, run) in runs(run) {
            let Some(script) = script else { continue };
            each_gram(script, run, &mut |term| {
                if term.kind != Kind::Inner {
                    found.push(term.name.to_owned());
                }
                true
            });
        }
        found
    }

    #[test]
    fn each_script_is_cut_by_what_its_characters_mean() {
        for (text, expected) in [
            ("東京都", vec!["東京", "京都"]),
            ("水", vec!["水"]),
            ("天気は", vec!["天気"]),
            ("食べる", vec!["食", "べる"]),
            ("サーバー", vec!["サーバー", "サー", "ーバ", "バー"]),
            ("서버를", vec!["서버를", "서버", "버를"]),
            ("값", vec!["값"]),
            ("防火墙配置", vec!["防火", "火墙", "墙配", "配置"]),
            ("ที่อยู่", vec!["ที่อ", "อยู่"]),
        ] {
            assert_eq!(grams(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_of_another_script_is_left_whole() {
        let found: Vec<_> = runs("ABC-4471の点検RAID").map(|(script, run)| (script.is_some(), run)).collect();
        assert_eq!(found, [(false, "ABC-4471"), (true, "の"), (true, "点検"), (false, "RAID")]);
    }

    proptest! {
        #[test]
        fn runs_are_the_text(text in "\\PC{0,40}|[a東のサ서ที ]{0,40}") {
            prop_assert_eq!(runs(&text).map(|(_, run)| run).collect::<String>(), text);
        }
    }
}
