//! Reads a document in pieces: its hash in one pass, its chunks in a second one. Never holds more than a piece of it.
//!
//! Runs on blocking threads; knows no port.

use std::{
    io::Read,
    sync::atomic::{AtomicBool, Ordering},
};

use encoding_rs::UTF_8;

use super::{
    chunk::{self, Chunker, Draft, Limits},
    encoding::{Chosen, Decoding, Start},
    failure::FailureReason,
    growth,
    parse::{Format, Parser, check_start},
    reader::{self, Reader},
    source::Source,
};
use crate::model::{ContentHash, Notice, Notices};

/// Bytes that are read at once; the encoding of a text is told by the first of them.
const PIECE: usize = 64 * 1024;

/// Bytes at the start of a document within which its format shows.
const SNIFF: usize = 1024;

/// What the first pass found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inspected {
    pub(super) version: ContentHash,
    pub(super) bytes: u64,
}

/// What the second pass found out at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) chunks: u32,
    pub(super) notices: Notices,
}

/// Reads all of a document, checks that it is text, and names its version.
pub(super) fn inspect(source: &Source) -> Result<Inspected, FailureReason> {
    source.check()?;
    let (bytes, limit) = (source.content.len()?, source.format.max_bytes());
    if bytes > limit {
        return Err(FailureReason::TooLarge { bytes, limit });
    }
    if source.format.is_binary() {
        let mut start = Vec::new();
        let inspected = self::bytes(source, &mut |piece| {
            start.extend_from_slice(&piece[..piece.len().min(SNIFF - start.len())]);
            Ok(())
        })?;
        check_binary(source.format, &start)?;
        return Ok(inspected);
    }
    let mut blank = true;
    let read = pieces(source, &mut |piece| {
        blank = blank && piece.chars().all(char::is_whitespace);
        Ok(())
    })?;
    if blank { Err(FailureReason::Empty) } else { Ok(read.inspected) }
}

/// Reads a document again and cuts it; `take` gets each chunk together with the title, which is settled by then, and may end the pass by returning false.
///
/// Fails when the document is no longer the inspected one.
pub(super) fn chunks(
    source: &Source,
    inspected: &Inspected,
    cutting: Cutting<'_>,
    take: &mut dyn FnMut(Draft, Option<&str>) -> bool,
) -> Result<Parsed, FailureReason> {
    let mut chunker = Chunker::new(cutting.limits, cutting.count);
    let mut count = 0_u32;
    let mut hand_over = |chunker: &mut Chunker<'_>| {
        while let Some(draft) = chunker.pop() {
            count = count.saturating_add(1);
            if !take(draft, chunker.title()) {
                return Err(FailureReason::Changed);
            }
        }
        Ok(())
    };
    let again = if source.format.is_binary() {
        let (mut text, limit) = (0, growth::bound(inspected.bytes));
        reader::pieces(source, cutting.reader, cutting.given_up, &mut |piece| {
            text += piece.bytes() as u64;
            if text > limit {
                return Err(FailureReason::Expands { bytes: inspected.bytes, limit });
            }
            piece.push(&mut chunker)?;
            hand_over(&mut chunker)
        })?
    } else {
        let mut parser = Parser::new(source.format);
        let read = pieces(source, &mut |piece| {
            if cutting.given_up.load(Ordering::Relaxed) {
                return Err(FailureReason::Changed);
            }
            parser.feed(piece, &mut chunker)?;
            hand_over(&mut chunker)
        })?;
        parser.finish(&mut chunker)?;
        if read.chosen.encoding != UTF_8 {
            let encoding = read.chosen.encoding.name().to_owned();
            chunker.notice(Notice::Decoded { encoding, guessed: read.chosen.guessed });
        }
        read.inspected
    };
    if again != *inspected {
        return Err(FailureReason::Changed);
    }
    chunker.finish();
    hand_over(&mut chunker)?;
    if count == 0 {
        return Err(FailureReason::NoText);
    }
    Ok(Parsed { chunks: count, notices: chunker.into_notices() })
}

/// The text of a document, whole; for senders that need it in a request.
pub fn read_text(source: &Source, limit: u64) -> Result<String, FailureReason> {
    let limit = limit.min(source.format.max_bytes());
    let bytes = source.content.len()?;
    if bytes > limit {
        return Err(FailureReason::TooLarge { bytes, limit });
    }
    let mut text = String::new();
    pieces(source, &mut |piece| {
        text.push_str(piece);
        Ok(())
    })?;
    if text.trim().is_empty() { Err(FailureReason::Empty) } else { Ok(text) }
}

