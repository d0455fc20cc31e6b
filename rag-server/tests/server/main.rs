//! The real program, started as a process on free ports: one file for each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what starts the program and asks it is test, too"
)]

mod admission;
mod archives;
mod billing;
mod bodies;
mod caches;
mod clients;
mod configuration;
mod costs;
mod credentials;
mod damage;
mod database;
mod deletion;
mod documents;
mod doors;
mod drain;
mod endings;
mod evaluate;
mod expiry;
mod failures;
mod fake_collector;
mod fake_provider;
mod fleet;
mod floods;
mod full_disk;
mod fuzz;
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
mod quota;
mod real_llm;
mod redis;
mod replicas;
mod restores;
mod shared_store;
mod snapshots;
mod soak;
mod takeover;
mod tenants;
mod traces;
mod v1;
mod watching;
#[path = "../contract/archive/weed.rs"]
mod weed;
