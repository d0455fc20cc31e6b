//! What the parsers of text get of a source: each line ends with a line feed, also where a carriage return stood alone, and what is written as a `data:` URL is left out.
//!
//! A picture inside a text is no text: cut and embedded it would be thousands of chunks of noise. It is left out while it passes, so one of any length costs no memory.
//! Everything else is passed on byte for byte, and what is passed on depends on the source alone, never on how it came in pieces.

use std::borrow::Cow;

use crate::ingest::failure::FailureReason;

/// Bytes between `data:` and the comma: a media type with its parameters.
const MAX_HEAD: usize = 128;
/// Bytes of data from which on it is left out; shorter ones stand in texts that explain such URLs.
const LEAST: usize = 64;

const SCHEME: &str = "data:";

/// Takes a part of the text; an error ends the reading.
type Take<'t> = dyn FnMut(&str) -> Result<(), FailureReason> + 't;

/// Cleans a source.
#[derive(Default)]
pub(super) struct Cleaned {
    /// The end of what was fed, where what follows decides what becomes of it.
    held: String,
    /// The data that is being left out.
    within: Option<Data>,
    /// Whether a letter or digit stands before what is held: `metadata:` begins no URL.
    after_word: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Base64,
    Percent,
}

impl Data {
    /// Bytes at the start of `text` that belong to the data.
    fn length(self, text: &[u8]) -> usize {
        let marks: &[u8] = match self {
            Self::Base64 => b"+/=-_%",
            Self::Percent => b"-._~:/?#@!$&*+,;=%",
        };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            // JSON may write a slash as `\/`.
            let escaped = *byte == b'\\' && text.get(at + 1) == Some(&b'/');
            if !(escaped || byte.is_ascii_alphanumeric() || marks.contains(byte)) {
                break;
            }
            at += 1 + usize::from(escaped);
        }
        at
    }
}

/// What a `data:` turned out to be.
enum Url {
    /// Data, which begins after so many bytes.
    Data(Data, usize),
    Nothing,
    /// More of the text decides.
    Undecided,
}

impl Cleaned {
    pub(super) fn feed(&mut self, piece: &str, take: &mut Take<'_>) -> Result<(), FailureReason> {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        self.read(&text, false, take)
    }

    pub(super) fn finish(mut self, take: &mut Take<'_>) -> Result<(), FailureReason> {
        let text = std::mem::take(&mut self.held);
        self.read(&text, true, take)
    }

    fn read(&mut self, text: &str, last: bool, take: &mut Take<'_>) -> Result<(), FailureReason> {
        let mut rest = text;
        loop {
            if let Some(data) = self.within {
                rest = &rest[data.length(rest.as_bytes())..];
                if (rest.is_empty() || rest == "\\") && !last {
                    rest.clone_into(&mut self.held);
                    return Ok(());
                }
                self.within = None;
            }
            let (text, found) = self.next_url(rest, last);
            self.pass(text, take)?;
            rest = &rest[text.len()..];
            match found {
                Url::Data(data, after) => (self.within, rest) = (Some(data), &rest[after..]),
                Url::Nothing => return Ok(()),
                Url::Undecided => {
                    rest.clone_into(&mut self.held);
                    return Ok(());
                }
            }
        }
    }

    /// The text up to the next URL, or up to what is to be held.
    fn next_url<'t>(&self, text: &'t str, last: bool) -> (&'t str, Url) {
        let bytes = text.as_bytes();
        for (colon, _) in text.match_indices(':') {
            let Some(at) = (colon + 1).checked_sub(SCHEME.len()) else { continue };
            let begins = bytes[at..=colon].eq_ignore_ascii_case(SCHEME.as_bytes());
            let inside = if at == 0 { self.after_word } else { bytes[at - 1].is_ascii_alphanumeric() };
            if !begins || inside {
                continue;
            }
            match url(&bytes[colon + 1..], last) {
                Url::Nothing => {}
                Url::Undecided => return (&text[..at], Url::Undecided),
                Url::Data(data, head) => return (&text[..at], Url::Data(data, SCHEME.len() + head)),
            }
        }
        let open = if last { 0 } else { open_end(bytes) };
        let found = if open == 0 { Url::Nothing } else { Url::Undecided };
        (&text[..text.len() - open], found)
    }

    fn pass(&mut self, text: &str, take: &mut Take<'_>) -> Result<(), FailureReason> {
        let Some(end) = text.as_bytes().last() else { return Ok(()) };
        self.after_word = end.is_ascii_alphanumeric();
        take(&line_ends(text))
    }
}

