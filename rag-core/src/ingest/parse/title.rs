//! Titles that programs write into a document's properties by themselves, and that name no document.

/// What programs call everything that nobody named, in small letters.
const NOBODYS: &[&str] = &[
    "untitled",
    "no title",
    "about:blank",
    "untitled document",
    "unbenannt",
    "ohne titel",
    "sans titre",
    "sin título",
    "senza titolo",
    "document",
    "dokument",
    "word document",
    "microsoft word document",
    "title",
    "titel",
    "powerpoint presentation",
    "powerpoint-präsentation",
    "présentation powerpoint",
    "presentación de powerpoint",
    "presentazione standard di powerpoint",
    "apresentação do powerpoint",
    "prezentacja programu powerpoint",
    "powerpoint-presentatie",
    "powerpoint プレゼンテーション",
    "powerpoint 演示文稿",
    "powerpoint 簡報",
    "powerpoint 프레젠테이션",
    "презентация powerpoint",
    "presentation",
    "präsentation",
    "no slide title",
    "slide",
    "folie",
    "workbook",
    "spreadsheet",
];

/// What printing programs write before the name of the file.
const PRINTED: &[&str] = &[
    "microsoft word - ",
    "microsoft powerpoint - ",
    "microsoft excel - ",
    "microsoft publisher - ",
    "microsoft visio - ",
    "microsoft project - ",
    "microsoft access - ",
    "microsoft outlook - ",
];

/// Whether a title is what programs write where nobody gave one, or no word at all.
pub(super) fn says_nothing(title: &str) -> bool {
    let title = title.trim().to_lowercase();
    let unnumbered = title.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_whitespace());
    title.chars().all(|c| c.is_ascii_digit() || c.is_ascii_punctuation())
        || NOBODYS.contains(&unnumbered)
        || PRINTED.iter().any(|printed| title.starts_with(printed))
}

/// Whether a title in the properties names the document; `template` is what the properties call its template.
pub(super) fn names(title: &str, template: Option<&str>) -> bool {
    let title = title.trim().to_lowercase();
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).trim().to_lowercase();
    let is_template = template.is_some_and(|template| stem(template) == stem(&title))
        || ["template", "vorlage", "modèle", "plantilla", "modello"].iter().any(|word| title.ends_with(word));
    !says_nothing(&title) && !is_template
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_title_that_a_program_or_a_template_wrote_names_nothing() {
        let junk = [
            "PowerPoint Presentation",
            "PowerPoint-Präsentation",
            "Microsoft Word - Report final v3.docx",
            "Document1",
            "Dokument 2",
            "Untitled",
            "Untitled 3",
            "Slide 1",
            "No title",
            "about:blank",
            "Microsoft Visio - plan.vsd",
            "Company letter template",
            "  ",
            "1",
        ];
        for title in junk {
            assert!(!names(title, None), "{title}");
        }
        assert!(!names("Blue curve", Some("Blue curve.dotx")));
        for title in
            ["Evacuation plan", "Documentation of pumps", "Template engines", "Slides for lunch", "2026 budget"]
        {
            assert!(names(title, Some("Normal.dotm")), "{title}");
        }
    }
}
