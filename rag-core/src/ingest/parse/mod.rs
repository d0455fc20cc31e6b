//! From a format's text to blocks: one file per format, each fed in pieces and bounded in memory.
//!
//! A parser may not read files, count tokens or cut chunks. Text and Markdown give slices of the source, byte for byte; the others give the text that a reader sees.
//! The binary ones need the whole document at once and are read in a process of their own.

mod csv;
mod docx;
mod html;
mod jsonl;
mod lines;
mod markdown;
mod pdf;
mod piece;
mod text;

use super::chunk::Chunker;
use super::failure::FailureReason;

pub(super) use piece::Piece;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain text.
    Text,
    /// Markdown (CommonMark with tables and front matter).
    Markdown,
    /// HTML.
    Html,
    /// A table with the names of its columns in the first row.
    Csv,
    /// A JSON value on each line.
    Jsonl,
    /// A word processor's document (Office Open XML); only as a file.
    Docx,
    /// PDF; only as a file.
    Pdf,
}

impl Format {
    /// The format that a name's extension stands for.
    pub fn of_name(name: &str) -> Result<Self, FailureReason> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let extension = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, ext)| ext.to_lowercase());
        match extension.as_deref() {
            Some("txt" | "text") => Ok(Self::Text),
            Some("md" | "markdown") => Ok(Self::Markdown),
            Some("html" | "htm" | "xhtml") => Ok(Self::Html),
            Some("csv" | "tsv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("docx") => Ok(Self::Docx),
            Some("pdf") => Ok(Self::Pdf),
            _ => Err(FailureReason::UnknownType { extension }),
        }
    }

    /// The format that a content type stands for, if it stands for one.
    pub fn of_media_type(kind: &str) -> Option<Self> {
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "text/markdown" | "text/x-markdown" => Some(Self::Markdown),
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            "text/csv" | "text/tab-separated-values" => Some(Self::Csv),
            "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => Some(Self::Jsonl),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some(Self::Docx),
            "application/pdf" => Some(Self::Pdf),
            "text/plain" => Some(Self::Text),
            _ => None,
        }
    }

    /// Whether it is no text, and can only be read whole.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Docx | Self::Pdf)
    }

    /// The name, as it goes into content hashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Docx => "docx",
            Self::Pdf => "pdf",
        }
    }

    /// Bytes that a document may have. HTML is bounded more tightly: a tag with all its values, or a comment, is held whole.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Text | Self::Markdown | Self::Csv | Self::Jsonl => 4 << 30,
            Self::Html => 16 << 20,
            // Held whole by the process that reads it, several times over while its parts are taken out.
            Self::Docx | Self::Pdf => 64 << 20,
        }
    }
}

/// A parser of any format that is text.
pub(super) enum Parser {
    Text(lines::Lines<text::Text>),
    Markdown(lines::Lines<markdown::Markdown>),
    Html(Box<html::Html>),
    Csv(csv::Csv),
    Jsonl(jsonl::Jsonl),
}

/// Reads a document in a binary format, whole.
pub(super) fn read_binary(format: Format, bytes: &[u8], take: &mut piece::Take<'_>) -> Result<(), FailureReason> {
    match format {
        Format::Docx => docx::read(bytes, take),
        Format::Pdf => pdf::read(bytes, take),
        Format::Text | Format::Markdown | Format::Html | Format::Csv | Format::Jsonl => {
            Err(FailureReason::Malformed { cause: format!("{} is not read whole", format.as_str()) })
        }
    }
}

impl Parser {
    pub(super) fn new(format: Format) -> Self {
        match format {
            // Of a binary format nothing comes here.
            Format::Text | Format::Docx | Format::Pdf => Self::Text(lines::Lines::default()),
            Format::Csv => Self::Csv(csv::Csv::default()),
            Format::Jsonl => Self::Jsonl(jsonl::Jsonl::default()),
            Format::Markdown => Self::Markdown(lines::Lines::default()),
            Format::Html => Self::Html(Box::new(html::Html::new())),
        }
    }

    /// Takes the next piece of the source, of any length.
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Text(lines) => lines.feed(piece, out),
            Self::Markdown(lines) => lines.feed(piece, out),
            Self::Html(html) => return html.feed(piece, out),
            Self::Csv(csv) => return csv.feed(piece, out),
            Self::Jsonl(jsonl) => return jsonl.feed(piece, out),
        }
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Text(lines) => lines.finish(out),
            Self::Markdown(lines) => lines.finish(out),
            Self::Html(html) => html.finish(out),
            Self::Csv(csv) => return csv.finish(out),
            Self::Jsonl(jsonl) => return jsonl.finish(out),
        }
        Ok(())
    }
}
