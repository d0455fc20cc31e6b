//! XML as a stream of events, never as a tree: what the formats share that are XML inside an archive.
//!
//! Nothing is looked up outside of the part; entities are never expanded, and a part that defines some is refused.

use std::io::{BufReader, Read};

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use crate::ingest::failure::FailureReason;

/// Elements inside each other. Programs write some dozens.
const MAX_DEPTH: usize = 1000;

/// Bytes of an element that is read alone, such as a title.
const MAX_ELEMENT: usize = 4096;

/// A part that is read up to a bound.
pub(super) type Xml<'a> = Reader<BufReader<std::io::Take<Box<dyn Read + 'a>>>>;

/// A reader of XML that ends at its bound.
pub(super) fn reader<'a>(from: Box<dyn Read + 'a>, most: u64) -> Xml<'a> {
    let mut xml = Reader::from_reader(BufReader::new(from.take(most)));
    xml.config_mut().check_end_names = false;
    xml
}

/// Bytes that may still be read.
pub(super) fn left(xml: &Xml<'_>) -> u64 {
    xml.get_ref().get_ref().limit()
}

/// Gives each event to `take` until the end. An element without content comes as its start and its end.
pub(super) fn events(
    xml: &mut Xml<'_>,
    mut take: impl FnMut(Event<'_>) -> Result<(), FailureReason>,
) -> Result<(), FailureReason> {
    let (mut buffer, mut depth) = (Vec::new(), 0_usize);
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer) {
            Ok(Event::Eof) => return Ok(()),
            Ok(Event::Empty(tag)) => {
                let end = Event::End(tag.to_end());
                take(Event::Start(tag.borrow()))?;
                take(end)?;
            }
            Ok(event) => {
                match &event {
                    Event::Start(_) => depth += 1,
                    Event::End(_) => depth = depth.saturating_sub(1),
                    Event::DocType(declared) if declared.xml10_content().contains("<!ENTITY") => {
                        return Err(malformed("it defines entities, which no such document needs".to_owned()));
                    }
                    _ => {}
                }
                if depth > MAX_DEPTH {
                    return Err(malformed(format!("more than {MAX_DEPTH} elements inside each other")));
                }
                take(event)?;
            }
            // The end of what may be inflated looks like a broken end.
            Err(_) if left(xml) == 0 => return Ok(()),
            Err(error) => {
                return Err(malformed(format!("its XML is broken at byte {}: {error}", xml.buffer_position())));
            }
        }
    }
}

/// The attribute of that local name.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    Some(unescaped(&found.value))
}

/// A value without its entities.
fn unescaped(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len());
    let mut parts = value.split('&');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once(';').and_then(|(entity, rest)| Some((character(&BytesRef::new(entity))?, rest))) {
            Some((character, rest)) => {
                text.push(character);
                text.push_str(rest);
            }
            None => {
                text.push('&');
                text.push_str(part);
            }
        }
    }
    text
}

/// What an entity stands for: only those that every XML document knows.
pub(super) fn character(entity: &BytesRef<'_>) -> Option<char> {
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

/// The text of an event, where it is one.
pub(super) fn text_of(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Text(text) => Some(text.xml10_content().into_owned()),
        Event::CData(text) => Some(text.xml10_content().into_owned()),
        Event::GeneralRef(entity) => Some(character(entity).map(String::from).unwrap_or_default()),
        _ => None,
    }
}

/// The text of the first element of that name.
pub(super) fn element(xml: &mut Xml<'_>, name: &str) -> Result<Option<String>, FailureReason> {
    let (mut within, mut text) = (false, String::new());
    events(xml, |event| {
        match &event {
            Event::Start(tag) => within = tag.local_name().as_ref() == name && text.is_empty(),
            Event::End(_) => within = false,
            _ if within && text.len() < MAX_ELEMENT => text.push_str(&text_of(&event).unwrap_or_default()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((!text.is_empty()).then_some(text))
}

/// Why a document cannot be read.
pub(super) fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}
