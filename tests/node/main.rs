//! Promises that need real pods: images, addresses, volumes, CPU. Root on Linux; elsewhere each test says why it is skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what prepares a test is test, too")]

#[path = "../contract/built.rs"]
mod built;
mod documents;
mod pages;
mod shared;
mod starts;
