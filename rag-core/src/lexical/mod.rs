//! The sparse encoder: text to BM25 term weights, on both sides of the search.
//!
//! Pure. A term is the stem of a word in the one form that it has however it is written (`folding`), an identifier kept whole (`ERR_4711`, `foo::bar`, `RFC-9457`) beside its parts, a pair of neighbouring words without
//! the small words between them, or two neighbouring characters of a script without spaces. This module counts how often a term stands in a passage and how long the passage is; how rare a term is in the corpus is
//! multiplied in by the store. Whatever changes a term or a weight changes [`VERSION`], because stored vectors no longer fit then.
//!
//! Invariant: the same text has the same terms whether it is asked or stored. A name depends on the letters of its word alone, never on what language the text is taken for; what depends on that is added to a passage, and every
//! question asks for all that could have been added.
//!
//! Terms are named by a 32-bit hash. In a vocabulary of 100,000 terms about one pair shares a name; the two then count as one term, which costs a little precision and nothing else.

mod identifiers;
mod language;
mod question;
mod scripts;
mod small_words;
mod spelling;
mod stems;
mod terms;
mod weights;

pub use identifiers::Identifiers;
pub(crate) use language::is_small;
pub use question::Question;
pub use spelling::Misspelt;
pub use terms::terms;
pub use weights::passage;

/// Version of the encoder; stored with the collection.
pub const VERSION: &str = "folded-3";

/// Versions whose collections may be searched and written. `english-1` knew no pairs, and `english-2` neither other languages nor one form for what reads the same: a question also asks for a word as these named it, so that it
/// finds what it found before, but for what was stored unfolded, such as ligatures.
pub const READABLE: [&str; 3] = ["english-1", "english-2", VERSION];

/// Bytes of a question that are read; what a person types is far below.
const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Different terms of a question that are searched for.
const MAX_QUERY_TERMS: usize = 128;
/// Longest word that is stemmed, and longest identifier that is kept whole, in bytes.
const MAX_WORD_BYTES: usize = 128;
