//! The program around the flows of [`rag_core`]: their ports' adapters, composition, HTTP, configuration and command line.
//!
//! ```text
//! ingest   parse -> chunk -> embed -> store        query   embed -> retrieve -> fuse -> generate -> cite
//! ```
//!
//! The flows and what they speak in are another crate, so that a change of theirs is built and tested without a vector engine, a model or a web server; they are known here by the same names.
//! Data walks one way: `model` (the words), `ports` (what the flows need), the flows, [`adapters`] (the outside world, chosen only by [`cli`]).

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod fleet;
pub mod http;
pub mod metrics;
pub mod operations;
pub mod outside;
pub mod security;
pub mod shutdown;
pub mod telemetry;

#[cfg(test)]
use rag_core::doubles;
pub use rag_core::{
    corpus, costs, evaluate, generate, ingest, key_file, lexical, model, ports, quota, reckoning, reindex, resilience,
    retention, retrieve, snapshot, spans,
};
