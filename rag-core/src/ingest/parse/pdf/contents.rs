//! A page's instructions: taken out for the page alone, because whoever interprets the document would keep those of all pages; and what they say of whether the page can be read.

use hayro_interpret::hayro_syntax::{
    content::{TypedIter, ops::TypedInstruction},
    object::{Array, Stream},
    page::Page,
};

/// What a page's instructions are, those of the forms in it excepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// Whether a part of them cannot be unpacked, or there are none but such as no reader knows.
    pub(super) are_damaged: bool,
    /// Texts whose font the document has.
    pub(super) with_font: usize,
    /// Texts whose font is missing.
    pub(super) without_font: usize,
}

/// Takes out a page's instructions.
pub(super) fn of_page(page: &Page<'_>) -> Contents {
    let mut contents = Contents::default();
    match page.raw().get::<Stream<'_>>("Contents") {
        Some(stream) => contents.add(&stream),
        None => {
            let parts = page.raw().get::<Array<'_>>("Contents");
            parts.iter().flat_map(|parts| parts.iter::<Stream<'_>>()).for_each(|part| contents.add(&part));
        }
    }
    contents.count(page);
    contents
}

impl Contents {
    fn add(&mut self, part: &Stream<'_>) {
        let data = part.decoded_data().unwrap_or_default();
        // Of what is damaged the beginning may still come out, or nothing.
        self.are_damaged |= data.is_empty() && !part.raw_data().is_empty();
        // Mostly there is one part, which may be large.
        match self.bytes.is_empty() {
            true => self.bytes = data.into_owned(),
            false => self.bytes.extend_from_slice(&data),
        }
        // No instruction reaches from one part into the next.
        self.bytes.push(b'\n');
    }

    fn count(&mut self, page: &Page<'_>) {
        let (mut known, mut is_there) = (0_usize, false);
        let mut instructions = TypedIter::new(&self.bytes);
        while let Some(instruction) = instructions.next() {
            match instruction {
                TypedInstruction::TextFont(font) => is_there = page.resources().get_font(font.0).is_some(),
                TypedInstruction::ShowText(_)
                | TypedInstruction::ShowTexts(_)
                | TypedInstruction::NextLineAndShowText(_)
                | TypedInstruction::ShowTextWithParameters(_) => {
                    *(if is_there { &mut self.with_font } else { &mut self.without_font }) += 1;
                }
                TypedInstruction::Fallback(_) => continue,
                _ => {}
            }
            known += 1;
        }
        self.are_damaged |= known == 0 && !self.bytes.trim_ascii().is_empty();
    }
}
