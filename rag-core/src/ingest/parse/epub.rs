//! EPUB: the chapters of a book in the order in which they are read, each as the page of HTML that it is, below the name that the table of contents gives it.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};

use super::{
    Format,
    archive::Archive,
    markup::{Xml, attribute, element, events, malformed, text_of},
    package::resolved,
    piece::{Piece, Take},
    title,
};
use crate::ingest::failure::FailureReason;

/// Chapters of a book.
const MAX_CHAPTERS: usize = 10_000;
/// Bytes of one chapter, which is handed over whole.
const MAX_CHAPTER: usize = 4 << 20;
/// Bytes of a name of a chapter.
const MAX_NAME: usize = 1000;

/// A file of the book, by what the list of its files says.
struct Item {
    path: String,
    is_page: bool,
    is_contents: bool,
}

/// Reads a book.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut archive = Archive::open(bytes, "EPUB")?;
    let list = archive.part("META-INF/container.xml", root)?.flatten();
    let Some(list) = list.filter(|list| archive.has(list)) else {
        return Err(malformed("it is no EPUB document: it does not say where its chapters are".to_owned()));
    };
    let locked = archive.part("META-INF/encryption.xml", encrypted)?.unwrap_or_default();
    let title = archive.part(&list, |xml| element(xml, "title"))?.flatten();
    if let Some(title) = title.filter(|title| title::names(title, None)) {
        take(Piece::Title(title))?;
    }
    let folder = list.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let (items, order) = archive.part(&list, |xml| files(xml, &folder))?.unwrap_or_default();
    let mut names = HashMap::new();
    let mut contents: Vec<&Item> = items.values().filter(|item| item.is_contents).collect();
    // The newer kind of it is a page, and its names go first.
    contents.sort_by_key(|item| (!item.is_page, &item.path));
    for contents in contents {
        let folder = contents.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        archive.part(&contents.path, |xml| chapters(xml, &folder, &mut names))?;
    }
    let pages = order.iter().filter_map(|id| items.get(id)).filter(|item| item.is_page && !item.is_contents);
    for page in pages {
        if locked.contains(&page.path) {
            return Err(malformed(
                "this EPUB document is encrypted: its chapters open in one program alone".to_owned(),
            ));
        }
        let Some(text) = archive.part(&page.path, html)? else { continue };
        if text.len() >= MAX_CHAPTER {
            return Err(malformed(format!("its chapter {} has more than {MAX_CHAPTER} bytes; split it", page.path)));
        }
        if let Some(name) = names.get(&page.path) {
            take(Piece::Within(vec![name.clone()]))?;
        }
        take(Piece::Part(Format::Html, text))?;
    }
    Ok(())
}

/// Where the list of the book's files is.
fn root(xml: &mut Xml<'_>) -> Result<Option<String>, FailureReason> {
    let mut roots = Vec::new();
    events(xml, |event| {
        if let Event::Start(tag) = event
            && tag.local_name().as_ref() == "rootfile"
            && roots.len() < MAX_CHAPTERS
        {
            let is_book = attribute(&tag, "media-type").is_some_and(|kind| kind == "application/oebps-package+xml");
            roots.extend(attribute(&tag, "full-path").map(|path| (is_book, resolved("", &path))));
        }
        Ok(())
    })?;
    let book = roots.iter().find(|(is_book, _)| *is_book).or(roots.first());
    Ok(book.map(|(_, path)| path.clone()))
}

/// Files that are encrypted.
fn encrypted(xml: &mut Xml<'_>) -> Result<Vec<String>, FailureReason> {
    let mut files = Vec::new();
    events(xml, |event| {
        if let Event::Start(tag) = event
            && tag.local_name().as_ref() == "CipherReference"
            && files.len() < MAX_CHAPTERS
        {
            files.extend(attribute(&tag, "URI").map(|path| resolved("", &decoded(&path))));
        }
        Ok(())
    })?;
    Ok(files)
}