/// Bytes at the end of a text that may begin a URL or a line end of two characters.
fn open_end(text: &[u8]) -> usize {
    let scheme = SCHEME.as_bytes();
    let begins = |length: &usize| {
        text.len().checked_sub(*length).is_some_and(|from| text[from..].eq_ignore_ascii_case(&scheme[..*length]))
    };
    if text.ends_with(b"\r") { 1 } else { (1..scheme.len()).rev().find(begins).unwrap_or(0) }
}

/// What stands after `data:`.
fn url(text: &[u8], last: bool) -> Url {
    let undecided = if last { Url::Nothing } else { Url::Undecided };
    let window = &text[..text.len().min(MAX_HEAD)];
    let in_head = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/;=\\".contains(byte);
    let Some(comma) = window.iter().position(|byte| !in_head(byte)) else {
        return if window.len() < MAX_HEAD { undecided } else { Url::Nothing };
    };
    if window[comma] != b',' {
        return Url::Nothing;
    }
    let data = if text[..comma].to_ascii_lowercase().ends_with(b";base64") { Data::Base64 } else { Data::Percent };
    let rest = &text[comma + 1..];
    let length = data.length(rest);
    if length >= LEAST {
        Url::Data(data, comma + 1)
    } else if length + usize::from(rest.ends_with(b"\\")) < rest.len() {
        Url::Nothing
    } else {
        undecided
    }
}

/// The text with a line feed for each carriage return that stands alone.
fn line_ends(text: &str) -> Cow<'_, str> {
    let alone = |(at, _): &(usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
    let mut returns = text.match_indices('\r').filter(alone).peekable();
    if returns.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let (mut ended, mut from) = (String::with_capacity(text.len()), 0);
    for (at, _) in returns {
        ended.push_str(&text[from..at]);
        ended.push('\n');
        from = at + 1;
    }
    ended.push_str(&text[from..]);
    Cow::Owned(ended)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cleaned(text: &str, piece: usize) -> String {
        let mut cleaned = Cleaned::default();
        let mut all = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
            cleaned
                .feed(part, &mut |text| {
                    all.push_str(text);
                    Ok(())
                })
                .unwrap();
            assert!(cleaned.held.len() <= MAX_HEAD + LEAST + SCHEME.len() + 4, "{} bytes are held", cleaned.held.len());
            rest = after;
        }
        cleaned
            .finish(&mut |text| {
                all.push_str(text);
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn a_picture_inside_a_text_is_left_out() {
        let data = "iVBORw0KGgo+/".repeat(700);
        for (text, wanted) in [
            (format!("![drawing](data:image/png;base64,{data}==) and"), "![drawing]() and"),
            (format!("<img src=\"DATA:image/svg+xml;charset=utf-8;base64,{data}\" alt='x'>"), "<img src=\"\" alt='x'>"),
            (format!("[logo]: data:image/gif;base64,{data}\nnext"), "[logo]: \nnext"),
            (format!("url(data:image/svg+xml,%3Csvg%20{})", "a%20".repeat(50)), "url()"),
            (format!("{{\"a\":\"data:image\\/png;base64,{}\"}}", data.replace('/', "\\/")), "{\"a\":\"\"}"),
        ] {
            for piece in [1, 3, 50, 1 << 20] {
                assert_eq!(cleaned(&text, piece), wanted, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_only_speaks_of_data_stays() {
        let long = "x".repeat(100);
        for text in [
            "data: we keep it for 7 days, and no longer".to_owned(),
            "a URL such as data:image/png;base64,iVBORw0KGgo= holds a picture".to_owned(),
            format!("metadata:text/plain,{long}"),
            format!("data:{long}{long},{long}"),
            "it ends with dat".to_owned(),
            "it ends with data:image/png;base64,iVBO".to_owned(),
        ] {
            for piece in [1, 3, 1 << 20] {
                assert_eq!(cleaned(&text, piece), text, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_carriage_return_alone_ends_a_line() {
        for piece in [1, 2, 99] {
            assert_eq!(cleaned("a\r\rb\r\nc\r", piece), "a\n\nb\r\nc\n");
        }
    }

    proptest! {
        #[test]
        fn the_pieces_decide_nothing(
            parts in prop::collection::vec(
                prop::sample::select(vec!["data:", "image/png", ";base64", ",", "\r", "\n", "(", "é", "\\/", "dat", "abcdefghijklmnopqrstuvwxyz0123456789"]),
                0..30,
            ),
            piece in 1_usize..60,
        ) {
            let text = parts.concat();
            prop_assert_eq!(cleaned(&text, piece), cleaned(&text, usize::MAX));
        }
    }
}
