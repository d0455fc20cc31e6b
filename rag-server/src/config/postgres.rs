//! The keys of `[records.postgres]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Postgres database, for any number of servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Folder with the files `username` and `password`, and with `host`, `port`, `database` and `ca.crt` where they are not said otherwise; read again when they change. Each holds one word of printable ASCII, and `ca.crt` certificates in PEM.
    pub dir: PathBuf,
    /// The host, instead of the file `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub host: Option<String>,
    /// The port, instead of the file `port`; 5432 where there is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
    /// The database, instead of the file `database`. It is this corpus's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub database: Option<String>,
    /// Whether the connection is encrypted. `VerifyFull`: its certificate must be for the host, by an authority of the file `ca.crt` or of the web. `Off`: everybody between reads along.
    #[serde(default)]
    pub tls: Tls,
    /// How many servers share the database's connections, those that start while others end included. Each opens at most 20, and at most its part of what the database allows.
    #[serde(default = "Postgres::default_servers")]
    #[schemars(range(min = 1, max = 1_000))]
    pub servers: u32,
    /// Connections of the database that are left to others: people, backups, an operator.
    #[serde(default = "Postgres::default_reserved_connections")]
    #[schemars(range(min = 0, max = 10_000))]
    pub reserved_connections: u32,
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Tls {
    /// Encrypted, and only with the server that was meant.
    #[default]
    VerifyFull,
    /// Not at all.
    Off,
}

impl Postgres {
    fn default_servers() -> u32 {
        1
    }

    /// A person, a backup and what watches the database, each with a few.
    fn default_reserved_connections() -> u32 {
        10
    }
}
