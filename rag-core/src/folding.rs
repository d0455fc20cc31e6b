//! One form for what reads the same: texts are compared in it, and never stored or quoted in it.
//!
//! Pure. Characters are brought to their compatibility form (NFKC of Unicode), so that a ligature is its letters and a full-width letter the plain one; what a reader does not see, such as a
//! soft hyphen, is left out, with the end of the line behind it; digits of every script are those of ASCII.
//!
//! Guarantees: folding twice is folding once; a number stays the number that it is: what is raised, lowered or a fraction is kept apart from the digits beside it (`10⁵` is `10^5`, `2½` is `2 1⁄2`).
//! What parts the groups of a number (no-break and thin spaces) stays as it is.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, char::is_combining_mark, is_nfkc_quick};

/// A text in the form that it is compared in. Capitals and accents stay, see [`caseless`] and [`unaccented`].
pub fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_folded(text) {
        return Cow::Borrowed(text);
    }
    let seen = seen(text);
    let mut folded = String::with_capacity(seen.len());
    for part in seen.split_inclusive(parts_groups) {
        let (part, space) = match part.chars().next_back().filter(|c| parts_groups(*c)) {
            Some(space) => (&part[..part.len() - space.len_utf8()], Some(space)),
            None => (part, None),
        };
        folded.extend(part.nfkc());
        folded.extend(space);
    }
    Cow::Owned(folded)
}

/// A word in small letters; those that have no small form of their own in the form that they share with others.
pub fn caseless(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Cow::Borrowed(word);
    }
    let lower = word.to_lowercase();
    if lower.contains(['ß', 'ς']) {
        Cow::Owned(lower.replace('ß', "ss").replace('ς', "σ"))
    } else {
        Cow::Owned(lower)
    }
}

/// A word in small letters without the marks that many leave out when they type: accents of Latin and Greek letters, vowel signs of Arabic and Hebrew.
///
/// Marks that make another letter stay: those of Cyrillic, of the Indian scripts, of Japanese.
pub fn unaccented(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let mut plain = String::with_capacity(word.len());
    let mut base = ' ';
    for c in word.nfd().filter(|c| !is_vowel_sign(*c)) {
        match c {
            '\u{300}'..='\u{36f}' if takes_accents(base) => {}
            // Few type the two points of ё.
            '\u{308}' if base == 'е' => {}
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'ı' => plain.push('i'),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'þ' => plain.push_str("th"),
            _ => plain.push(c),
        }
        if !is_combining_mark(c) {
            base = c;
        }
    }
    Cow::Owned(plain.nfc().collect())
}

/// Of Arabic and Hebrew, and the stroke that only makes an Arabic word longer.
fn is_vowel_sign(c: char) -> bool {
    matches!(c, '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

fn takes_accents(base: char) -> bool {
    matches!(base, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')
}

fn is_folded(text: &str) -> bool {
    let changes = |c: char| is_unseen(c) || digit(c).is_some_and(|digit| digit != c);
    // What parts groups is no compatibility form here.
    let is_nfkc = || is_nfkc_quick(text.chars().filter(|c| !parts_groups(*c))) == IsNormalized::Yes;
    !text.contains(changes) && is_nfkc()
}

/// The text as it is seen: without what is not, numbers apart from each other, digits plain.
fn seen(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let (mut chars, mut before) = (text.chars().peekable(), Number::None);
    while let Some(c) = chars.next() {
        if c == '\u{ad}' {
            skip_line_end(&mut chars);
        }
        if is_unseen(c) {
            continue;
        }
        let number = Number::of(c);
        match (before, number) {
            (Number::Plain, Number::Raised) => seen.push('^'),
            (Number::Plain | Number::Raised, Number::Whole) | (Number::Raised | Number::Whole, Number::Plain) => {
                seen.push(' ');
            }
            (Number::Whole, Number::Raised | Number::Whole) => seen.push(' '),
            (_, Number::None)
            | (Number::None, _)
            | (Number::Plain, Number::Plain)
            | (Number::Raised, Number::Raised) => {}
        }
        seen.push(digit(c).unwrap_or(c));
        before = number;
    }
    seen
}

/// A word that was parted at the end of a line goes on in the next one.
fn skip_line_end(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut ahead = chars.clone();
    let mut blanks = || {
        while ahead.next_if(|c| matches!(c, ' ' | '\t' | '\r')).is_some() {}
        ahead.next_if_eq(&'\n').is_some()
    };
    if blanks() {
        while ahead.next_if(|c| matches!(c, ' ' | '\t' | '\r')).is_some() {}
        if ahead.peek() != Some(&'\n') {
            *chars = ahead;
        }
    }
}

/// How a character stands beside a digit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    None,
    /// A digit.
    Plain,
    /// A digit above or below the line.
    Raised,
    /// A number in one character: a fraction, a number in a circle.
    Whole,
}

impl Number {
    fn of(c: char) -> Self {
        match c {
            _ if digit(c).is_some() => Self::Plain,
            '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '\u{2080}'..='\u{2089}' => Self::Raised,
            '⁺' | '⁻' | '₊' | '₋' => Self::Raised,
            _ if !c.is_ascii() && !c.is_alphabetic() && c.nfkc().any(|c| c.is_ascii_digit()) => Self::Whole,
            _ => Self::None,
        }
    }
}

/// Zeros of the scripts that people write numbers in; their other digits follow.
const ZEROS: [char; 21] =
    ['٠', '۰', '߀', '०', '০', '੦', '૦', '୦', '௦', '౦', '೦', '൦', '๐', '໐', '༠', '０', '𝟎', '𝟘', '𝟢', '𝟬', '𝟶'];

/// The digit of ASCII that means the same.
fn digit(c: char) -> Option<char> {
    if c < ZEROS[0] {
        return c.is_ascii_digit().then_some(c);
    }
    let value = |zero: &char| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10);
    ZEROS.iter().find_map(value).and_then(|value| char::from_digit(value, 10))
}

/// What stands between groups of three digits of a number.
fn parts_groups(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}')
}

