//! A double of a Qdrant server for tests and demonstrations: the real wire protocol over an exact scan in memory and a
//! durable log. It is not Qdrant and does not pretend to be: what it cannot do exactly, it refuses.
//!
//! ```text
//! grpc, http -> database -> log                 (effects)
//!                  |
//!                store -> collection -> search -> order, filter -> point, payload, schema      (pure)
//! ```

mod collection;
mod consistency;
mod database;
mod filter;
mod grpc;
mod http;
mod log;
mod mutation;
mod order;
mod payload;
mod point;
mod refusal;
mod schema;
mod search;
mod server;
mod store;

pub use grpc::ApiKeys;
pub use server::{Double, Settings};

/// The version of Qdrant whose behaviour is imitated; clients compare it with their own.
pub const VERSION: &str = "1.20.0";
