//! Chunks and records in a Qdrant server or cluster.
//!
//! Guarantees: every write waits until it is applied and goes through the leader of its shard (strong ordering), so that what was acknowledged is seen by every process; every call ends by its deadline; whatever filters looks at is indexed, so that strict mode does not refuse it.
//! Caveat: conditional writes need Qdrant 1.19 or newer; an older server would ignore the conditions, and is refused.

mod chunk;
mod condition;
mod connection;
mod failure;
mod indexes;
mod records;
mod vectors;

pub use connection::{QdrantConnection, QdrantSettings};
pub use records::QdrantRecords;
pub use vectors::QdrantVectorStore;

use qdrant_client::qdrant::{WriteOrdering, WriteOrderingType};

const STORE: &str = "the vector store";

/// Writes go through the permanent leader of their shard, so that two conditional ones never pass each other.
fn strong() -> Option<WriteOrdering> {
    Some(WriteOrdering { r#type: WriteOrderingType::Strong as i32 })
}
