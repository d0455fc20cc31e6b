//! DOCX: headings, paragraphs, lists and tables as readable text, from the XML inside the ZIP archive.
//!
//! The XML is read as a stream and never built into a tree. What inflates to more than a bound is refused. Deleted text, field instructions and fallbacks of drawings are left out.

mod body;
mod styles;

use std::io::{BufReader, Cursor, Read};

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};
use zip::ZipArchive;

use self::body::Body;
use super::piece::{Piece, Take};
use crate::ingest::failure::FailureReason;

/// Bytes that one part of the archive may inflate to. Whole books stay below a tenth of it.
const MAX_INFLATED: u64 = 64 << 20;
/// Bytes of a title.
const MAX_TITLE: usize = 4096;

type Archive<'b> = ZipArchive<Cursor<&'b [u8]>>;
type Xml<'a> = Reader<BufReader<std::io::Take<Box<dyn Read + 'a>>>>;

/// Reads a document.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(format!("it is no DOCX document: {e}")))?;
    let title = part(&mut archive, "docProps/core.xml", core_title)?.flatten();
    if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
        take(Piece::Title(title))?;
    }
    let styles = part(&mut archive, "word/styles.xml", styles::read)?.unwrap_or_default();
    let read = part(&mut archive, "word/document.xml", |xml| Body::new(&styles, &mut *take).read(xml))?;
    if read.is_none() {
        return Err(malformed("it is no DOCX document: it has no word/document.xml".to_owned()));
    }
    take(Piece::Apart)?;
    part(&mut archive, "word/footnotes.xml", |xml| Body::new(&styles, &mut *take).read(xml))?;
    Ok(())
}

/// Reads one part of the archive, if it is there.
fn part<T>(
    archive: &mut Archive<'_>,
    name: &str,
    read: impl FnOnce(&mut Xml<'_>) -> Result<T, FailureReason>,
) -> Result<Option<T>, FailureReason> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(malformed(format!("{name} cannot be read: {error}"))),
    };
    let too_large = || {
        malformed(format!("{name} inflates to more than {MAX_INFLATED} bytes; it may be built to exhaust the reader"))
    };
    // What the archive says of itself may be a lie; the bound below is not.
    if file.size() > MAX_INFLATED {
        return Err(too_large());
    }
    let inflated: Box<dyn Read + '_> = Box::new(file);
    let mut xml = Reader::from_reader(BufReader::new(inflated.take(MAX_INFLATED)));
    xml.config_mut().check_end_names = false;
    let value = read(&mut xml)?;
    if xml.get_ref().get_ref().limit() == 0 { Err(too_large()) } else { Ok(Some(value)) }
}

/// Gives each event to `take` until the end.
fn events(
    xml: &mut Xml<'_>,
    mut take: impl FnMut(Event<'_>) -> Result<(), FailureReason>,
) -> Result<(), FailureReason> {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer) {
            Ok(Event::Eof) => return Ok(()),
            Ok(event) => take(event)?,
            // The end of what may be inflated looks like a broken end.
            Err(_) if xml.get_ref().get_ref().limit() == 0 => return Ok(()),
            Err(error) => {
                return Err(malformed(format!("its XML is broken at byte {}: {error}", xml.buffer_position())));
            }
        }
    }
}

fn core_title(xml: &mut Xml<'_>) -> Result<Option<String>, FailureReason> {
    let (mut within, mut title) = (false, String::new());
    events(xml, |event| {
        match event {
            Event::Start(tag) => within = tag.local_name().as_ref() == "title",
            Event::End(_) => within = false,
            Event::Text(text) if within && title.len() < MAX_TITLE => title.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) if within => title.extend(character(&entity)),
            _ => {}
        }
        Ok(())
    })?;
    Ok((!title.is_empty()).then_some(title))
}

/// The attribute of that local name.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    Some(String::from(found.value))
}

/// What an entity stands for: only those that every XML document knows.
fn character(entity: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return Some(character);
    }
    match entity.xml10_content().as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}
