//! Surrogates in escapes. A pair is one character; half of one is none, and a reader that is strict refuses the whole text for it.
//!
//! Whoever cuts text by 16-bit units writes halves: JavaScript, Java and C# do, in the middle of an emoji.

/// Puts U+FFFD in the place of each half of a surrogate pair. As long as what it replaces, so that places in messages still hold.
pub(super) fn replace(json: &mut [u8]) {
    let mut at = 0;
    // In JSON a backslash stands in texts alone, so these need not be told apart.
    while let Some(next) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += next;
        at += match (unit(json, at), unit(json, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                if let Some(digits) = json.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                6
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
    }
}

/// The 16-bit unit whose escape begins here.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
    let digit = |value: u16, byte: &u8| Some(value << 4 | u16::try_from(char::from(*byte).to_digit(16)?).ok()?);
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        replace(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_half_is_replaced_and_a_pair_is_kept() {
        for (given, expected) in [
            (r#""snap \ud83d shots""#, r#""snap \ufffd shots""#),
            (r#""\uDC00""#, r#""\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            // No escape at all: the backslash before it is one.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\u00e9""#, r#""\u00e9""#),
        ] {
            assert_eq!(replaced(given), expected, "{given}");
        }
    }

    #[test]
    fn what_breaks_off_is_left_to_the_reader() {
        for text in ["", "\\", "\\u", "\\ud8", "\\ud83", "\\ud8zz", "a\\"] {
            assert_eq!(replaced(text), text);
        }
    }
}
