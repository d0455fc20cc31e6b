//! Turns documents into an index and questions into cited answers, over ports: nothing here knows a store, a model, a web server or a command line.
//!
//! ```text
//! ingest   parse -> chunk -> embed -> store        query   embed -> retrieve -> fuse -> generate -> cite
//! ```
//!
//! Data walks one way through the modules, in this order: [`model`] (the words), [`ports`] (what the flows need), the flows.

pub mod corpus;
pub mod costs;
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "used by tests alone, of this crate and of those that stand on it"
)]
pub mod doubles;
pub mod evaluate;
pub mod folding;
pub mod generate;
pub mod ingest;
pub mod key_file;
pub mod lexical;
pub mod model;
pub mod ports;
pub mod quota;
pub mod reckoning;
pub mod reindex;
pub mod resilience;
pub mod retention;
pub mod retrieve;
mod sentences;
pub mod snapshot;
pub mod spans;
