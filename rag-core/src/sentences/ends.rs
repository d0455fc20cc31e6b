//! Where sentences end: by the rules of Unicode (UAX #29), and not after what only looks like an end.
//!
//! Unicode's rules know no words. What a full stop ends without ending the sentence is taken from CLDR's suppressions for English, German, French and Spanish (`common/segments` of unicode-org/cldr), without those that are
//! words of their own, such as `Job.` and `Test.`; initials and letters with full stops between them (`U.S.`, `z. B.`) are told by their form.

use unicode_segmentation::UnicodeSegmentation as _;

/// What may stand between the end of a sentence and the blank behind it: quotes, brackets, and marks of emphasis.
const CLOSING: [char; 16] = ['"', '\'', ')', ']', '}', '”', '’', '»', '›', '」', '』', '）', '】', '*', '_', '`'];

/// The sentences of a text, each with the blanks behind it; together they are the text. The end of a line is none.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let (mut start, mut end) = (0, 0);
    for part in text.split_sentence_bounds() {
        end += part.len();
        if ends(&text[start..end], &text[end..]) {
            sentences.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        sentences.push(&text[start..]);
    }
    sentences
}

/// Whether a sentence ends where Unicode's rules allow it, before `rest`.
fn ends(sentence: &str, rest: &str) -> bool {
    let text = sentence.trim_end();
    let bare = text.trim_end_matches(CLOSING);
    let Some(mark) = bare.chars().next_back().filter(|c| is_terminator(*c)) else { return false };
    // Scripts without blanks need none.
    let unspaced = is_wide(mark) || (matches!(mark, '!' | '?') && rest.starts_with(is_unspaced));
    if text.len() == sentence.len() && !unspaced {
        return false;
    }
    let goes_on = rest.trim_start().chars().next().is_none_or(char::is_lowercase);
    let abbreviates = mark == '.' && ends_with_abbreviation(bare);
    !(goes_on || abbreviates || ends_with_ordinal(bare, rest))
}

/// Whether a character ends sentences.
fn is_terminator(c: char) -> bool {
    is_wide(c) || matches!(c, '.' | '!' | '?' | '…' | '‼' | '⁇' | '⁈' | '⁉' | '։')
}

/// Whether it ends a sentence also where no blank follows: it stands for nothing else.
fn is_wide(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '．' | '｡' | '؟' | '۔' | '।' | '॥' | '။' | '።')
}

/// Characters of Chinese and Japanese.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn ends_with_abbreviation(text: &str) -> bool {
    let word = last_word(text);
    let initials = word.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    initials || ABBREVIATIONS.binary_search(&word.to_lowercase().as_str()).is_ok()
}

/// A German date: `am 3. Oktober`.
fn ends_with_ordinal(text: &str, rest: &str) -> bool {
    let day = last_word(text);
    let word = rest.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    (1..=2).contains(&day.len()) && day.bytes().all(|byte| byte.is_ascii_digit()) && MONTHS.contains(&word)
}

/// The last word of a text, without its full stop.
fn last_word(text: &str) -> &str {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '„' | '“' | '*' | '_'))
        .next()
        .unwrap_or(text)
}

