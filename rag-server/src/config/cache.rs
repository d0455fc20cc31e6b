//! The keys of `[cache]`.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is remembered of questions. An ingestion, a deletion or another configuration makes it void at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Memory for vectors of questions and the passages that were found, in bytes; 0 switches it off.
    #[schemars(range(min = 0, max = 17_179_869_184_u64))]
    pub max_bytes: u64,
    /// A Redis behind the memory, in which the replicas find what another one computed. Without it each has its memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
}

/// A Redis: one server, no cluster, no Sentinel. Nothing in it is worth a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Its address, such as `redis://redis:6379`; over TLS `rediss://redis.example.com:6380`, whose certificate must be for that host.
    #[schemars(extend("format" = "redis-url"))]
    pub url: String,
    /// File that holds the name of its user; read for each connection. Without it, and where there is no such file, the default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_file: Option<PathBuf>,
    /// File that holds the password; read for each connection, so a new one needs no restart. Without it, and where there is no such file, none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// File with the CA certificates, in PEM, that a `rediss://` address is checked against; read for each connection. Without it, and where there is no such file, those of the system count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long a call of it may take; one that takes longer counts like one that failed, and after three in a row it is left alone for five seconds.
    #[serde(default = "Redis::default_budget_millis")]
    #[schemars(range(min = 1, max = 1000))]
    pub budget_millis: u64,
    /// How long an entry is kept. Nothing depends on it but room: what a change of the documents made void is not asked for again.
    #[serde(default = "Redis::default_ttl_seconds")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub ttl_seconds: u64,
}

impl Redis {
    /// One in the same network answers in less than a millisecond, and what it saves, a search or an embedding, takes about as long as this: a slower one is of no use.
    fn default_budget_millis() -> u64 {
        20
    }

    /// A day, as for sessions: what was not asked for since yesterday is computed again.
    fn default_ttl_seconds() -> u64 {
        86_400
    }

    /// How long a call may take.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_millis)
    }

    /// How long an entry is kept.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }
}

impl Default for Cache {
    fn default() -> Self {
        // About 5,000 questions with their passages.
        Self { max_bytes: 64 * 1024 * 1024, redis: None }
    }
}
