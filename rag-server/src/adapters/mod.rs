//! The outside world: one file or folder for each thing that a port reaches. Chosen only by `cli`.

pub mod archive;
pub mod cached_embedder;
pub mod counted_cache;
#[cfg(feature = "engine")]
pub mod edge;
pub mod guarded;
pub mod lent;
mod lock;
pub mod memory_cache;
pub mod minilm;
pub mod openai;
pub mod openai_embedder;
pub mod postgres;
pub mod qdrant;
pub mod redis;
pub mod rerank;
pub mod sqlite;
pub mod warm;
pub mod watched;
