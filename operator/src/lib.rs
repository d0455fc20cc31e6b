//! The ragops operator: observe the cluster, decide what should be, apply it, report.
//!
//! ```text
//!  api ◄─ observed ◄─ validate ◄─ decide ◄─ build ◄─ apply, report ◄─ controller ◄─ main
//!            ▲                     pure          │        effects
//!         observe ──────────── effects ──────────┘
//! ```
//! Imports point to the left. What is pure names no client, runtime, network or clock.

pub mod api;
pub mod apply;
pub mod approval;
pub mod caches;
pub mod cli;
pub mod cluster;
pub mod conditions;
pub mod context;
pub mod controller;
pub mod error;
pub mod events;
pub mod http;
pub mod job;
pub mod leader;
pub mod memory;
pub mod metrics;
pub mod namespace;
pub mod objects;
pub mod procedures;
mod quantity;
pub mod report;
pub mod restore;
pub mod run;
pub mod sampler;
pub mod server_client;
pub mod snapshot;
pub mod steps;
pub mod telemetry;
