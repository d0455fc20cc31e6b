//! Every adapter against the contract of its port.
//!
//! A suite is a list of clauses, each a function over a way to reach a store; an adapter's file says how its store is reached and runs them all.

mod embedded;
mod embedder;
mod qdrant;
mod records;
mod vector_store;
