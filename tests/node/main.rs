//! Promises that need real pods: images, addresses, volumes, CPU. Root on Linux; elsewhere each test says why it is skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what prepares a test is test, too")]

mod asking;
#[path = "../contract/built.rs"]
mod built;
mod dependencies;
mod documents;
mod embedded;
mod load;
mod packed;
mod pages;
mod service;
mod shared;
mod snapshots;
mod starts;
mod stores;
