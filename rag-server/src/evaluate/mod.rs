//! How good the search is on a set of questions whose relevant documents are known.
//!
//! The measures and their intervals are pure.

pub mod bootstrap;
pub mod measures;
