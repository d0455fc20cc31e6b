//! Text that is taken apart as a whole; its format bounds its size.

use crate::ingest::{chunk::Chunker, failure::FailureReason};

/// Gathers a document for whoever reads it.
pub(in crate::ingest) struct Whole {
    text: String,
    read: fn(&str, &mut Chunker<'_>) -> Result<(), FailureReason>,
}

impl Whole {
    pub(super) fn new(read: fn(&str, &mut Chunker<'_>) -> Result<(), FailureReason>) -> Self {
        Self { text: String::new(), read }
    }

    pub(super) fn feed(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    pub(super) fn finish(self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        (self.read)(&self.text, out)
    }
}
