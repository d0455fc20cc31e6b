//! How good the search is on a set of questions whose relevant documents are known.
//!
//! Pure.

pub mod measures;
