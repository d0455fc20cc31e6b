//! The formats that documents are written in: one table of their names, the ends of files' names, media types, beginnings and limits.
//!
//! Whoever names a format (messages, the command line, requests, the child that reads) takes it from here.

mod foreign;

use crate::ingest::failure::FailureReason;

pub(in crate::ingest) use foreign::{check_start, unknown};

/// Bytes of a format that is read line by line.
const LINES: u64 = 4 << 30;
/// Bytes of HTML: a tag with all its values, or a comment, is held whole.
const TAGS: u64 = 16 << 20;
/// Bytes of what the process that reads it holds whole, several times over while its parts are taken out.
const WHOLE: u64 = 64 << 20;

const ZIP: &[u8] = b"PK\x03\x04";

/// What is to be known of a format.
struct Facts {
    /// Its name in requests and in content hashes.
    name: &'static str,
    /// Its name in messages.
    label: &'static str,
    /// How names of its files end; the usual one first.
    extensions: &'static [&'static str],
    media_types: &'static [&'static str],
    begins: Begins,
    max_bytes: u64,
}

/// How a file of a format begins.
enum Begins {
    /// As text.
    Text,
    /// In any way, as what is no text.
    Anyhow,
    /// With these bytes.
    With(&'static [u8]),
    /// With these bytes soon: some programs write a few before them.
    Soon(&'static [u8]),
}

/// Makes [`Format`] of the table, so that no format can be without its facts.
macro_rules! formats {
    ($($(#[$about:meta])* $format:ident $facts:tt)*) => {
        /// How a document is written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Format {
            $($(#[$about])* $format,)*
        }

        impl Format {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$format),*];

            const fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$format => &Facts $facts,)*
                }
            }
        }
    };
}

