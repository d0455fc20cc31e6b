//! RTF: paragraphs, headings, lists, tables, notes and formulas, from groups and control words.
//!
//! What is hidden, struck out or deleted is left out; numbers of items stand in the text. No crate that is kept well reads tables, notes or code pages, and the format is small.

mod encoding;
mod group;
mod text;

use self::{group::Group, text::Text};
use super::{markup::malformed, piece::Take};
use crate::ingest::failure::FailureReason;

/// Groups inside each other.
const MAX_DEPTH: usize = 1000;
/// Letters of a control word.
const MAX_WORD: usize = 64;

/// Reads a document.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut reader =
        Reader { rest: bytes, groups: vec![Group::default()], text: Text::new(take), skip: 0, ignorable: false };
    reader.read()?;
    reader.text.finish()
}

struct Reader<'b, 't, 'x> {
    rest: &'b [u8],
    /// Groups that are open; the first one is none.
    groups: Vec<Group>,
    text: Text<'t, 'x>,
    /// Characters that stand for one that was read already.
    skip: usize,
    /// Whether the group that begins may be left out by who does not know it.
    ignorable: bool,
}

impl Reader<'_, '_, '_> {
    fn read(&mut self) -> Result<(), FailureReason> {
        while let Some((first, after)) = self.rest.split_first() {
            self.rest = after;
            match first {
                b'{' => self.begin()?,
                b'}' => self.end()?,
                b'\\' => self.control()?,
                b'\r' | b'\n' => {}
                byte => self.byte(*byte)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), FailureReason> {
        if self.groups.len() > MAX_DEPTH {
            return Err(malformed(format!("more than {MAX_DEPTH} groups inside each other")));
        }
        (self.skip, self.ignorable) = (0, false);
        self.text.end_bytes(self.groups.last())?;
        self.groups.extend(self.groups.last().map(Group::inner));
        Ok(())
    }

    fn end(&mut self) -> Result<(), FailureReason> {
        (self.skip, self.ignorable) = (0, false);
        self.text.end_bytes(self.groups.last())?;
        if self.groups.len() > 1
            && let (Some(group), Some(outer)) = (self.groups.pop(), self.groups.last())
        {
            self.text.end_group(&group, outer)?;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), FailureReason> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        match self.groups.last() {
            Some(group) => self.text.byte(byte, group),
            None => Ok(()),
        }
    }

    fn control(&mut self) -> Result<(), FailureReason> {
        let Some((first, after)) = self.rest.split_first() else { return Ok(()) };
        if !first.is_ascii_alphabetic() {
            self.rest = after;
            return self.sign(*first);
        }
        let end = self.rest.iter().take(MAX_WORD).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.rest.split_at(end);
        let minus = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[minus..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        let end = if digits == 0 { 0 } else { minus + digits };
        let number = std::str::from_utf8(&rest[..end]).ok().and_then(|number| number.parse::<i64>().ok());
        self.rest = &rest[end..];
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        let word = std::str::from_utf8(word).unwrap_or_default();
        self.word(word, number)
    }

    fn sign(&mut self, sign: u8) -> Result<(), FailureReason> {
        match sign {
            b'\'' => {
                let (digits, rest) = self.rest.split_at(self.rest.len().min(2));
                let byte = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                self.rest = rest;
                byte.map_or(Ok(()), |byte| self.byte(byte))
            }
            b'*' => {
                self.ignorable = true;
                Ok(())
            }
            b'~' => self.character(' '),
            b'_' => self.character('-'),
            b'\r' | b'\n' => self.word("par", None),
            b'\\' | b'{' | b'}' => self.byte(sign),
            // Hyphens that are not seen, and marks of an index.
            _ => Ok(()),
        }
    }

    fn character(&mut self, character: char) -> Result<(), FailureReason> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        match self.groups.last() {
            Some(group) => self.text.character(character, group),
            None => Ok(()),
        }
    }

    fn word(&mut self, word: &str, number: Option<i64>) -> Result<(), FailureReason> {
        let ignorable = std::mem::take(&mut self.ignorable);
        if let Some(character) = character(word) {
            return self.character(character);
        }
        let Some(group) = self.groups.last_mut() else { return Ok(()) };
        self.text.end_bytes(Some(group))?;
        match word {
            // The character that `u` stands for is followed by others for programs that do not know it.
            "u" => {
                self.skip = 0;
                let unit = (number.unwrap_or(0) & 0xffff) as u16;
                self.text.unit(unit, group)?;
                self.skip = group.fallback;
                Ok(())
            }
            "bin" => {
                let bytes = usize::try_from(number.unwrap_or(0)).unwrap_or(0).min(self.rest.len());
                self.rest = &self.rest[bytes..];
                Ok(())
            }
            _ => {
                self.skip = 0;
                group.word(word, number, ignorable, &mut self.text.known);
                self.text.word(word, number, group)
            }
        }
    }
}

/// What a word stands for that is one character.
fn character(word: &str) -> Option<char> {
    Some(match word {
        "emdash" => '—',
        "endash" => '–',
        "lquote" => '‘',
        "rquote" => '’',
        "ldblquote" => '“',
        "rdblquote" => '”',
        "bullet" => '•',
        "emspace" | "enspace" | "qmspace" => ' ',
        "tab" => '\t',
        "line" => '\n',
        _ => return None,
    })
}
