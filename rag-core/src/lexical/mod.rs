//! The sparse encoder: text to BM25 term weights, on both sides of the search.
//!
//! Pure. A term is a stemmed, lower-cased word, an identifier kept whole (`ERR_4711`, `foo::bar`, `RFC-9457`) beside its parts, or a pair of neighbouring words without the stop words between them. This module counts how often a term stands in a passage and
//! how long the passage is; how rare a term is in the corpus is multiplied in by the store. Whatever changes a term or a weight changes [`VERSION`], because stored vectors no longer fit then.
//!
//! Terms are named by a 32-bit hash. In a vocabulary of 100,000 terms about one pair shares a name; the two then count as one term, which costs a little precision and nothing else.

mod identifiers;
mod terms;
mod weights;

pub use identifiers::Identifiers;
pub use terms::terms;
pub use weights::{coverage, passage, query};

/// Version of the encoder; stored with the collection.
pub const VERSION: &str = "english-2";

/// Versions whose collections may be searched and written. `english-1` knew no pairs: a pair of a question finds nothing there, and everything else is the same.
pub const READABLE: [&str; 2] = ["english-1", VERSION];

/// Bytes of a question that are read; what a person types is far below.
const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Different terms of a question that are searched for.
const MAX_QUERY_TERMS: usize = 128;
/// Longest word that is stemmed, and longest identifier that is kept whole, in bytes.
const MAX_WORD_BYTES: usize = 128;
