//! PDF: the text of each page, by columns, lines and paragraphs as a reader sees them.
//!
//! The crate that interprets pages says where each letter stands; how they are read is settled here. A page that cannot be read costs that page. The whole document is held in memory, and no limits are known
//! to whoever unpacks it, so it is read in a process of its own (see [`reader`](crate::ingest::reader)).

mod codes;
mod columns;
mod contents;
mod fields;
mod glyphs;
mod hyphens;
mod layout;
mod strings;
mod title;
mod turned;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use hayro_interpret::{
    InterpreterCache,
    hayro_syntax::{DecryptionError, LoadPdfError, Pdf, page::Page},
};

use self::{codes::Codes, hyphens::Words, layout::Paragraph};
use super::piece::{Piece, Take};
use crate::{
    ingest::{failure::FailureReason, growth},
    model::{Notice, Pages},
};

/// Reads a document.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let broken =
        || malformed("this PDF document cannot be read: it is damaged, or written in a way that is not understood");
    let document = catch_unwind(AssertUnwindSafe(|| Pdf::new(bytes.to_vec()))).map_err(|_| broken())?;
    let document = document.map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            malformed("this PDF document is encrypted; save it without a password")
        }
        LoadPdfError::Decryption(_) => malformed("this PDF document is encrypted in a way that is not understood"),
        LoadPdfError::Invalid => broken(),
    })?;
    let pages = pages(&document, growth::bound(bytes.len() as u64))?;
    let total = u32::try_from(pages.len()).unwrap_or(u32::MAX);
    if total == 0 {
        return Err(malformed("this PDF document cannot be read: it has no pages"));
    }
    let (blank, unread) = (without_text(&pages), unread(&pages));
    if pages.iter().all(|page| page.paragraphs.is_empty()) {
        return Err(match unread.first() {
            None => FailureReason::Scanned { pages: total },
            Some((fault, _)) => malformed(&format!("no page of this PDF document can be read: {}", fault.cause())),
        });
    }
    if let Ok(Some(title)) = catch_unwind(AssertUnwindSafe(|| title::title(&document))) {
        take(Piece::Title(title))?;
    }
    let mut words = Words::default();
    pages.iter().flat_map(|page| &page.paragraphs).for_each(|paragraph| words.learn(paragraph));
    for (number, page) in (1..).zip(&pages) {
        let mut texts =
            page.paragraphs.iter().map(|paragraph| words.joined(paragraph)).filter(|text| !text.is_empty()).peekable();
        if texts.peek().is_some() {
            take(Piece::Page(number))?;
        }
        texts.try_for_each(|text| take(Piece::Prose(format!("{text}\n\n"))))?;
    }
    for (fault, pages) in unread {
        take(Piece::Notice(Notice::PagesUnread { pages, cause: fault.cause().to_owned() }))?;
    }
    if blank.is_empty() { Ok(()) } else { take(Piece::Notice(Notice::PagesWithoutText { pages: blank })) }
}

/// What was read of a page.
#[derive(Default)]
struct Read {
    paragraphs: Vec<Paragraph>,
    fault: Option<Fault>,
}

/// Why a page was not read, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Damaged,
    LacksFont,
    Nameless,
    TooLong,
}

impl Fault {
    /// The cause, with what to do about it.
    fn cause(self) -> &'static str {
        match self {
            Self::Damaged => "damaged, or written in a way that is not understood; save it again with another program",
            Self::LacksFont => "fonts are missing or damaged; save it again with another program",
            Self::Nameless => "the fonts do not say which letters they draw; run OCR",
            Self::TooLong => "there is more text than a page can show; it may be built to exhaust the reader",
        }
    }
}

/// Part of a page's letters that are not known, in hundredths, from which on the page counts as not read.
const NAMELESS: usize = 20;
/// Fewer unknown letters are marks of lists and the like.
const FEW: usize = 10;

/// Reads all pages, as long as they have no more text than so many bytes.
fn pages(document: &Pdf, limit: u64) -> Result<Vec<Read>, FailureReason> {
    let (mut cache, codes) = (InterpreterCache::new(), Rc::new(Codes::default()));
    let (mut pages, mut text) = (Vec::new(), 0);
    for page in document.pages().iter() {
        let read = catch_unwind(AssertUnwindSafe(|| read_page(page, &cache, &codes))).unwrap_or_else(|_| {
            // Whatever it broke down on may be half done in there.
            cache = InterpreterCache::new();
            Read { fault: Some(Fault::Damaged), ..Read::default() }
        });
        text += read.paragraphs.iter().flat_map(|paragraph| &paragraph.lines).map(String::len).sum::<usize>() as u64;
        if text > limit {
            return Err(FailureReason::Expands { bytes: document.data().as_ref().len() as u64, limit });
        }
        pages.push(read);
    }
    Ok(pages)
}

fn read_page<'a>(page: &Page<'a>, cache: &InterpreterCache<'a>, codes: &Rc<Codes>) -> Read {
    let contents = contents::of_page(page);
    let mut shown = glyphs::shown(page, &contents.bytes, cache, codes);
    fields::add_values(page, &mut shown);
    let unknown = 100 * shown.nameless > NAMELESS * (shown.nameless + shown.glyphs.len());
    let fault = match shown {
        _ if contents.are_damaged => Some(Fault::Damaged),
        _ if shown.overflowed => Some(Fault::TooLong),
        _ if shown.lacks_font || contents.without_font > 0 => Some(Fault::LacksFont),
        _ if shown.nameless > FEW && unknown => Some(Fault::Nameless),
        _ => None,
    };
    // Where no text has its font, what it says is guessed.
    let is_guess = contents.without_font > 0 && contents.with_font == 0;
    let paragraphs = match shown.overflowed || is_guess {
        true => Vec::new(),
        false => layout::paragraphs(shown.glyphs, &shown.rules),
    };
    Read { paragraphs, fault }
}

/// Pages that were read and show no text.
fn without_text(pages: &[Read]) -> Pages {
    named(pages, |page| page.paragraphs.is_empty() && page.fault.is_none())
}

/// Pages that were not read, by why.
fn unread(pages: &[Read]) -> Vec<(Fault, Pages)> {
    let faults = [Fault::Damaged, Fault::LacksFont, Fault::Nameless, Fault::TooLong];
    let unread = faults.map(|fault| (fault, named(pages, |page| page.fault == Some(fault))));
    unread.into_iter().filter(|(_, pages)| !pages.is_empty()).collect()
}

fn named(pages: &[Read], is_meant: impl Fn(&Read) -> bool) -> Pages {
    let mut named = Pages::none_of(u32::try_from(pages.len()).unwrap_or(u32::MAX));
    (1..).zip(pages).filter(|(_, page)| is_meant(page)).for_each(|(number, _)| named.add(number));
    named
}

fn malformed(cause: &str) -> FailureReason {
    FailureReason::Malformed { cause: cause.to_owned() }
}

#[cfg(test)]
mod tests;
