//! The outside world: one file or folder for each thing that a port reaches. Chosen only by `cli`.

#[cfg(feature = "engine")]
pub mod edge;
pub mod extractive;
pub mod minilm;
pub mod qdrant;
pub mod rerank;
pub mod sqlite;
