//! Every adapter against the contract of its port.
//!
//! A suite is a list of clauses, each a function over a way to reach a store; an adapter's file says how its store is reached and runs them all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clauses and their preparations are tests, too"
)]

mod archive;
mod cache;
// The tests of the server make theirs with the same words.
#[path = "../certificates/mod.rs"]
mod certificates;
mod claims;
mod embedded;
mod embedder;
mod openai_embedder;
mod postgres;
mod qdrant;
mod qdrant_layout;
mod qdrant_peers;
mod qdrant_tls;
mod records;
mod redis;
mod vector_store;

tokio::task_local! {
    /// Where the storage is that a suite runs on, of the places that its kind of storage names.
    pub(crate) static PLACE: String;
}
