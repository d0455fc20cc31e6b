//! Turns documents into an index and questions into cited answers.
//!
//! ```text
//! ingest   parse -> chunk -> embed -> store        query   embed -> retrieve -> fuse -> generate -> cite
//! ```
//!
//! Data walks one way through the modules, in this order: [`model`] (the words), [`ports`] (what the flows need), the flows, [`adapters`] (the outside world, chosen only by [`cli`]).

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod evaluate;
pub mod generate;
pub mod http;
pub mod ingest;
pub mod key_file;
pub mod lexical;
pub mod metrics;
pub mod model;
pub mod operations;
pub mod outside;
pub mod ports;
pub mod reindex;
pub mod resilience;
pub mod retrieve;
pub mod security;
mod sentences;
pub mod shutdown;
pub mod telemetry;

#[cfg(test)]
mod doubles;
