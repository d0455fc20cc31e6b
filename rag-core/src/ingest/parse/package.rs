//! The package of an office document: its parts are found by what they are to each other, never by their names.
//!
//! Word on the web calls the document `document2.xml`, other programs put everything elsewhere; what holds is the list of relationships beside each part, and the list of content types.

use quick_xml::events::Event;

use super::{
    archive::Archive,
    markup::{attribute, events, malformed},
};
use crate::ingest::failure::FailureReason;

/// Relationships of one part, and entries of the list of content types, that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// What one part says of another.
pub(super) struct Relation {
    pub(super) id: String,
    /// The last word of its type, such as `styles`.
    pub(super) kind: String,
    pub(super) target: String,
}

/// The parts of a package.
pub(super) struct Package<'b> {
    pub(super) archive: Archive<'b>,
    /// Parts and their content types.
    types: Vec<(String, String)>,
    label: &'static str,
}

impl<'b> Package<'b> {
    /// Opens a document of that kind.
    pub(super) fn open(bytes: &'b [u8], label: &'static str) -> Result<Self, FailureReason> {
        let mut archive = Archive::open(bytes, label)?;
        let mut types = Vec::new();
        archive.part("[Content_Types].xml", |xml| {
            events(xml, |event| {
                let Event::Start(tag) = event else { return Ok(()) };
                if tag.local_name().as_ref() == "Override" && types.len() < MAX_ENTRIES {
                    let named = attribute(&tag, "PartName").zip(attribute(&tag, "ContentType"));
                    types.extend(named.map(|(name, kind)| (resolved("", &name), kind.to_lowercase())));
                }
                Ok(())
            })
        })?;
        Ok(Self { archive, types, label })
    }

    /// What a part says of others inside the package; the package itself has an empty name.
    pub(super) fn relations(&mut self, part: &str) -> Result<Vec<Relation>, FailureReason> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let mut relations = Vec::new();
        self.archive.part(&format!("{folder}/_rels/{name}.rels"), |xml| {
            events(xml, |event| {
                let Event::Start(tag) = event else { return Ok(()) };
                let outside = attribute(&tag, "TargetMode").is_some_and(|mode| mode == "External");
                if tag.local_name().as_ref() != "Relationship" || outside || relations.len() >= MAX_ENTRIES {
                    return Ok(());
                }
                if let (Some(kind), Some(target)) = (attribute(&tag, "Type"), attribute(&tag, "Target")) {
                    let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                    let id = attribute(&tag, "Id").unwrap_or_default();
                    relations.push(Relation { id, kind, target: resolved(folder, &target) });
                }
                Ok(())
            })
        })?;
        Ok(relations)
    }

    /// The part that the document begins with; `usual` where the package does not say.
    pub(super) fn main(&mut self, usual: &str) -> Result<Option<String>, FailureReason> {
        let told = self.relations("")?.into_iter().find(|relation| relation.kind == "officeDocument");
        let told = told.map(|relation| relation.target).filter(|target| self.archive.has(target));
        let typed = self.types.iter().find(|(_, kind)| kind.ends_with(".main+xml")).map(|(name, _)| name.clone());
        let main = told.or(typed).or_else(|| Some(usual.to_owned())).filter(|name| self.archive.has(name));
        match main.as_ref().and_then(|main| self.label_of(main)).filter(|label| *label != self.label) {
            Some(label) => {
                let cause = format!("it is {label} and not {}; name it .{}", self.label, label.to_lowercase());
                Err(malformed(cause))
            }
            None => Ok(main),
        }
    }

    /// What the content type of its beginning says that a document is.
    fn label_of(&self, main: &str) -> Option<&'static str> {
        let (_, kind) = self.types.iter().find(|(name, _)| name.eq_ignore_ascii_case(main))?;
        let labels =
            [("word", "DOCX"), ("presentation", "PPTX"), ("powerpoint", "PPTX"), ("sheet", "XLSX"), ("excel", "XLSX")];
        labels.iter().find(|(word, _)| kind.contains(word)).map(|(_, label)| *label)
    }

    /// The parts of one kind by the relationships of another part, else by their content types, else the one that has the kind's name beside it.
    pub(super) fn of_kind(&self, of: &str, relations: &[Relation], kind: &str) -> Vec<String> {
        let related = relations.iter().filter(|relation| relation.kind == kind).map(|relation| &relation.target);
        let ends = format!(".{}+xml", kind.to_lowercase());
        let typed = self.types.iter().filter(|(_, typed)| typed.ends_with(&ends)).map(|(name, _)| name);
        let beside = resolved(of, &format!("../{kind}.xml"));
        let found: Vec<String> = related.cloned().collect();
        let found = if found.is_empty() { typed.cloned().collect() } else { found };
        if found.is_empty() { vec![beside] } else { found }
    }
}

/// A target as a name of a part, seen from a folder of the package.
pub(super) fn resolved(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    let from = if target.starts_with('/') { "" } else { folder };
    let mut path: Vec<&str> = Vec::new();
    for step in from.split('/').chain(target.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(path.pop()),
            step => path.push(step),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn a_target_is_seen_from_the_folder_of_the_part_that_names_it() {
        assert_eq!(resolved("word", "styles.xml"), "word/styles.xml");
        assert_eq!(resolved("word", "/word/document2.xml"), "word/document2.xml");
        assert_eq!(resolved("ppt/slides", "../notesSlides/notesSlide1.xml"), "ppt/notesSlides/notesSlide1.xml");
        assert_eq!(resolved("", "./word\\document.xml"), "word/document.xml");
        assert_eq!(resolved("a", "../../b.xml"), "b.xml");
    }
}