/// The book's files by their ids, and the ids in the order of reading.
fn files(xml: &mut Xml<'_>, folder: &str) -> Result<(HashMap<String, Item>, Vec<String>), FailureReason> {
    let (mut items, mut order) = (HashMap::new(), Vec::new());
    events(xml, |event| {
        let Event::Start(tag) = event else { return Ok(()) };
        match tag.local_name().as_ref() {
            "item" if items.len() < MAX_CHAPTERS => items.extend(item(&tag, folder)),
            "itemref" if order.len() < MAX_CHAPTERS => order.extend(attribute(&tag, "idref")),
            _ => {}
        }
        Ok(())
    })?;
    Ok((items, order))
}

fn item(tag: &BytesStart<'_>, folder: &str) -> Option<(String, Item)> {
    let kind = attribute(tag, "media-type").unwrap_or_default();
    let properties = attribute(tag, "properties").unwrap_or_default();
    let is_contents =
        kind == "application/x-dtbncx+xml" || properties.split_whitespace().any(|property| property == "nav");
    let path = resolved(folder, &decoded(&attribute(tag, "href")?));
    let is_page = matches!(kind.as_str(), "application/xhtml+xml" | "text/html");
    Some((attribute(tag, "id")?, Item { path, is_page, is_contents }))
}

/// The names of chapters by their files, from a table of contents of either kind; the first name of a file is the chapter's.
fn chapters(xml: &mut Xml<'_>, folder: &str, names: &mut HashMap<String, String>) -> Result<(), FailureReason> {
    let (mut name, mut target) = (String::new(), None::<String>);
    let mut in_name = false;
    let mut take = |name: &mut String, target: Option<String>| {
        let title = std::mem::take(name).split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(target) = target.filter(|_| !title.is_empty() && names.len() < MAX_CHAPTERS) {
            let file = target.split('#').next().unwrap_or_default();
            names.entry(resolved(folder, &decoded(file))).or_insert(title);
        }
    };
    events(xml, |event| {
        match &event {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "a" => (target, in_name) = (attribute(tag, "href"), true),
                "navLabel" => (name, in_name) = (String::new(), true),
                // In this kind the file stands behind the name.
                "content" => take(&mut name, attribute(tag, "src")),
                _ => {}
            },
            Event::End(tag) => match tag.local_name().as_ref() {
                "a" => {
                    in_name = false;
                    take(&mut name, target.take());
                }
                "navLabel" => in_name = false,
                _ => {}
            },
            _ if in_name && name.len() < MAX_NAME => name.push_str(&text_of(&event).unwrap_or_default()),
            _ => {}
        }
        Ok(())
    })
}

/// A chapter as HTML, which has no empty elements with a bar at their end: `<title/>` would hide all that follows. What frames a page on the web holds the chapter's heading and its notes here.
fn html(xml: &mut Xml<'_>) -> Result<String, FailureReason> {
    let mut html = String::new();
    events(xml, |event| {
        if html.len() >= MAX_CHAPTER {
            return Ok(());
        }
        match &event {
            Event::Start(tag) => {
                let name = tag.name();
                html.extend(["<", named(name.as_ref()), tag.attributes_raw(), ">"]);
            }
            Event::End(tag) if !VOID.contains(&tag.name().as_ref()) => {
                let name = tag.name();
                html.extend(["</", named(name.as_ref()), ">"]);
            }
            Event::GeneralRef(entity) => html.extend(["&", &entity.xml10_content(), ";"]),
            Event::Text(text) => html.push_str(&text.xml10_content()),
            Event::CData(text) => html.push_str(&text.xml10_content().replace('&', "&amp;").replace('<', "&lt;")),
            _ => {}
        }
        Ok(())
    })?;
    Ok(html)
}

/// Elements of HTML without an end.
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

fn named(name: &str) -> &str {
    if matches!(name, "header" | "footer" | "aside") { "div" } else { name }
}

/// A path without its escapes.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
