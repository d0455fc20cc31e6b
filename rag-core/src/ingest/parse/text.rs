//! Plain text: paragraphs between blank lines.

use super::lines::{Held, LineParser};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// The paragraph that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Text {
    held: Held,
}

impl LineParser for Text {
    fn line(&mut self, line: &str, _starts: bool, out: &mut Chunker<'_>) {
        if line.trim().is_empty() {
            self.held.end(Shape::Prose, out);
            out.push(Block::Blank { text: line });
        } else {
            self.held.add(line, Shape::Prose, out);
        }
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        self.held.end(Shape::Prose, out);
    }
}
