//! What tests of parsers share.

use super::{Format, Parser};
use crate::ingest::chunk::{Chunker, Draft, Limits};

/// What became of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) drafts: Vec<Draft>,
}

impl Read {
    pub(super) fn headings(&self) -> Vec<String> {
        self.drafts.iter().map(|draft| draft.headings.join(" > ")).collect()
    }

    /// The text, each part of it once.
    pub(super) fn text(&self) -> String {
        self.drafts.iter().map(|draft| &draft.text[draft.repeated..]).collect::<Vec<_>>().join("\n\n")
    }
}

/// Reads a document in pieces of so many bytes.
pub(super) fn read(format: Format, text: &str, piece: usize) -> Read {
    attempt(format, text, piece, 200).unwrap()
}

/// Reads a document in pieces into chunks of so many tokens.
pub(super) fn attempt(format: Format, text: &str, piece: usize, tokens: usize) -> Result<Read, String> {
    let count = |text: &str| text.split_whitespace().count().max(text.len() / 20);
    let mut chunker = Chunker::new(Limits { tokens, bytes: 4000 }, &count);
    let mut parser = Parser::new(format);
    let (mut rest, mut drafts) = (text, Vec::new());
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
        parser.feed(part, &mut chunker).map_err(|reason| reason.to_string())?;
        drafts.extend(std::iter::from_fn(|| chunker.pop()));
        rest = after;
    }
    parser.finish(&mut chunker).map_err(|reason| reason.to_string())?;
    chunker.finish();
    drafts.extend(std::iter::from_fn(|| chunker.pop()));
    Ok(Read { title: chunker.title().map(str::to_owned), drafts })
}

/// The text as one line.
pub(super) fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
