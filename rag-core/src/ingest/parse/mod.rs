//! From a format's text to blocks: one file per format, each fed in pieces and bounded in memory.
//!
//! A parser may not read files, count tokens or cut chunks. Text and Markdown give slices of the source, byte for byte, but for what [`cleaned`] and Markdown leave out; the others give the text
//! that a reader sees.
//! The binary ones need the whole document at once and are read in a process of their own.

mod adoc;
mod archive;
mod cleaned;
mod code;
mod columns;
mod csv;
mod docx;
mod eml;
mod epub;
mod format;
mod formula;
#[cfg(test)]
mod fuzz;
mod grid;
mod html;
mod json;
mod jsonl;
mod line;
mod lines;
mod markdown;
mod markup;
mod mathml;
mod notebook;
mod odf;
mod ordinal;
mod package;
mod pdf;
mod piece;
mod pptx;
mod record;
mod rst;
mod rtf;
mod script;
mod tex;
mod text;
mod title;
#[cfg(test)]
mod tried;
mod whole;
mod xlsx;
mod xml;

use super::chunk::Chunker;
use super::failure::FailureReason;

pub use format::Format;
pub(super) use format::{check_start, unknown};
pub(super) use piece::Piece;

/// A parser of any format that is text.
pub(super) struct Parser {
    /// Nothing in HTML, which has rules of its own for both.
    cleaned: Option<cleaned::Cleaned>,
    reading: Reading,
}

enum Reading {
    Text(lines::Lines<text::Text>),
    Markdown(markdown::Markdown),
    Html(Box<html::Html>),
    Csv(csv::Csv),
    Json(json::Json),
    Jsonl(jsonl::Jsonl),
    Rst(lines::Lines<rst::Rst>),
    Adoc(lines::Lines<adoc::Adoc>),
    Tex(lines::Lines<tex::Tex>),
    Code(lines::Lines<code::Code>),
    Whole(whole::Whole),
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
        Format::Eml => eml::read(bytes, take),
        Format::Pdf => pdf::read(bytes, take),
        _ => Err(FailureReason::Malformed { cause: format!("{} is not read whole", format.as_str()) }),
    }
}

impl Parser {
    pub(super) fn new(format: Format) -> Self {
        let reading = match format {
            Format::Csv => Reading::Csv(csv::Csv::new(false)),
            Format::Tsv => Reading::Csv(csv::Csv::new(true)),
            Format::Json => Reading::Json(json::Json::default()),
            Format::Jsonl => Reading::Jsonl(jsonl::Jsonl::default()),
            Format::Markdown => Reading::Markdown(markdown::Markdown::default()),
            Format::Rst => Reading::Rst(lines::Lines::default()),
            Format::Adoc => Reading::Adoc(lines::Lines::default()),
            Format::Tex => Reading::Tex(lines::Lines::default()),
            Format::Code => Reading::Code(lines::Lines::default()),
            Format::Xml => Reading::Whole(whole::Whole::new(xml::read)),
            Format::Notebook => Reading::Whole(whole::Whole::new(notebook::read)),
            Format::Html => Reading::Html(Box::new(html::Html::new())),
            // Of a binary format nothing comes here.
            _ => Reading::Text(lines::Lines::default()),
        };
        Self { cleaned: (format != Format::Html).then(cleaned::Cleaned::default), reading }
    }

    /// Takes the next piece of the source, of any length.
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match &mut self.cleaned {
            Some(cleaned) => cleaned.feed(piece, &mut |text| self.reading.feed(text, out)),
            None => self.reading.feed(piece, out),
        }
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        if let Some(cleaned) = self.cleaned {
            cleaned.finish(&mut |text| self.reading.feed(text, out))?;
        }
        self.reading.finish(out)
    }
}

impl Reading {
    fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Text(lines) => lines.feed(piece, out),
            Self::Rst(lines) => lines.feed(piece, out),
            Self::Adoc(lines) => lines.feed(piece, out),
            Self::Tex(lines) => lines.feed(piece, out),
            Self::Code(lines) => lines.feed(piece, out),
            Self::Whole(whole) => whole.feed(piece),
            Self::Markdown(markdown) => return markdown.feed(piece, out),
            Self::Html(html) => return html.feed(piece, out),
            Self::Csv(csv) => return csv.feed(piece, out),
            Self::Json(json) => return json.feed(piece, out),
            Self::Jsonl(jsonl) => return jsonl.feed(piece, out),
        }
        Ok(())
    }

    fn finish(self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Text(lines) => lines.finish(out),
            Self::Rst(lines) => lines.finish(out),
            Self::Adoc(lines) => lines.finish(out),
            Self::Tex(lines) => lines.finish(out),
            Self::Code(lines) => lines.finish(out),
            Self::Whole(whole) => return whole.finish(out),
            Self::Markdown(markdown) => return markdown.finish(out),
            Self::Html(html) => html.finish(out),
            Self::Csv(csv) => return csv.finish(out),
            Self::Json(json) => return json.finish(out),
            Self::Jsonl(jsonl) => return jsonl.finish(out),
        }
        Ok(())
    }
}
