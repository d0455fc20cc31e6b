//! PPTX: each slide as a section by its number, below its title: texts, lists, tables, diagrams, formulas, and the speaker's notes.
//!
//! Slides come in the order in which they are shown. Those that are hidden are left out, and so are the numbers, dates and bottoms of slides.

mod slide;

use quick_xml::events::Event;

use self::slide::Slide;
use super::{
    docx::core_title,
    markup::{events, malformed},
    package::{Package, Relation},
    piece::{Piece, Take},
};
use crate::ingest::failure::FailureReason;

/// Slides that are read.
const MAX_SLIDES: usize = 10_000;

/// Reads a presentation.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let mut package = Package::open(bytes, "PPTX")?;
    let Some(main) = package.main("ppt/presentation.xml")? else {
        return Err(malformed("it is no PPTX document: it does not say where its slides are".to_owned()));
    };
    let mut named = false;
    if let Some(title) = core_title(&mut package)? {
        named = true;
        take(Piece::Title(title))?;
    }
    let relations = package.relations(&main)?;
    for (at, part) in slides(&mut package, &main, &relations)?.into_iter().enumerate() {
        let Some(slide) = package.archive.part(&part, |xml| Slide::read(xml, false))? else { continue };
        if slide.hidden {
            continue;
        }
        if let Some(title) = slide.title.as_ref().filter(|_| !named) {
            named = true;
            take(Piece::Title(title.clone()))?;
        }
        take(Piece::Section(format!("slide {}", at + 1)))?;
        if let Some(title) = slide.title {
            take(Piece::Heading(2, format!("{title}\n")))?;
        }
        slide.pieces.into_iter().try_for_each(&mut *take)?;
        for beside in package.relations(&part)? {
            let notes = match beside.kind.as_str() {
                "notesSlide" => true,
                "diagramData" => false,
                _ => continue,
            };
            if let Some(beside) = package.archive.part(&beside.target, |xml| Slide::read(xml, notes))? {
                beside.pieces.into_iter().try_for_each(&mut *take)?;
            }
        }
    }
    Ok(())
}

/// The parts of the slides in their order.
fn slides(package: &mut Package<'_>, main: &str, relations: &[Relation]) -> Result<Vec<String>, FailureReason> {
    let mut slides = Vec::new();
    package.archive.part(main, |xml| {
        events(xml, |event| {
            let Event::Start(tag) = event else { return Ok(()) };
            if tag.local_name().as_ref() != "sldId" || slides.len() >= MAX_SLIDES {
                return Ok(());
            }
            // Its other id has the same local name.
            let id = tag.attributes().with_checks(false).flatten().find(|a| a.key.as_ref().ends_with(":id"));
            let found = id.and_then(|id| relations.iter().find(|relation| relation.id == id.value.as_ref()));
            slides.extend(found.map(|relation| relation.target.clone()));
            Ok(())
        })
    })?;
    Ok(slides)
}