/// The bytes of a document in a binary format, whole; for senders that need them in a request.
pub fn read_bytes(source: &Source, limit: u64) -> Result<Vec<u8>, FailureReason> {
    let limit = limit.min(source.format.max_bytes());
    let length = source.content.len()?;
    if length > limit {
        return Err(FailureReason::TooLarge { bytes: length, limit });
    }
    let mut all = Vec::new();
    bytes(source, &mut |piece| {
        all.extend_from_slice(piece);
        Ok(())
    })?;
    check_binary(source.format, &all[..all.len().min(SNIFF)])?;
    Ok(all)
}

/// How a document is cut.
#[derive(Clone, Copy)]
pub(super) struct Cutting<'c> {
    pub(super) limits: Limits,
    pub(super) count: &'c dyn Fn(&str) -> usize,
    pub(super) reader: &'c Reader,
    /// Whether nobody wants the chunks any more: reading ends with the piece that it is at.
    pub(super) given_up: &'c AtomicBool,
}

/// The bytes of a document as they are, and what names their version.
pub(super) fn bytes(
    source: &Source,
    take: &mut dyn FnMut(&[u8]) -> Result<(), FailureReason>,
) -> Result<Inspected, FailureReason> {
    let mut reader = source.content.open()?;
    let mut hasher = hasher(source.format);
    let (mut buffer, mut bytes) = (vec![0; PIECE], 0_u64);
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(|e| FailureReason::of_io(&e))?,
        };
        if read == 0 {
            return Ok(Inspected { version: ContentHash(hasher.finalize().to_hex().to_string()), bytes });
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
        take(&buffer[..read])?;
    }
}

/// Every version's name depends on how the document is read and cut.
fn hasher(format: Format) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{}\n{}\n", chunk::VERSION, format.as_str()).as_bytes());
    hasher
}

/// Refuses what is not what its name says.
fn check_binary(format: Format, start: &[u8]) -> Result<(), FailureReason> {
    if start.is_empty() { Err(FailureReason::Empty) } else { check_start(format, start) }
}

/// A text that was read.
struct ReadText {
    inspected: Inspected,
    chosen: Chosen,
}

/// Reads in pieces, hashes them, and gives them on as text. A byte order mark at the start is left out of the text.
fn pieces(source: &Source, take: &mut dyn FnMut(&str) -> Result<(), FailureReason>) -> Result<ReadText, FailureReason> {
    let mut reader = source.content.open()?;
    let mut hasher = hasher(source.format);
    let mut buffer = vec![0; PIECE];
    let mut held = fill(&mut *reader, &mut buffer)?;
    let mut last = held < buffer.len();
    let chosen = chosen(source, &buffer[..held], last)?;
    if chosen.encoding != UTF_8 {
        // The same bytes are another text in another encoding.
        hasher.update(chosen.encoding.name().as_bytes());
    }
    let mut decoding = Decoding::of(chosen.encoding);
    let (mut carried, mut at) = (0, 0_u64);
    loop {
        hasher.update(&buffer[carried..held]);
        let (text, used) = decoding.text(&buffer[..held], at, last)?;
        take(text)?;
        at += used as u64;
        if last {
            let version = ContentHash(hasher.finalize().to_hex().to_string());
            return Ok(ReadText { inspected: Inspected { version, bytes: at }, chosen });
        }
        carried = held - used;
        buffer.copy_within(used..held, 0);
        held = carried + fill(&mut *reader, &mut buffer[carried..])?;
        last = held < buffer.len();
    }
}

/// Reads until the room is full or the content ends.
fn fill(reader: &mut dyn Read, room: &mut [u8]) -> Result<usize, FailureReason> {
    let mut filled = 0;
    while filled < room.len() {
        match reader.read(&mut room[filled..]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) => break,
            read => filled += read.map_err(|e| FailureReason::of_io(&e))?,
        }
    }
    Ok(filled)
}

/// The encoding of a text that begins so; refuses what is no text.
fn chosen(source: &Source, start: &[u8], whole: bool) -> Result<Chosen, FailureReason> {
    let chosen = Start { bytes: start, whole, sent: source.charset.as_deref() }.encoding()?;
    if chosen.encoding.is_ascii_compatible() {
        check_start(source.format, start)?;
    }
    Ok(chosen)
}
