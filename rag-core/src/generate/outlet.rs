//! Where the text of an answer goes while it is written: at once to a reader, or kept until it is whole.

use super::{
    marks::Marks,
    stream::{AnswerEvent, Events},
};

/// Whether the reader wants pieces. Only a whole answer can still be begun anew by another provider once text came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As it comes.
    Pieces,
    /// Only whole.
    Whole,
}

/// One answer's way out.
pub(super) struct Outlet<'a> {
    events: &'a Events,
    delivery: Delivery,
    /// What is told before the first piece of text.
    found: Option<AnswerEvent>,
    marks: Marks,
    text: String,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(events: &'a Events, delivery: Delivery, found: AnswerEvent) -> Self {
        Self { events, delivery, found: Some(found), marks: Marks::new(0), text: String::new() }
    }

    /// Tells what was found, once.
    pub(super) async fn announce(&mut self) {
        if let Some(found) = self.found.take() {
            self.events.send(Ok(found)).await;
        }
    }

    /// What was found answers nothing, so that nothing of it is told.
    pub(super) fn refuse(&mut self) {
        if let Some(AnswerEvent::Found { citations, .. }) = &mut self.found {
            citations.clear();
        }
    }

    /// A provider begins to write from so many passages. Only possible while nothing was passed on.
    pub(super) fn begin(&mut self, passages: usize) {
        self.marks = Marks::new(passages);
        self.text.clear();
    }

    /// The next piece of text.
    pub(super) async fn push(&mut self, piece: &str) {
        let piece = self.marks.push(piece);
        self.pass(piece).await;
    }

    /// A text of our own, instead of anything that a provider may have begun.
    pub(super) async fn say(&mut self, text: &str) {
        self.announce().await;
        self.text.clear();
        self.pass(text.to_owned()).await;
    }

    /// The end of the text, which is returned.
    pub(super) async fn finish(&mut self) -> String {
        let rest = self.marks.finish();
        self.pass(rest).await;
        std::mem::take(&mut self.text)
    }

    /// Whether a reader has seen text that cannot be taken back.
    pub(super) fn is_committed(&self) -> bool {
        self.delivery == Delivery::Pieces && !self.text.is_empty()
    }

    async fn pass(&mut self, piece: String) {
        if piece.is_empty() {
            return;
        }
        self.text.push_str(&piece);
        if self.delivery == Delivery::Pieces {
            self.events.send(Ok(AnswerEvent::Text(piece))).await;
        }
    }
}
