//! A chunk, for tests of what is made of one.

use crate::{
    model::{Chunk, ChunkId, ContentHash, DocumentId},
    ports::Passage,
};

/// The only chunk of version `v` of a document, without a title or headings.
pub fn chunk(document: DocumentId, text: &str) -> Chunk {
    let version = ContentHash("v".to_owned());
    let id = ChunkId::new(&document, &version, 0);
    Chunk { id, document, version, ordinal: 0, title: String::new(), headings: Vec::new(), text: text.to_owned() }
}

/// The same as a passage that was found with the highest score.
pub fn passage(document: DocumentId, text: &str) -> Passage {
    Passage { chunk: chunk(document, text), score: 1.0 }
}
