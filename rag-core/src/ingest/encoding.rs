//! In which encoding the bytes of a text are, and their characters.
//!
//! Told, in this order: by a byte order mark; by who sent it (`charset` of its content type); by itself (`meta charset`, the XML declaration); else it is UTF-8, unless what it holds beyond ASCII
//! is mostly no UTF-8 and reads well in the encoding that it looks like. A declaration of an encoding with one byte for each character is older than the text where that is valid UTF-8 all the same.
//!
//! Guarantees: nothing is replaced. A byte that means nothing in the encoding is an error with its place, so that a few stray bytes in a text of UTF-8 are never read as something else.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, UTF_8};

use super::failure::FailureReason;

/// Bytes at the start of a page within which it declares its encoding; browsers look at no more.
const DECLARED_WITHIN: usize = 1024;
/// Bytes beyond ASCII below which nothing is told by them.
const LEAST: usize = 4;

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) encoding: &'static Encoding,
    /// Whether nobody told it.
    pub(super) guessed: bool,
}

/// The start of a text, and what its sender said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'s> {
    pub(super) bytes: &'s [u8],
    /// Whether there is no more of it.
    pub(super) whole: bool,
    pub(super) sent: Option<&'s str>,
}

impl Start<'_> {
    /// The encoding of the text that begins so.
    pub(super) fn encoding(self) -> Result<Chosen, FailureReason> {
        if [b"\xff\xfe\0\0", b"\0\0\xfe\xff"].iter().any(|mark| self.bytes.starts_with(*mark)) {
            return Err(FailureReason::InvalidUtf8 { at: 0, hint: Some("it looks like UTF-32".to_owned()) });
        }
        let told = |encoding| Ok(Chosen { encoding, guessed: false });
        if let Some((encoding, _)) = Encoding::for_bom(self.bytes) {
            return told(encoding);
        }
        let utf8 = Utf8::of(self.bytes, self.whole);
        let sent = self.sent.and_then(|label| Encoding::for_label(label.as_bytes()));
        match sent.or_else(|| declared(self.bytes)) {
            Some(encoding) if encoding == REPLACEMENT => Err(unreadable()),
            Some(encoding) if encoding.is_single_byte() && utf8.is_certain() => told(UTF_8),
            Some(encoding) => told(encoding),
            None if utf8.wrong == 0 => told(UTF_8),
            None => Ok(match self.guess(utf8) {
                Some(encoding) => Chosen { encoding, guessed: true },
                None => Chosen { encoding: UTF_8, guessed: false },
            }),
        }
    }

    /// What a text that is no UTF-8 looks like, where all of it fits.
    fn guess(self, utf8: Utf8) -> Option<&'static Encoding> {
        if self.bytes.contains(&0) || utf8.right >= utf8.wrong {
            return None;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(self.bytes, self.whole);
        let guessed = detector.guess(None, Utf8Detection::Deny);
        let mut decoding = Decoding::of(guessed);
        let (text, _) = decoding.text(self.bytes, 0, self.whole).ok()?;
        reads_well(text).then_some(guessed)
    }
}

/// Whether what is beyond ASCII is letters, with some punctuation, as no bytes are that mean something else.
fn reads_well(text: &str) -> bool {
    let (mut all, mut letters, mut marks) = (0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        all += 1;
        letters += usize::from(c.is_alphabetic());
        marks +=
            usize::from(matches!(c, '\u{a0}' | '§' | '°' | '«' | '»' | '€' | '£' | '²' | '³' | '½' | '·' | '¿' | '¡'));
        marks += usize::from(matches!(c, '\u{2010}'..='\u{203a}' | '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff65}'));
    }
    2 * letters >= all && 10 * (letters + marks) >= 9 * all
}

/// What of a text is valid UTF-8 beyond ASCII.
#[derive(Debug, Clone, Copy)]
struct Utf8 {
    /// Characters.
    right: usize,
    /// Runs of bytes that are none.
    wrong: usize,
}

impl Utf8 {
    fn of(bytes: &[u8], whole: bool) -> Self {
        let (mut right, mut wrong, mut beyond) = (0, 0, 0);
        for chunk in bytes.utf8_chunks() {
            right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
            wrong += usize::from(!chunk.invalid().is_empty());
            beyond += chunk.invalid().len();
        }
        // The last character may go on behind the start.
        let cut = !whole && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
        let few = right + beyond < LEAST;
        Self { right: if few { right + wrong } else { right }, wrong: wrong - usize::from(cut) }
    }

    /// Whether there is something beyond ASCII, all of it valid.
    fn is_certain(self) -> bool {
        self.right > 0 && self.wrong == 0
    }
}

fn unreadable() -> FailureReason {
    let cause = "it says that it is written in an encoding that is not read any more; save it as UTF-8";
    FailureReason::Malformed { cause: cause.to_owned() }
}

/// The charset of a content type, such as `text/html; charset=windows-1252`, if it is one that is known.
pub fn charset_of(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1);
    let value = parameters.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })?;
    Encoding::for_label(value.as_bytes()).map(|encoding| encoding.name().to_owned())
}

/// The encoding that a text names itself. Who can read the name reads no UTF-16.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = bytes[..bytes.len().min(DECLARED_WITHIN)].to_ascii_lowercase();
    let label = in_xml(&start).or_else(|| in_meta(&start))?;
    let encoding = Encoding::for_label(label)?;
    Some(if encoding == REPLACEMENT { encoding } else { encoding.output_encoding() })
}

