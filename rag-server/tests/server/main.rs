//! The real program, started as a process on free ports: one file for each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what starts the program and asks it is test, too"
)]

mod billing;
mod bodies;
mod caches;
mod clients;
mod configuration;
mod credentials;
mod damage;
mod deletion;
mod documents;
mod doors;
mod drain;
mod endings;
mod evaluate;
mod expiry;
mod fake_provider;
mod full_disk;
mod generation;
mod hostile;
mod ingest;
mod logs;
mod moving;
mod neighbours;
mod operator;
mod ownership;
mod pages;
mod probes;
mod process;
mod provider;
mod query;
mod real_llm;
mod shared_store;
mod soak;
mod takeover;
mod tenants;
mod v1;
