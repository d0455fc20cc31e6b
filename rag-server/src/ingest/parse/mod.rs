//! From a format's text to blocks: one file per format, each fed in pieces and bounded in memory.
//!
//! A parser may not read files, count tokens or cut chunks. Text and Markdown give slices of the source, byte for byte; HTML gives the text that a reader sees.

mod html;
mod lines;
mod markdown;
mod text;

use super::chunk::Chunker;
use super::failure::FailureReason;

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
            _ => Err(FailureReason::UnknownType { extension }),
        }
    }

    /// The name, as it goes into content hashes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// Bytes that a document may have. HTML is bounded more tightly: a comment is held whole, and a hostile tag costs more than linear time.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Text | Self::Markdown => 4 << 30,
            Self::Html => 16 << 20,
        }
    }
}

/// A parser of any format.
pub(super) enum Parser {
    Text(lines::Lines<text::Text>),
    Markdown(lines::Lines<markdown::Markdown>),
    Html(Box<html::Html>),
}

impl Parser {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Text => Self::Text(lines::Lines::default()),
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
        }
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Chunker<'_>) {
        match self {
            Self::Text(lines) => lines.finish(out),
            Self::Markdown(lines) => lines.finish(out),
            Self::Html(html) => html.finish(out),
        }
    }
}
