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
// Those of the contract's tests are made with the same words.
#[path = "../certificates/mod.rs"]
mod certificates;
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
mod expiring;
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
mod lent;
mod logs;
mod moving;
mod neighbours;
mod operator;
mod ownership;
mod pages;
// One test's Postgres and Redis; the contract's tests start theirs with the same words.
#[path = "../postgres_server/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod postgres_server;
mod probes;
mod process;
mod provider;
mod query;
mod quota;
mod real_llm;
mod redis;
#[path = "../redis_server/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod redis_server;
mod replicas;
mod restores;
mod shared_store;
mod snapshots;
mod soak;
mod takeover;
mod tenants;
mod traces;
mod unrest;
mod v1;
mod watching;
#[path = "../contract/archive/weed.rs"]
mod weed;
