//! OpenDocument: texts (ODT), workbooks (ODS) and presentations (ODP), from the XML inside the ZIP archive.
//!
//! The document is read as it is valid: without tracked deletions, comments, tables of contents, and what is hidden or struck out. Sheets and slides are sections of their own; those that are hidden
//! are left out, rows and columns that are hidden are read, since a filter hides them and they hold all the same. Notes follow the text, and what stands at the top and the bottom of its pages follows once.

mod body;

mod lists;
mod slide;
mod styles;
mod table;

use std::collections::{HashMap, HashSet};

use quick_xml::events::Event;

use self::{body::Body, styles::Styles};
use super::{
    archive::Archive,
    markup::{Xml, element, events, malformed},
    mathml,
    piece::{Piece, Take},
    title,
};
use crate::ingest::failure::FailureReason;

/// Different paragraphs of the tops and bottoms of pages.
const MAX_RUNNING: usize = 1000;
/// Objects that may be formulas.
const MAX_OBJECTS: usize = 10_000;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Kind {
    Text,
    Workbook,
    Presentation,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Text => "ODT",
            Self::Workbook => "ODS",
            Self::Presentation => "ODP",
        }
    }
}

/// Reads a document of that kind.
pub(in crate::ingest) fn read(kind: Kind, bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let label = kind.label();
    let mut archive = Archive::open(bytes, label)?;
    if archive.part("META-INF/manifest.xml", is_encrypted)?.unwrap_or(false) {
        return Err(malformed(format!("this {label} document is encrypted; save it without a password")));
    }
    if !archive.has("content.xml") {
        return Err(malformed(format!("it is no {label} document: it has no content.xml")));
    }
    let title = archive.part("meta.xml", |xml| element(xml, "title"))?.flatten();
    let named = title.filter(|title| title::names(title, None));
    if let Some(title) = &named {
        take(Piece::Title(title.clone()))?;
    }
    let formulas = formulas(&mut archive)?;
    let mut styles = Styles::default();
    let (mut running, mut seen) = (Vec::new(), HashSet::new());
    archive.part("styles.xml", |xml| {
        let mut once = |piece: Piece| {
            if let Piece::Prose(text) = &piece
                && seen.len() < MAX_RUNNING
                && seen.insert(text.clone())
            {
                running.push(piece);
            }
            Ok(())
        };
        Body::new(kind, &mut styles, &formulas, &mut once).running().read(xml)
    })?;
    archive.part("content.xml", |xml| {
        Body::new(kind, &mut styles, &formulas, &mut *take).named(named.is_some()).read(xml)
    })?;
    if kind == Kind::Text {
        take(Piece::Apart)?;
        running.into_iter().try_for_each(take)?;
    }
    Ok(())
}

/// Formulas by the objects inside the document that they are.
fn formulas(archive: &mut Archive<'_>) -> Result<HashMap<String, String>, FailureReason> {
    let objects: Vec<String> = archive
        .names()
        .filter_map(|name| name.strip_suffix("/content.xml"))
        .take(MAX_OBJECTS)
        .map(str::to_owned)
        .collect();
    let mut formulas = HashMap::new();
    for object in objects {
        // An object that cannot be read is none, and the text around it is read all the same.
        if let Ok(Some(Some(formula))) = archive.part(&format!("{object}/content.xml"), mathml::read) {
            formulas.insert(object, formula);
        }
    }
    Ok(formulas)
}

fn is_encrypted(xml: &mut Xml<'_>) -> Result<bool, FailureReason> {
    let mut encrypted = false;
    events(xml, |event| {
        if let Event::Start(tag) = event {
            encrypted |= tag.local_name().as_ref() == "encryption-data";
        }
        Ok(())
    })?;
    Ok(encrypted)
}
