//! What programs write as JSON made into JSON; pure.
//!
//! Python writes `NaN` and `Infinity` for numbers that JSON does not have, and halves of characters that are none; a number is taken as a text, so that it stays as it was written (`2.50`).

/// The text as JSON with its numbers as texts.
pub(super) fn strict(text: &str) -> String {
    rewritten(text, true)
}

/// The text as JSON of the same length, so that a place in it is a place in the text.
pub(super) fn in_place(text: &str) -> String {
    rewritten(text, false)
}

fn rewritten(text: &str, exact: bool) -> String {
    let mut json = String::with_capacity(text.len() + if exact { text.len() / 4 } else { 0 });
    let mut rest = text;
    while let Some(first) = rest.as_bytes().first() {
        let length = match first {
            b'"' => string(rest),
            b'-' | b'+' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => word(rest),
            _ => rest.find(|c: char| c == '"' || is_word(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match token {
            "NaN" | "Infinity" | "-Infinity" | "+Infinity" if exact => json.push_str("null"),
            "NaN" | "Infinity" | "-Infinity" | "+Infinity" => json.push_str(&format!("{:<1$}", 0, token.len())),
            _ if *first == b'"' => whole_characters(token, &mut json),
            _ if exact && is_number(token) => {
                json.push('"');
                json.push_str(token);
                json.push('"');
            }
            _ => json.push_str(token),
        }
    }
    json
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_')
}

fn word(text: &str) -> usize {
    text.find(|c: char| !is_word(c)).unwrap_or(text.len())
}

/// Bytes of the string at the beginning of a text, with its quotes; all of it where it is not closed.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The string with a replacement character for each half of a pair that stands alone.
fn whole_characters(string: &str, json: &mut String) {
    let unit = |at: usize| {
        let digits = string.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = string[at..].find('\\') {
        at += found;
        let (half, next) = (unit(at), unit(at + 6));
        at += match half {
            Some(0xD800..=0xDBFF) if matches!(next, Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                json.push_str(&string[from..at]);
                json.push_str("\\ufffd");
                from = at + 6;
                6
            }
            _ => 2,
        };
        // A backslash may stand before a character of several bytes; that is for the parser to refuse.
        at = string.ceil_char_boundary(at.min(string.len()));
    }
    json.push_str(&string[from..]);
}

/// Whether this is a number as JSON has them.
fn is_number(token: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, exponent) = match token.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (token, None),
    };
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let leads = whole.len() > 1 && whole.starts_with('0');
    digits(whole) && !leads && part.is_none_or(digits) && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written_and_what_is_none_is_null() {
        let text = r#"{"a": NaN, "b": [-Infinity, 2.50, -1e-9, 123456789012345678901], "NaN": "NaN 2.5 \" 1"}"#;
        let wanted = r#"{"a": null, "b": [null, "2.50", "-1e-9", "123456789012345678901"], "NaN": "NaN 2.5 \" 1"}"#;
        assert_eq!(strict(text), wanted);
        assert_eq!(in_place(text).len(), text.len());
    }

    #[test]
    fn half_of_a_character_is_the_character_for_such_things() {
        let text = r#"["a \ud83d b", "\ud83d\ude00", "\udE00", "\\ud83d", "\ud83d"#;
        assert_eq!(strict(text), r#"["a \ufffd b", "\ud83d\ude00", "\ufffd", "\\ud83d", "\ufffd"#);
    }

    #[test]
    fn what_is_no_number_is_left_to_the_parser() {
        for text in ["01", "1.", ".5", "+1", "1e", "0x1f", "2031-01-01", "--1", "nan", "True", "-"] {
            assert_eq!(strict(text), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_json_stays_the_same_value(text in "[\\[\\]{},:\"\\\\u0-9a-fdD8.eE+ \u{e9}NaIinfty-]{0,60}") {
            let place = in_place(&text);
            prop_assert_eq!(place.len(), text.len());
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&place).unwrap(), value);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&strict(&text)).is_ok());
            }
        }
    }
}
