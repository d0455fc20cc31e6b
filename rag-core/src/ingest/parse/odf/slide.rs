//! A slide of an OpenDocument as far as it is read: its title may stand behind its text.

use super::super::piece::Piece;
use crate::ingest::failure::FailureReason;

/// What a frame is on its slide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    Title,
    Notes,
    /// The number of the slide, the date, what stands at its bottom.
    Frame,
    #[default]
    Free,
}

impl Place {
    pub(super) fn of(class: Option<&str>) -> Self {
        match class {
            Some("title") => Self::Title,
            Some("notes") => Self::Notes,
            Some("page-number" | "date-time" | "footer" | "header") => Self::Frame,
            _ => Self::Free,
        }
    }
}

/// The open slide.
#[derive(Default)]
pub(super) struct Slide {
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) in_notes: bool,
    title: Option<String>,
    pieces: Vec<Piece>,
    notes: Vec<Piece>,
}

impl Slide {
    pub(super) fn begin(&mut self) {
        *self = Self { number: self.number.saturating_add(1), ..Self::default() };
    }

    /// A slide that is left out has its number all the same.
    pub(super) fn pass(&mut self) {
        self.number = self.number.saturating_add(1);
    }

    pub(super) fn take(&mut self, piece: Piece) -> Result<(), FailureReason> {
        match (self.in_notes, self.place) {
            (true, Place::Notes) => self.notes.push(piece),
            (true, _) | (false, Place::Frame) => {}
            (false, Place::Title) => {
                let line = piece.text().split_whitespace().collect::<Vec<_>>().join(" ");
                self.title = Some(self.title.take().map_or(line.clone(), |title| format!("{title} {line}")));
            }
            (false, _) => self.pieces.push(piece),
        }
        Ok(())
    }

    /// Its title and what stands on it and below it.
    pub(super) fn end(&mut self) -> (Option<String>, Vec<Piece>) {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.append(&mut self.notes);
        (self.title.take(), pieces)
    }
}
