//! What becomes of a paragraph or a table at its end: a heading, an item, a piece of text, or a part of what is around it.

use super::{
    super::{
        super::{grid::within_cell, line::is_frame, piece::Piece},
        numbering::Label,
        styles::Role,
    },
    Body, MAX_TEXT, Open,
    paragraph::Paragraph,
};
use crate::ingest::failure::FailureReason;

impl Body<'_, '_> {
    pub(super) fn close_last(&mut self) -> Result<(), FailureReason> {
        match self.open.pop() {
            Some(open) => self.close(open),
            None => Ok(()),
        }
    }

    pub(super) fn close(&mut self, open: Open) -> Result<(), FailureReason> {
        match open {
            Open::Paragraph(paragraph) => self.close_paragraph(*paragraph),
            Open::Table(table) => table.finish().map_or(Ok(()), |rows| self.hand_over(rows)),
        }
    }

    fn close_paragraph(&mut self, mut paragraph: Paragraph) -> Result<(), FailureReason> {
        let boxes = std::mem::take(&mut paragraph.boxes);
        let text = paragraph.line.finish();
        if paragraph.end_is_deleted {
            self.carried = text;
        } else {
            let label = paragraph.label(self.known, &mut self.counters);
            self.hand_over_paragraph(&paragraph, label, text.trim())?;
        }
        if boxes.is_empty() { Ok(()) } else { self.hand_over(Piece::Prose(format!("{boxes}\n\n"))) }
    }

    fn hand_over_paragraph(
        &mut self,
        paragraph: &Paragraph,
        label: Option<Label>,
        text: &str,
    ) -> Result<(), FailureReason> {
        let number = match &label {
            Some(Label::Number { text, .. }) => text.as_str(),
            Some(Label::Bullet) | None => "",
        };
        let numbered = [number, text].join(" ").trim().to_owned();
        let is_frame = paragraph.has_page && is_frame(text);
        if !self.open.is_empty() && !numbered.is_empty() {
            return self.hand_over(Piece::Prose(numbered));
        }
        if text.is_empty() || is_frame {
            return Ok(());
        }
        let role = if self.running { None } else { paragraph.role(self.known) };
        match (role, &label) {
            (Some(Role::Contents), _) => Ok(()),
            (Some(Role::Title), _) => {
                self.name(text)?;
                self.hand_over(Piece::Heading(1, format!("{numbered}\n")))
            }
            (Some(Role::Heading(level)), _) => {
                // The number is the heading's, and no part of what the document is called.
                if !number.is_empty() && !self.named {
                    self.name(text)?;
                }
                self.hand_over(Piece::Heading(level, format!("{numbered}\n")))
            }
            (None, Some(Label::Bullet)) => {
                self.hand_over(Piece::Prose(format!("{}- {text}\n", "  ".repeat(paragraph.depth()))))
            }
            (None, Some(Label::Number { whole, .. })) => {
                let depth = if *whole { 0 } else { paragraph.depth() };
                self.hand_over(Piece::Prose(format!("{}{numbered}\n", "  ".repeat(depth))))
            }
            (None, None) => self.hand_over(Piece::Prose(format!("{text}\n\n"))),
        }
    }

    fn name(&mut self, title: &str) -> Result<(), FailureReason> {
        self.named = true;
        (self.take)(Piece::Title(title.to_owned()))
    }

    /// Gives a piece on; what stands in a cell or in a text box goes into its cell or behind its paragraph instead.
    pub(super) fn hand_over(&mut self, piece: Piece) -> Result<(), FailureReason> {
        let inner = within_cell(&piece);
        let outer = match self.open.last_mut() {
            Some(Open::Table(table)) => table.cell(),
            Some(Open::Paragraph(paragraph)) => Some(&mut paragraph.boxes),
            None => None,
        };
        let Some(outer) = outer.filter(|outer| outer.len() + inner.len() <= 2 * MAX_TEXT) else {
            return (self.take)(piece);
        };
        if !outer.is_empty() {
            outer.push(' ');
        }
        outer.push_str(&inner);
        Ok(())
    }
}
