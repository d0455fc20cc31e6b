//! DOCX: headings, paragraphs, lists with their numbers and tables as readable text, from the XML inside the ZIP archive.
//!
//! The document is read as it is valid: tracked changes as accepted, without what is hidden or struck out, without comments, field instructions and fallbacks of drawings.
//! Foot- and endnotes follow the text, and what stands at the top and the bottom of its pages follows once.

mod body;
mod numbering;
mod styles;
mod symbol;

use std::collections::HashSet;

use self::body::{Body, Known};
pub(super) use self::styles::{Role, named, outline};
use super::{
    markup::{Xml, element, malformed},
    package::{Package, Relation},
    piece::{Piece, Take},
    title,
};
use crate::ingest::failure::FailureReason;

/// Different paragraphs of the tops and bottoms of pages.
const MAX_RUNNING: usize = 1000;

/// Reads a document.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut package = Package::open(bytes, "DOCX")?;
    let Some(main) = package.main("word/document.xml")? else {
        return Err(malformed("it is no DOCX document: it does not say where its text is".to_owned()));
    };
    if let Some(title) = core_title(&mut package)? {
        take(Piece::Title(title))?;
    }
    let relations = package.relations(&main)?;
    let known = Known {
        styles: first(&mut package, &main, &relations, "styles", styles::read)?.unwrap_or_default(),
        numbering: first(&mut package, &main, &relations, "numbering", numbering::read)?.unwrap_or_default(),
    };
    package.archive.part(&main, |xml| Body::new(&known, &mut *take).read(xml))?;
    take(Piece::Apart)?;
    for kind in ["footnotes", "endnotes"] {
        first(&mut package, &main, &relations, kind, |xml| Body::new(&known, &mut *take).read(xml))?;
    }
    let mut seen = HashSet::new();
    let mut once = |piece: Piece| match &piece {
        Piece::Prose(text) | Piece::Lines(text) if seen.len() >= MAX_RUNNING || !seen.insert(text.clone()) => Ok(()),
        _ => take(piece),
    };
    for kind in ["header", "footer"] {
        for part in package.of_kind(&main, &relations, kind) {
            package.archive.part(&part, |xml| Body::new(&known, &mut once).running().read(xml))?;
        }
    }
    Ok(())
}

/// Reads the part of a kind, if there is one.
fn first<T>(
    package: &mut Package<'_>,
    main: &str,
    relations: &[Relation],
    kind: &str,
    read: impl FnOnce(&mut Xml<'_>) -> Result<T, FailureReason>,
) -> Result<Option<T>, FailureReason> {
    match package.of_kind(main, relations, kind).first() {
        Some(part) => package.archive.part(part, read),
        None => Ok(None),
    }
}

/// The title in the properties, where it names the document.
pub(super) fn core_title(package: &mut Package<'_>) -> Result<Option<String>, FailureReason> {
    let relations = package.relations("")?;
    let mut property = |kind: &str, usual: &str, name: &str| {
        let found = relations.iter().find(|relation| relation.kind == kind);
        let part = found.map_or(usual, |relation| relation.target.as_str());
        package.archive.part(part, |xml| element(xml, name)).map(Option::flatten)
    };
    let template = property("extended-properties", "docProps/app.xml", "Template")?;
    let title = property("core-properties", "docProps/core.xml", "title")?;
    Ok(title.filter(|title| title::names(title, template.as_deref())))
}