const MONTHS: [&str; 13] = [
    "Januar",
    "Jänner",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// What a full stop ends without ending the sentence, in lower case. Sorted.
#[rustfmt::skip]
const ABBREVIATIONS: [&str; 163] = [
    "abb", "abs", "abt", "adj", "adv", "al", "allg", "anm", "approx", "apr", "aufl", "aug", "ausg", "avda", "bd", "bde",
    "bspw", "bzgl", "bzw", "ca", "capt", "cf", "chap", "chr", "co", "col", "corp", "dec", "dept", "depto", "dez",
    "dipl", "dir", "dott", "dr", "dra", "eds", "ee", "ehem", "eigtl", "einschl", "engl", "entspr", "eq", "eqs", "est",
    "et", "ev", "evtl", "exec", "exkl", "fa", "fam", "feb", "fig", "figs", "fn", "fr", "frl", "geb", "gen", "ges",
    "gesch", "gest", "gez", "ggf", "ggfs", "gov", "hbf", "hon", "hr", "hrn", "hrsg", "inc", "ing", "inh", "inkl",
    "insb", "jahrh", "jan", "jh", "jr", "jul", "jun", "kap", "kath", "lt", "ltd", "maj", "mar", "max", "messrs", "mgr",
    "min", "mind", "mio", "misc", "mlle", "mme", "mmes", "mr", "mrd", "mrs", "ms", "mt", "mtl", "no", "nov", "nr",
    "núm", "núms", "oct", "okt", "op", "pfd", "ph.d", "phys", "pp", "proc", "prof", "proz", "pvt", "pág", "págs", "ref",
    "refs", "rep", "resp", "rev", "röm", "sect", "sen", "sep", "sept", "sgt", "sig", "sog", "sq", "sr", "sra", "sras",
    "sres", "srta", "st", "std", "str", "tel", "tägl", "ud", "uds", "ungef", "univ", "urspr", "uu", "verf", "vgl",
    "vol", "vols", "vs", "zit", "zzgl", "éd", "österr",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn abbreviations_initials_and_dates_end_no_sentence() {
        for text in [
            "The U.S. Government pays.",
            "Open until 5 p.m. Eastern time.",
            "Gemeint ist z. B. Der Spiegel, d. h. Die Zeitung.",
            "Siehe Abb. 3 bzw. Kap. 4 von Dr. Müller, vgl. Nr. 7.",
            "Am 3. Oktober wird gefeiert.",
            "See Fig. 3 of Smith et al. (1954), e.g. the 2.5 s limit by J. Doe.",
            "Prof. Ada Lovelace Jr. (Ph.D. London) spoke on Feb. 3.",
            "He asked \"Why?\" and left.",
            "Wait… then go.",
            "Mme. Dupont et Mlle. Petit, voir chap. 3.",
            "La Sra. López de EE. UU. Escribió la pág. 4.",
        ] {
            assert_eq!(sentences(text), [text]);
        }
    }

    #[test]
    fn a_sentence_ends_in_every_script_and_behind_what_closes_it() {
        for (text, count) in [
            ("It stops. (It does.) \"Really?\" Yes!", 4),
            ("यह एक वाक्य है। यह दूसरा है।", 2),
            ("ما هذا؟ هذا كتاب.", 2),
            ("彼は「行く。」と言った。次の文。", 3),
            ("这是一句。这是第二句！", 2),
            ("这是什么?这是书!好的。", 3),
            ("鍵はどこ?守衛室です。", 2),
            ("यह एक वाक्य है।यह दूसरा है।", 2),
            ("ما هذا؟هذا كتاب.", 2),
            ("これは3.5です。次。", 2),
            ("Es gilt ab 2024. Danach nicht.", 2),
            ("It is in section 3. April comes next.\nThat is all.", 2),
            ("One line\ngoes on here. Another.", 2),
        ] {
            assert_eq!(sentences(text).len(), count, "{:?}", sentences(text));
        }
    }

    #[test]
    fn the_list_of_abbreviations_can_be_searched() {
        assert!(ABBREVIATIONS.is_sorted());
    }

    proptest! {
        #[test]
        fn sentences_are_the_text_and_end_only_where_the_rules_of_unicode_allow_it(text in "[ A-Ca-c.!?()\"\n。」1é]{0,60}") {
            let found = sentences(&text);
            prop_assert_eq!(found.concat(), text.clone());
            let bounds: Vec<usize> = text.split_sentence_bound_indices().map(|(at, _)| at).collect();
            let mut at = 0;
            for sentence in found {
                prop_assert!(at == 0 || bounds.contains(&at));
                prop_assert!(!sentence.is_empty());
                at += sentence.len();
            }
        }
    }
}