/// Characters that leave no mark on the page: soft hyphens, joiners, direction marks, selectors of a form, fillers, tags.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ligatures_full_width_and_composed_letters_are_the_plain_ones() {
        for (text, expected) in [
            ("ﬁrewall conﬁguration ﬂag", "firewall configuration flag"),
            ("ＡＢＣ－４４７１", "ABC-4471"),
            ("Cafe\u{301} Zu\u{308}rich", "Café Zürich"),
            ("ｶﾞｽ", "ガス"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("№ ５ ㎞", "No 5 km"),
            ("Ⅳ. Teil", "IV. Teil"),
            ("٤٧١١ and ๔๗๑๑ and ४७११", "4711 and 4711 and 4711"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_seen_is_left_out_and_a_parted_word_joined_across_its_line() {
        for (text, expected) in [
            ("depart\u{ad}ment", "department"),
            ("The depart\u{ad}\nment of thermo\u{ad} \r\n   meters", "The department of thermometers"),
            ("zero\u{200b}width, می\u{200c}خواهم", "zerowidth, میخواهم"),
            ("\u{feff}word\u{2060}joined \u{202e}turned\u{202c}", "wordjoined turned"),
            // The end of a paragraph is none of a word.
            ("end\u{ad}\n\nNext", "end\n\nNext"),
        ] {
            assert_eq!(folded(text), expected, "{text:?}");
        }
        assert_eq!(folded("a line\nand another"), "a line\nand another");
    }

    #[test]
    fn a_number_never_becomes_another_one() {
        for (text, expected) in [
            ("10⁵ pascal", "10^5 pascal"),
            ("10²¹", "10^21"),
            ("10⁻³", "10^−3"),
            ("2½ litres", "2 1⁄2 litres"),
            ("½ litre", "1⁄2 litre"),
            ("m², H₂O", "m2, H2O"),
            ("①2", "1 2"),
            ("5㏠", "5 1日"),
            ("𝟓𝟐", "52"),
            ("4⑫", "4 12"),
            ("12\u{202f}000 and 12\u{a0}000", "12\u{202f}000 and 12\u{a0}000"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn capitals_and_accents_are_told_apart_only_where_they_make_another_letter() {
        let plain = |word: &str| unaccented(&caseless(word)).into_owned();
        for (one, other) in [
            ("CAFÉ", "cafe"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδός"),
            ("İstanbul", "istanbul"),
            ("Łódź", "lodz"),
            ("Ærø", "aero"),
            ("كِتَاب", "كتاب"),
            ("שָׁלוֹם", "שלום"),
            ("ёлка", "елка"),
        ] {
            assert_eq!(plain(one), plain(other), "{one}");
        }
        for (one, other) in [("й", "и"), ("が", "か"), ("की", "क"), ("ส้ม", "สม")] {
            assert_ne!(plain(one), plain(other), "{one}");
        }
    }

    #[test]
    fn what_is_folded_already_is_not_copied() {
        for text in ["plain text, 5 GB", "schon gefaltet: Schlüssel – Fach 9", "東京の天気", "12\u{a0}000"] {
            assert!(matches!(folded(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}", mixed in "[0-9⁰-⁹½①٤ \u{ad}\u{200b}\n\u{a0}a\u{301}ﬁ]{0,20}") {
            for text in [text, mixed] {
                let once = folded(&text).into_owned();
                prop_assert_eq!(folded(&once), once.as_str());
                let plain = unaccented(&caseless(&once)).into_owned();
                prop_assert_eq!(unaccented(&plain), plain.as_str());
            }
        }
    }
}
