//! How much larger than its source a document may become.
//!
//! Formats add text of their own: the names of columns to each row, the path of a value to each line, headings to each chunk. Each of these can be a few bytes in the source and thousands in what is
//! stored, so what is added is bounded by the text that the document has itself.

/// Bytes that may be added for each byte of the document's own text.
pub(super) const FACTOR: u64 = 16;

/// Bytes that may be added to any document: a survey with long questions and one-letter answers grows fifty-fold, and is small.
pub(super) const FREE: u64 = 8 << 20;

/// What a document has, and what was added to it.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Text that was pushed, with what was added inside it.
    pushed: u64,
    /// What was added inside the text.
    inside: u64,
    /// What stands beside it.
    beside: u64,
}

impl Growth {
    /// Counts text, with what was added to it.
    pub(super) fn push(&mut self, bytes: usize) {
        self.pushed += bytes as u64;
    }

    /// Counts what is added inside the text.
    pub(super) fn add_inside(&mut self, bytes: usize) {
        self.inside += bytes as u64;
    }

    /// Counts what is added beside the text.
    pub(super) fn add_beside(&mut self, bytes: usize) {
        self.beside += bytes as u64;
    }

    /// Bytes that may still be added.
    pub(super) fn room(&self) -> u64 {
        let own = self.pushed.saturating_sub(self.inside);
        bound(own).saturating_sub(self.inside + self.beside)
    }
}

/// Bytes that may come of so many.
pub(super) fn bound(own: u64) -> u64 {
    own.saturating_mul(FACTOR).saturating_add(FREE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_bounded_by_the_text_that_was_there_already() {
        let mut growth = Growth::default();
        assert_eq!(growth.room(), FREE);
        growth.add_inside(FREE as usize);
        // What was added is no text of the document, and gives no room for more.
        growth.push(FREE as usize);
        assert_eq!(growth.room(), 0);
        growth.push(1);
        assert_eq!(growth.room(), FACTOR);
        growth.add_beside(FACTOR as usize);
        assert_eq!(growth.room(), 0);
    }
}
