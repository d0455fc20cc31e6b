//! From a format's text to blocks: one file per format, each fed in pieces and bounded in memory.
//!
//! A parser may not read files, count tokens or cut chunks. Text and Markdown give slices of the source, byte for byte; the others give the text that a reader sees.
//! The binary ones need the whole document at once and are read in a process of their own.

mod archive;
mod columns;
mod csv;
mod docx;
mod epub;
mod format;
mod formula;
mod grid;
mod html;
mod json;
mod jsonl;
mod line;
mod lines;
mod markdown;
mod markup;
mod mathml;
mod odf;
mod ordinal;
mod package;
mod pdf;
mod piece;
mod pptx;
mod record;
mod rtf;
mod script;
mod text;
mod title;
mod xlsx;

use super::chunk::Chunker;
use super::failure::FailureReason;

pub use format::Format;
pub(super) use format::{check_start, unknown};
pub(super) use piece::Piece;

/// A parser of any format that is text.
pub(super) enum Parser {
    Text(lines::Lines<text::Text>),
    Markdown(lines::Lines<markdown::Markdown>),
    Html(Box<html::Html>),
    Csv(csv::Csv),
    Json(json::Json),
    Jsonl(jsonl::Jsonl),
}

/// Reads a document in a binary format, whole.
pub(super) fn read_binary(format: Format, bytes: &[u8], take: &mut piece::Take<'_>) -> Result<(), FailureReason> {
    match format {
        Format::Docx => docx::read(bytes, take),
        Format::Pptx => pptx::read(bytes, take),
        Format::Xlsx => xlsx::read(bytes, take),
        Format::Odt => odf::read(odf::Kind::Text, bytes, take),
        Format::Ods => odf::read(odf::Kind::Workbook, bytes, take),
        Format::Odp => odf::read(odf::Kind::Presentation, bytes, take),
        Format::Epub => epub::read(bytes, take),
        Format::Rtf => rtf::read(bytes, take),
        Format::Pdf => pdf::read(bytes, take),
        Format::Text | Format::Markdown | Format::Html | Format::Csv | Format::Tsv | Format::Json | Format::Jsonl => {
            Err(FailureReason::Malformed { cause: format!("{} is not read whole", format.as_str()) })
        }
    }
}

impl Parser {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv(csv::Csv::new(false)),
            Format::Tsv => Self::Csv(csv::Csv::new(true)),
            Format::Json => Self::Json(json::Json::default()),
            Format::Jsonl => Self::Jsonl(jsonl::Jsonl::default()),
            Format::Markdown => Self::Markdown(lines::Lines::default()),
            Format::Html => Self::Html(Box::new(html::Html::new())),
            Format::Text => Self::Text(lines::Lines::default()),
            // Of a binary format nothing comes here.
            Format::Docx | Format::Pptx | Format::Xlsx | Format::Odt | Format::Ods | Format::Odp => Self::unused(),
            Format::Epub | Format::Rtf | Format::Pdf => Self::unused(),
        }
    }

    fn unused() -> Self {
        Self::Text(lines::Lines::default())
    }

    /// Takes the next piece of the source, of any length.
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Text(lines) => lines.feed(piece, out),
            Self::Markdown(lines) => lines.feed(piece, out),
            Self::Html(html) => return html.feed(piece, out),
            Self::Csv(csv) => return csv.feed(piece, out),
            Self::Json(json) => return json.feed(piece, out),
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
            Self::Json(json) => return json.finish(out),
            Self::Jsonl(jsonl) => return jsonl.finish(out),
        }
        Ok(())
    }
}
