//! What the flows need from the outside world, as traits.
//!
//! Each port has one contract suite under `tests/contract`, and every adapter passes it. No adapter is named here.

mod address;
mod archive;
mod cache;
mod cache_epochs;
mod changes;
mod chat;
mod clock;
mod documents;
mod edition;
mod embedder;
mod epoch;
mod error;
mod generator;
mod hold;
pub mod lent;
mod memory;
mod payer;
mod records;
mod reranker;
mod sight;
mod source;
mod toll;
mod update;
mod vector_store;

pub use address::AddressClass;
pub use archive::{Archive, ArchiveError, Object};
pub use cache::{Cache, CacheKey, CacheKind, Held};
pub use cache_epochs::{CacheEpochs, Cleared};
pub use changes::{Changes, State};
pub use chat::{ChatError, ChatModel, ChatPiece, ChatRequest, ChatStream, RateLimit, Tokens, Window};
pub use clock::{Clock, SystemClock};
pub use documents::{content_prefix, contents_of, count_documents, documents_of, has_expired, place, stands};
pub use edition::{Edition, Editions, siblings};
pub use embedder::{EmbedError, Embedder, EmbedderDecorator, ModelIdentity, ProviderFailure};
pub use epoch::Epoch;
pub use error::StoreError;
pub use generator::{Draft, Form, GAP, GenerateError, Generator, Passage, Sentence};
pub use hold::{GATE, Hold, Holder, Holds, TTL, holder_of};
pub use memory::{Kept, Key, Memory};
pub use payer::Payer;
pub use records::{Kind, Page, Put, Record, Records, Swap};
pub use reranker::{RerankError, Reranker};
pub use sight::{Calls, Health, Sight};
pub use source::{KEPT, MOST_CHUNKS, MOST_LISTED, OpenStores, Source};
pub use toll::{Bill, Fare, NoToll, NotAdmitted, Toll, Trip};
pub use update::{Change, update};
pub use vector_store::{Index, Only, Scan, Search, VectorStore};