formats! {
    /// Plain text.
    Text {
        name: "text",
        label: "text",
        extensions: &["txt", "text", "log"],
        media_types: &["text/plain"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// Markdown (CommonMark with tables and front matter).
    Markdown {
        name: "markdown",
        label: "Markdown",
        extensions: &["md", "markdown"],
        media_types: &["text/markdown", "text/x-markdown"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// HTML.
    Html {
        name: "html",
        label: "HTML",
        extensions: &["html", "htm", "xhtml"],
        media_types: &["text/html", "application/xhtml+xml"],
        begins: Begins::Text,
        max_bytes: TAGS,
    }
    /// reStructuredText.
    Rst {
        name: "rst",
        label: "reStructuredText",
        extensions: &["rst", "rest"],
        media_types: &["text/x-rst", "text/prs.fallenstein.rst"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// AsciiDoc.
    Adoc {
        name: "adoc",
        label: "AsciiDoc",
        extensions: &["adoc", "asciidoc"],
        media_types: &["text/asciidoc"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// LaTeX.
    Tex {
        name: "tex",
        label: "LaTeX",
        extensions: &["tex", "latex"],
        media_types: &["text/x-tex", "application/x-tex", "application/x-latex"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// Source code and configuration.
    Code {
        name: "code",
        label: "source code",
        extensions: &[
            "rs", "py", "js", "mjs", "cjs", "ts", "tsx", "jsx", "go", "java", "kt", "kts", "scala", "groovy", "c", "h", "cc", "cpp", "cxx", "hpp", "cs", "swift", "dart", "rb", "php", "pl",
            "pm", "lua", "r", "sh", "bash", "zsh", "ps1", "sql", "proto", "graphql", "yaml", "yml", "toml", "ini", "cfg", "conf", "properties",
        ],
        media_types: &[
            "text/x-python", "text/javascript", "application/javascript", "text/x-rust", "text/x-go", "text/x-java", "text/x-c", "text/x-c++", "text/x-ruby", "application/x-sh",
            "application/sql", "application/yaml", "application/toml",
        ],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// A table with the names of its columns in the first row.
    Csv {
        name: "csv",
        label: "CSV",
        extensions: &["csv"],
        media_types: &["text/csv"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// The same with tabs between the cells.
    Tsv {
        name: "tsv",
        label: "TSV",
        extensions: &["tsv", "tab"],
        media_types: &["text/tab-separated-values"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// XML.
    Xml {
        name: "xml",
        label: "XML",
        extensions: &["xml", "rss", "atom"],
        media_types: &["application/xml", "text/xml", "application/rss+xml", "application/atom+xml"],
        begins: Begins::Text,
        max_bytes: TAGS,
    }
    /// A Jupyter notebook.
    Notebook {
        name: "notebook",
        label: "Jupyter notebook",
        extensions: &["ipynb"],
        media_types: &["application/x-ipynb+json"],
        begins: Begins::Text,
        max_bytes: TAGS,
    }
    /// Mail; only as a file.
    Eml {
        name: "eml",
        label: "mail",
        extensions: &["eml"],
        media_types: &["message/rfc822"],
        begins: Begins::Anyhow,
        max_bytes: WHOLE,
    }
    /// JSON: a list of records, or one object.
    Json {
        name: "json",
        label: "JSON",
        extensions: &["json", "geojson"],
        media_types: &["application/json", "application/geo+json"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// A JSON value on each line.
    Jsonl {
        name: "jsonl",
        label: "JSON Lines",
        extensions: &["jsonl", "ndjson"],
        media_types: &["application/jsonl", "application/x-ndjson", "application/x-jsonlines"],
        begins: Begins::Text,
        max_bytes: LINES,
    }
    /// A word processor's document (Office Open XML); only as a file.
    Docx {
        name: "docx",
        label: "DOCX",
        extensions: &["docx", "docm", "dotx", "dotm"],
        media_types: &[
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
            "application/vnd.ms-word.document.macroenabled.12",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A presentation (Office Open XML); only as a file.
    Pptx {
        name: "pptx",
        label: "PPTX",
        extensions: &["pptx", "pptm", "ppsx", "ppsm", "potx"],
        media_types: &[
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
            "application/vnd.openxmlformats-officedocument.presentationml.template",
            "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A workbook (Office Open XML); only as a file.
    Xlsx {
        name: "xlsx",
        label: "XLSX",
        extensions: &["xlsx", "xlsm", "xltx"],
        media_types: &[
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
            "application/vnd.ms-excel.sheet.macroenabled.12",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A word processor's document (OpenDocument); only as a file.
    Odt {
        name: "odt",
        label: "ODT",
        extensions: &["odt", "ott"],
        media_types: &[
            "application/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.text-template",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A workbook (OpenDocument); only as a file.
    Ods {
        name: "ods",
        label: "ODS",
        extensions: &["ods", "ots"],
        media_types: &[
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.spreadsheet-template",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A presentation (OpenDocument); only as a file.
    Odp {
        name: "odp",
        label: "ODP",
        extensions: &["odp", "otp"],
        media_types: &[
            "application/vnd.oasis.opendocument.presentation",
            "application/vnd.oasis.opendocument.presentation-template",
        ],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// A book (EPUB); only as a file.
    Epub {
        name: "epub",
        label: "EPUB",
        extensions: &["epub"],
        media_types: &["application/epub+zip"],
        begins: Begins::With(ZIP),
        max_bytes: WHOLE,
    }
    /// Rich text (RTF); only as a file.
    Rtf {
        name: "rtf",
        label: "RTF",
        extensions: &["rtf"],
        media_types: &["application/rtf", "text/rtf"],
        begins: Begins::With(b"{\\rtf"),
        max_bytes: WHOLE,
    }
    /// PDF; only as a file.
    Pdf {
        name: "pdf",
        label: "PDF",
        extensions: &["pdf"],
        media_types: &["application/pdf"],
        begins: Begins::Soon(b"%PDF-"),
        max_bytes: WHOLE,
    }
}

impl Format {
    /// The format that a name's extension stands for.
    pub fn of_name(name: &str) -> Result<Self, FailureReason> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let extension = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ext)| ext.to_lowercase());
        let is_one = |format: &Self| extension.as_deref().is_some_and(|ext| format.facts().extensions.contains(&ext));
        Self::ALL.iter().copied().find(is_one).ok_or(FailureReason::UnknownType { extension })
    }

    /// The format that a media type stands for, if it stands for one.
    pub fn of_media_type(kind: &str) -> Option<Self> {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self::ALL.iter().copied().find(|format| format.facts().media_types.contains(&kind.as_str()))
    }

    /// The format of that name, if it is one that is read by a process of its own.
    pub fn of_reader(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.is_binary() && format.as_str() == name)
    }

    /// Whether it is no text, and can only be read whole.
    pub fn is_binary(self) -> bool {
        !matches!(self.facts().begins, Begins::Text)
    }

    /// The name, as it goes into content hashes.
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Bytes that a document may have.
    pub fn max_bytes(self) -> u64 {
        self.facts().max_bytes
    }

    /// How files of each format end that people have, such as `.txt, .md and .pdf`.
    pub fn ends() -> String {
        let mut ends: Vec<String> =
            Self::ALL.iter().filter_map(|format| Some(format!(".{}", format.facts().extensions.first()?))).collect();
        let last = ends.pop().unwrap_or_default();
        format!("{} and {last}", ends.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Format, check_start, foreign::FOREIGN};

    #[test]
    fn the_name_of_each_format_is_the_one_in_requests() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
    }

    #[test]
    fn no_extension_and_no_media_type_stands_for_two_things() {
        let (mut extensions, mut types) = (HashSet::new(), HashSet::new());
        let foreign = FOREIGN.iter().flat_map(|kind| kind.extensions);
        for extension in Format::ALL.iter().flat_map(|format| format.facts().extensions).chain(foreign) {
            assert!(extensions.insert(extension), "{extension} twice");
            assert_eq!(*extension, extension.to_lowercase());
        }
        for kind in Format::ALL.iter().flat_map(|format| format.facts().media_types) {
            assert!(types.insert(kind), "{kind} twice");
            assert_eq!(*kind, kind.to_lowercase());
        }
    }

    #[test]
    fn the_documentation_names_every_extension_beside_its_format() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/documents.md")).unwrap();
        for format in Format::ALL {
            let ends: Vec<_> = format.facts().extensions.iter().map(|extension| format!("`.{extension}`")).collect();
            let row = format!("| {} | {} |", format.facts().label, ends.join(" "));
            assert!(page.contains(&row), "no row {row} in docs/documents.md");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_helps() {
        let said = |name: &str| Format::of_name(name).unwrap_err().to_string();
        assert_eq!(said("old/Report.DOC"), "unknown type .doc (a Word document of before 2007); save it as .docx");
        let ocr = "run OCR first, and ingest the text that it finds";
        assert_eq!(said("scan.TIFF"), format!("unknown type .tiff (a TIFF image); {ocr}"));
        assert_eq!(said("all.tar.gz"), "unknown type .gz (gzip data); unpack it, and ingest the folder");
        assert_eq!(said("notes.qqq"), format!("unknown type .qqq; {} can be read", Format::ends()));
        assert_eq!(said(".profile"), format!("unknown type (no extension); {} can be read", Format::ends()));
    }

    #[test]
    fn what_begins_like_something_else_is_refused_with_what_helps() {
        let said = |format, start: &[u8]| check_start(format, start).unwrap_err().to_string();
        assert_eq!(said(Format::Text, b"%PDF-1.7"), "binary: it begins like a PDF document; name it .pdf");
        let locked = "binary: it begins like an office document of before 2007, or one with a password";
        let save = "save it in the format of today and without a password";
        assert_eq!(said(Format::Text, b"\xd0\xcf\x11\xe0"), format!("{locked}; {save}"));
        assert_eq!(said(Format::Docx, b"\xd0\xcf\x11\xe0"), format!("{locked}, not like a DOCX document; {save}"));
        assert_eq!(said(Format::Docx, b"hello"), "binary: it does not begin like a DOCX document");
        assert_eq!(check_start(Format::Text, b"a %PDF- in a text"), Ok(()));
        assert_eq!(check_start(Format::Pdf, b"\n\n%PDF-1.4"), Ok(()));
    }
}