/// `<?xml version="1.0" encoding="..."?>`
fn in_xml(start: &[u8]) -> Option<&[u8]> {
    let declaration = start.trim_ascii_start().strip_prefix(b"<?xml")?;
    let declaration = &declaration[..find(declaration, b"?>")?];
    value(&declaration[find(declaration, b"encoding")? + b"encoding".len()..])
}

/// `<meta charset="...">`, or `<meta http-equiv="Content-Type" content="...; charset=...">`
fn in_meta(start: &[u8]) -> Option<&[u8]> {
    let mut rest = start;
    loop {
        rest = &rest[find(rest, b"<")?..];
        if rest.starts_with(b"<!--") {
            rest = &rest[find(rest, b"-->")?..];
        }
        let Some(tag) = rest.strip_prefix(b"<meta") else {
            rest = &rest[1..];
            continue;
        };
        let tag = &tag[..find(tag, b">").unwrap_or(tag.len())];
        rest = &rest[1..];
        let Some(at) = find(tag, b"charset") else { continue };
        let quoted = tag[..at].iter().filter(|byte| matches!(byte, b'"' | b'\'')).count() % 2 == 1;
        if (quoted && find(tag, b"http-equiv").is_none()) || !tag.first().is_some_and(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(label) = value(&tag[at + b"charset".len()..]) {
            return Some(label);
        }
    }
}

/// What is behind an equals sign, with or without quotes.
fn value(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let text = text.strip_prefix(b"\"").or_else(|| text.strip_prefix(b"'")).unwrap_or(text);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b';' | b'/' | b'>');
    let end = text.iter().position(ends).unwrap_or(text.len());
    Some(&text[..end]).filter(|label| !label.is_empty())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Bytes to characters, piece by piece.
pub(super) enum Decoding {
    /// What is valid already.
    Utf8,
    /// Everything else.
    Other(Box<Other>),
}

/// A text in another encoding.
pub(super) struct Other {
    encoding: &'static Encoding,
    decoder: Decoder,
    text: String,
}

impl Decoding {
    pub(super) fn of(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 {
            return Self::Utf8;
        }
        let decoder = encoding.new_decoder_with_bom_removal();
        Self::Other(Box::new(Other { encoding, decoder, text: String::new() }))
    }

    /// The text of bytes that begin at `at`, and how many of them it is of: the rest is the beginning of a character. After the last bytes nothing may follow.
    pub(super) fn text<'t>(
        &'t mut self,
        held: &'t [u8],
        at: u64,
        last: bool,
    ) -> Result<(&'t str, usize), FailureReason> {
        match self {
            Self::Utf8 => {
                refuse_nul(held, at)?;
                let text = valid(held, at, last)?;
                Ok((if at == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text }, text.len()))
            }
            Self::Other(other) => {
                let is_wide = !other.encoding.is_ascii_compatible();
                if !is_wide {
                    refuse_nul(held, at)?;
                }
                let text = other.decode(held, at, last)?;
                if is_wide && text.contains('\0') {
                    return Err(FailureReason::Binary { what: "it holds a NUL character".to_owned() });
                }
                Ok((text, held.len()))
            }
        }
    }
}

fn refuse_nul(held: &[u8], at: u64) -> Result<(), FailureReason> {
    match held.iter().position(|byte| *byte == 0) {
        Some(nul) => Err(FailureReason::Binary { what: format!("it holds a NUL byte at {}", at + nul as u64) }),
        None => Ok(()),
    }
}

impl Other {
    fn decode(&mut self, held: &[u8], at: u64, last: bool) -> Result<&str, FailureReason> {
        let invalid = |at| FailureReason::InvalidEncoding { encoding: self.encoding.name().to_owned(), at };
        self.text.clear();
        // No encoding takes more than three bytes of UTF-8 for one of its own, but for what was begun before.
        self.text.reserve(held.len().saturating_mul(3).saturating_add(16));
        let (result, read) = self.decoder.decode_to_string_without_replacement(held, &mut self.text, last);
        match result {
            DecoderResult::InputEmpty => {}
            DecoderResult::OutputFull => return Err(invalid(at + read as u64)),
            DecoderResult::Malformed(length, after) => {
                return Err(invalid((at + read as u64).saturating_sub(u64::from(length) + u64::from(after))));
            }
        }
        // Bytes that a table of 256 characters has no character for.
        let unassigned = |c: char| matches!(c, '\u{80}'..='\u{9f}') && c != '\u{85}';
        match self.text.chars().position(unassigned).filter(|_| self.encoding.is_single_byte()) {
            Some(characters) => Err(invalid(at + characters as u64)),
            None => Ok(&self.text),
        }
    }
}

/// The valid part; what is left is the beginning of a character whose end is still to be read.
fn valid(held: &[u8], at: u64, last: bool) -> Result<&str, FailureReason> {
    let error = match std::str::from_utf8(held) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let (text, rest) = held.split_at(error.valid_up_to());
    if last || error.error_len().is_some() {
        return Err(FailureReason::InvalidUtf8 { at: at + text.len() as u64, hint: None });
    }
    debug_assert!(rest.len() < 4, "an unfinished character has at most three bytes");
    std::str::from_utf8(text).map_err(|_| FailureReason::InvalidUtf8 { at, hint: None })
}

#[cfg(test)]
mod tests;
