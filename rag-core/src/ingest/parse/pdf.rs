//! PDF: the text of each page, by lines and paragraphs as they stand on it.
//!
//! The crate that interprets pages panics on much that is broken; a panic costs this document alone. It holds the whole document in memory and knows no limits, so it runs in a process of its own
//! (see [`reader`](crate::ingest::reader)).

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pdf_extract::{ColorSpace, Document, MediaBox, OutputDev, OutputError, Path, Transform, output_doc};

use super::piece::{Piece, Take};
use crate::{
    ingest::failure::FailureReason,
    model::{Notice, Pages as Named},
};

/// Part of a line's height by which a character may stand lower and still be on the line.
const SAME_LINE: f64 = 0.5;
/// Line heights between two lines above which a paragraph ends.
const PARAGRAPH: f64 = 1.6;
/// Part of the font's size between two characters that is a space.
const SPACE: f64 = 0.15;
/// Bytes of text of one page. A page of print has a few thousand.
const MAX_PAGE: usize = 4 << 20;

/// Reads a document.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let page = Cell::new(0);
    let read = catch_unwind(AssertUnwindSafe(|| read_pages(bytes, &page, take)));
    read.unwrap_or_else(|_| match page.get() {
        0 => Err(malformed("this PDF document cannot be read: it is damaged, or written in a way that is not understood".to_owned())),
        page => Err(malformed(format!(
            "page {page} of this PDF document cannot be read: it is damaged, or written in a way that is not understood; save it again with another program"
        ))),
    })
}

fn read_pages(bytes: &[u8], page: &Cell<u32>, take: &mut Take<'_>) -> Result<(), FailureReason> {
    let broken = |cause: String| malformed(format!("this PDF document cannot be read: {cause}"));
    let mut document = Document::load_mem(bytes).map_err(|e| broken(e.to_string()))?;
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(malformed("this PDF document is encrypted; save it without a password".to_owned()));
    }
    let of = u32::try_from(document.get_pages().len()).unwrap_or(u32::MAX);
    let blank = Named::none_of(of);
    let mut pages = Pages { page, take, failed: None, with_text: 0, pages: 0, blank, layout: Layout::default() };
    let ended = output_doc(&document, &mut pages);
    let Pages { failed, with_text, pages, blank, take, .. } = pages;
    match (failed, ended) {
        (Some(reason), _) => Err(reason),
        (None, Err(error)) => Err(broken(error.to_string())),
        (None, Ok(())) if pages == 0 => Err(broken("it has no pages".to_owned())),
        (None, Ok(())) if with_text == 0 => Err(FailureReason::Scanned { pages }),
        (None, Ok(())) if blank.is_empty() => Ok(()),
        (None, Ok(())) => take(Piece::Notice(Notice::PagesWithoutText { pages: blank })),
    }
}

/// Hands over each page as it ends.
struct Pages<'p, 't> {
    page: &'p Cell<u32>,
    take: &'p mut Take<'t>,
    failed: Option<FailureReason>,
    with_text: u32,
    pages: u32,
    /// Those without text.
    blank: Named,
    layout: Layout,
}

impl Pages<'_, '_> {
    fn end(&mut self) -> Result<(), FailureReason> {
        self.pages += 1;
        let text = std::mem::take(&mut self.layout).text;
        if text.trim().is_empty() {
            self.blank.add(self.page.get());
            return Ok(());
        }
        self.with_text += 1;
        (self.take)(Piece::Page(self.page.get()))?;
        text.split("\n\n")
            .filter(|paragraph| !paragraph.trim().is_empty())
            .try_for_each(|paragraph| (self.take)(Piece::Prose(format!("{}\n\n", paragraph.trim_end()))))
    }
}

impl OutputDev for Pages<'_, '_> {
    fn begin_page(&mut self, number: u32, _: &MediaBox, _: Option<(f64, f64, f64, f64)>) -> Result<(), OutputError> {
        self.page.set(number);
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        self.end().map_err(|reason| {
            self.failed = Some(reason);
            OutputError::FormatError(std::fmt::Error)
        })
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _spacing: f64,
        size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        if self.layout.text.len() > MAX_PAGE {
            let page = self.page.get();
            self.failed =
                Some(malformed(format!("page {page} of this PDF document has more than {MAX_PAGE} bytes of text")));
            return Err(OutputError::FormatError(std::fmt::Error));
        }
        let scale = (place.m11 * place.m22 - place.m12 * place.m21).abs().sqrt();
        self.layout.add(Glyph { x: place.m31, y: place.m32, width: width * size * scale, height: size * scale, text });
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn stroke(&mut self, _: &Transform, _: &ColorSpace, _: &[f64], _: &Path) -> Result<(), OutputError> {
        Ok(())
    }
}

/// A character where it stands on the page.
struct Glyph<'t> {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    text: &'t str,
}

/// Puts characters into lines, and lines into paragraphs.
#[derive(Default)]
struct Layout {
    text: String,
    /// Where the last character ended, the line that it stands on, and how high it is.
    last: Option<(f64, f64, f64)>,
}

impl Layout {
    fn add(&mut self, glyph: Glyph<'_>) {
        // What says nothing moves nothing; characters that are no text would survive into terminals.
        let text: String = glyph.text.chars().filter(|c| !c.is_control()).collect();
        if text.is_empty() {
            return;
        }
        if let Some((end, line, height)) = self.last {
            let height = glyph.height.max(height).max(f64::MIN_POSITIVE);
            let below = line - glyph.y;
            if below.abs() > SAME_LINE * height {
                let paragraph = below > PARAGRAPH * height || below < 0.0;
                self.end_line(paragraph, text.starts_with(char::is_lowercase));
            } else if glyph.x - end > SPACE * height && !self.text.ends_with(char::is_whitespace) {
                self.text.push(' ');
            }
        }
        self.text.push_str(&text);
        self.last = Some((glyph.x + glyph.width, glyph.y, glyph.height));
    }

    /// Ends a line; a word that was divided at its end is put together.
    fn end_line(&mut self, paragraph: bool, goes_on: bool) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        let divided = self.text.strip_suffix('-').is_some_and(|word| word.ends_with(char::is_alphabetic));
        if divided && goes_on && !paragraph {
            self.text.pop();
        } else if !self.text.is_empty() {
            self.text.push_str(if paragraph { "\n\n" } else { "\n" });
        }
    }
}

fn malformed(cause: String) -> FailureReason {
    FailureReason::Malformed { cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(lines: &[(f64, f64, &str)]) -> String {
        let mut layout = Layout::default();
        for (x, y, text) in lines {
            for (at, c) in text.chars().enumerate() {
                layout.add(Glyph { x: x + 5.0 * at as f64, y: *y, width: 5.0, height: 10.0, text: &c.to_string() });
            }
        }
        layout.text
    }

    #[test]
    fn characters_become_lines_words_and_paragraphs() {
        let text = layout(&[
            (0.0, 700.0, "The valve is ope-"),
            (0.0, 688.0, "ned by hand"),
            (60.0, 688.0, "twice."),
            (0.0, 660.0, "Next."),
            (300.0, 700.0, "Column."),
        ]);
        assert_eq!(text, "The valve is opened by hand twice.\n\nNext.\n\nColumn.");
    }

    #[test]
    fn what_is_no_pdf_is_an_error() {
        for bytes in [&b""[..], b"%PDF-1.7", b"%PDF-1.7\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF", &[0xff; 5000]] {
            let read = read(bytes, &mut |_| Ok(()));
            assert!(matches!(read, Err(FailureReason::Malformed { .. } | FailureReason::Scanned { .. })), "{read:?}");
        }
    }
}
