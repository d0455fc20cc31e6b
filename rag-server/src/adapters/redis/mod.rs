//! A Redis behind the memory of this process, so that what one replica computed another one finds.
//!
//! Flow: what is asked for is looked for in memory, then in Redis within a budget of milliseconds; what was computed is kept in memory at once and in Redis beside the request.
//! Guarantees: nothing waits for a connection; a call that is slow counts like one that fails; after a few of them Redis is left alone, the memory works by itself, that is said once, and a try beside the requests finds out when it is there again.
//! What comes from Redis was kept by this version for this owner under this very name, or is as good as absent. Redis is one server: no cluster, no Sentinel, no replica.

mod address;
mod connection;
mod entry;
mod failure;
mod tiered;

pub use self::{
    connection::{BadAddress, Link, RedisSettings},
    entry::Names,
    failure::Cause,
    tiered::{OUTCOMES, TieredCache},
};
