//! The real program, started as a process on free ports: one file for each promise.

mod bodies;
mod configuration;
mod credentials;
mod drain;
mod ingest;
mod operator;
mod probes;
mod process;
