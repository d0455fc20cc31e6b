//! Turns documents into an index and questions into cited answers.
//!
//! ```text
//! ingest   parse -> chunk -> embed -> store        query   embed -> retrieve -> fuse -> generate -> cite
//! ```
//!
//! Data walks one way through the modules, in this order: [`model`] (the words), [`ports`] (what the flows need), the flows, [`adapters`] (the outside world, chosen only by [`cli`]).

pub mod adapters;
pub mod model;
pub mod ports;
