//! Chunks and records in a Qdrant server or cluster.
//!
//! Guarantees: every write waits until it is applied; records, and whatever else depends on the order of writes, go through the permanent leader of their shard and are read from a majority where there are three replicas, so that what was acknowledged is seen by every process; every call ends by its deadline; whatever filters looks at is indexed, so that strict mode does not refuse it.
//! Caveats: conditional writes need Qdrant 1.19 or newer; an older server would ignore the conditions, and is refused. While the leader of the records' shard is down, records are read and not written.

mod chunk;
mod client;
mod condition;
mod connection;
mod failure;
mod indexes;
mod layout;
mod peers;
mod records;
mod vectors;

pub use connection::{QdrantConnection, QdrantSettings};
pub use layout::{Layout, Quantization};
pub use peers::PeerTold;
pub use records::QdrantRecords;
pub use vectors::QdrantVectorStore;

const STORE: &str = "the vector store";
