//! What a reader of a binary format found, in order: what it hands over in one process, or writes as a line of JSON in another.

use serde::{Deserialize, Serialize};

use super::{
    Format, Parser,
    lines::{MAX_BLOCK, push},
};
use crate::{
    ingest::{
        chunk::{Block, Chunker, Shape},
        failure::FailureReason,
    },
    model::Notice,
};

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::ingest) enum Piece {
    /// What the document calls itself.
    Title(String),
    /// A heading of level 1 to 6.
    Heading(u8, String),
    /// A page begins.
    Page(u32),
    /// A part of that name begins, such as a sheet or a slide.
    Section(String),
    /// A part of these names begins, outermost first, such as a chapter of a book or what is attached to a mail; all headings are under them until the next one.
    Within(Vec<String>),
    /// What follows is under no heading, such as footnotes.
    Apart,
    /// A paragraph or list item, with the blanks after it.
    Prose(String),
    /// Lines that belong together.
    Lines(String),
    /// A table, or its beginning: rows as lines, of which so many bytes name the columns.
    Table(usize, String),
    /// More rows of the table that the piece before is of.
    Rows(String),
    /// A text of another format, such as a chapter of a book or what is attached to a mail.
    Part(Format, String),
    /// Something to say of the document, which is read all the same.
    Notice(Notice),
}

/// Takes pieces; an error ends the reading.
pub(in crate::ingest) type Take<'t> = dyn FnMut(Piece) -> Result<(), FailureReason> + 't;

impl Piece {
    /// Bytes of its text.
    pub(in crate::ingest) fn bytes(&self) -> usize {
        match self {
            Self::Title(text) | Self::Section(text) | Self::Part(_, text) => text.len(),
            Self::Within(names) => names.iter().map(String::len).sum(),
            piece => piece.text().len(),
        }
    }

    /// What it adds to the text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Heading(_, text) | Self::Prose(text) | Self::Lines(text) => text,
            Self::Table(_, text) | Self::Rows(text) => text,
            Self::Title(_) | Self::Section(_) | Self::Within(_) | Self::Part(..) => "",
            Self::Page(_) | Self::Apart | Self::Notice(_) => "",
        }
    }

    /// Gives the piece to the chunker, long ones in parts.
    pub(in crate::ingest) fn push(&self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self {
            Self::Title(title) => out.set_title(title),
            Self::Page(number) => {
                out.keep_headings_from_naming();
                out.section(&format!("page {number}"));
            }
            Self::Section(name) => {
                out.keep_headings_from_naming();
                out.section(name);
            }
            Self::Within(names) => {
                out.keep_headings_from_naming();
                out.within(names);
            }
            Self::Apart => out.section(""),
            Self::Heading(level, text) if text.len() <= MAX_BLOCK => {
                out.push(Block::Heading { level: *level, title: text.trim(), text });
            }
            Self::Heading(_, text) | Self::Prose(text) => push(text, Shape::Prose, out),
            Self::Lines(text) => push(text, Shape::Lines, out),
            Self::Table(head, text) => push(text, Shape::Table { head: *head }, out),
            Self::Rows(text) => push(text, Shape::Rows, out),
            Self::Part(format, text) => {
                let mut parser = Parser::new(*format);
                let read = parser.feed(text, out).and_then(|()| parser.finish(out));
                // What cannot be read costs itself alone.
                if let Err(reason) = read {
                    push(&format!("(not read: {reason})\n\n"), Shape::Prose, out);
                }
            }
            Self::Notice(notice) => out.notice(notice.clone()),
        }
        Ok(())
    }
}
