//! What a document is made of for whoever cuts it, and what comes of that.

/// Tokens that a chunk may have, where the model allows it: small enough for a precise citation, large enough for a paragraph, and it leaves room for the headings above it.
const CHUNK_TOKENS: usize = 200;

/// Bytes that a chunk may have: a word without spaces is one token to some tokenizers, whatever its length.
const CHUNK_BYTES: usize = 8 * 1024;

/// How large a chunk may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens by the embedder's own tokenizer.
    pub tokens: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Limits {
    /// Limits for a model that cuts passages at `max_tokens`, with a fifth of them left for title and headings.
    pub fn for_model(max_tokens: usize) -> Self {
        Self { tokens: CHUNK_TOKENS.min(max_tokens - max_tokens / 5).max(1), bytes: CHUNK_BYTES }
    }

    pub(in crate::ingest) fn hold(self, tokens: usize, bytes: usize) -> bool {
        tokens <= self.tokens && bytes <= self.bytes
    }
}

/// What a block is, as far as it decides where it may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Sentences; also a list item or a quotation.
    Prose,
    /// Lines that belong together, such as code.
    Lines,
    /// A table, or its beginning: each row is a line whose cells have `|` between them.
    Table {
        /// So many of its first bytes name its columns, as lines that are repeated above the rows of each later chunk; 0 where nothing names them.
        head: usize,
    },
    /// More rows of the table that the block before is of.
    Rows,
}

impl Shape {
    /// What a block is that continues one of this shape.
    pub(in crate::ingest) fn going_on(self) -> Self {
        match self {
            Self::Table { .. } | Self::Rows => Self::Rows,
            Self::Prose | Self::Lines => self,
        }
    }
}

/// A value of a row that says its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Where it begins in the row, with its name.
    pub at: usize,
    /// So many of its first bytes are its name, with the mark behind it.
    pub name: usize,
}

/// A slice of the document that a parser recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block<'t> {
    /// A heading; it starts a section.
    Heading {
        /// 1 to 6.
        level: u8,
        /// The heading without its markup.
        title: &'t str,
        /// The slice.
        text: &'t str,
    },
    /// Anything with text.
    Body {
        /// Where it may be cut.
        shape: Shape,
        /// The slice.
        text: &'t str,
        /// Whether the next block continues this one, because it was too long to be held whole.
        continues: bool,
    },
    /// A row of a table that says the name of each value. Where it is too long for one chunk, each piece begins with its first value.
    Record {
        /// The row.
        text: &'t str,
        /// Its values in order, of which the first begins at 0.
        values: &'t [Value],
    },
    /// Blank lines.
    Blank {
        /// The slice.
        text: &'t str,
    },
}

impl<'t> Block<'t> {
    pub(super) fn text(&self) -> &'t str {
        match self {
            Self::Heading { text, .. } | Self::Body { text, .. } | Self::Record { text, .. } | Self::Blank { text } => {
                text
            }
        }
    }
}

/// A chunk before it belongs to a version of a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Draft {
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// What is repeated, and the slice behind it.
    pub text: String,
    /// Bytes of the text that are repeated from an earlier chunk: a table's head, a row's key.
    pub repeated: usize,
}
