//! What a document calls itself, unless that says nothing.

use hayro_interpret::hayro_syntax::{
    Pdf,
    object::{Dict, Stream},
};
use quick_xml::{Reader, events::Event};

use super::{
    super::{markup::character, title::says_nothing},
    strings::decoded,
};

/// Bytes of metadata that are looked at.
const MAX_METADATA: usize = 1 << 20;
/// Bytes of a title.
const MAX_TITLE: usize = 1000;
/// Ends of names of files.
const ENDS: [&str; 34] = [
    "ai", "cdr", "csv", "doc", "docm", "docx", "dot", "dotx", "dvi", "dwg", "eps", "fm", "htm", "html", "indd", "md",
    "odg", "odp", "ods", "odt", "pages", "pdf", "pmd", "ppt", "pptx", "ps", "pub", "qxd", "rtf", "tex", "txt", "vsd",
    "xls", "xlsx",
];
/// What else stands before the name of a file and a bar.
const PROGRAMS: [&str; 2] = ["layout ", "print "];

/// The title of a document, of its information or of its metadata.
pub(super) fn title(document: &Pdf) -> Option<String> {
    let named = document.metadata().title.as_ref().map(|title| decoded(title));
    named.and_then(telling).or_else(|| described(document).and_then(telling))
}

/// The title of the metadata that are written in XML.
fn described(document: &Pdf) -> Option<String> {
    let catalog: Dict<'_> = document.xref().get(document.xref().root_id())?;
    let metadata = catalog.get::<Stream<'_>>("Metadata")?.decoded_data().ok()?;
    let text = String::from_utf8_lossy(&metadata[..metadata.len().min(MAX_METADATA)]).into_owned();
    let mut reader = Reader::from_str(&text);
    let (mut inside, mut title) = (false, String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.local_name().as_ref() == "title" => inside = true,
            Event::End(tag)
                if inside
                    && (tag.local_name().as_ref() == "title"
                        || tag.local_name().as_ref() == "li" && !title.trim().is_empty()) =>
            {
                return Some(title);
            }
            Event::Text(text) if inside => title.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if inside => title.extend(character(&reference)),
            Event::Eof => return None,
            _ => {}
        }
        if title.len() > MAX_TITLE {
            return None;
        }
    }
}

/// The title, unless it is the name of a file or of nothing.
fn telling(title: String) -> Option<String> {
    let title = title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let title = title.collect::<Vec<_>>().join(" ");
    let lower = title.to_lowercase();
    let is_file = lower.rsplit_once('.').is_some_and(|(_, end)| ENDS.contains(&end))
        || PROGRAMS.iter().any(|program| lower.strip_prefix(program).is_some_and(|rest| rest.contains(" - ")))
        // A word of a sentence has no such signs.
        || !lower.contains(' ') && lower.contains(['/', '\\', '_']);
    let says_something = lower.chars().filter(|c| c.is_alphabetic()).count() > 1;
    (says_something && !is_file && !says_nothing(&title) && title.len() <= MAX_TITLE).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_is_the_name_of_a_file_or_of_nothing_is_none() {
        for junk in [
            "",
            " ",
            "\u{0}",
            "-",
            "42",
            "Microsoft Word - Handbuch_final.doc",
            "Microsoft PowerPoint - deck",
            "report.indd",
            "C:\\temp\\x",
            "untitled",
            "Untitled 3",
            "Document1",
            "Dokument2",
            "PowerPoint Presentation",
            "handbook_v3_final",
            "file:///tmp/print.html",
            "Prezentacja programu PowerPoint",
            "Sans titre",
        ] {
            assert_eq!(telling(junk.to_owned()), None, "{junk:?}");
        }
        for title in [
            "Maintenance handbook of the Kronborg pump",
            "Größe und Maße",
            "日本語",
            "Node.js in 24 hours",
            "Kubernetes",
        ] {
            assert_eq!(telling(format!(" {title}\n")).as_deref(), Some(title));
        }
    }
}
