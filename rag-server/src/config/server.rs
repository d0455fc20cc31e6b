//! The keys of `[server]`, `[auth]` and `[live]`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Listeners and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port of the public API. Anything but loopback needs API keys.
    #[schemars(extend("format" = "ip:port"))]
    pub listen: SocketAddr,
    /// Address and port of `/metrics`, `/ops/…` and `/health`; to be reached by the operator, its Jobs, the scraper and the probes alone.
    #[schemars(extend("format" = "ip:port"))]
    pub management_listen: SocketAddr,
    /// A request that takes longer is given up.
    #[schemars(range(min = 1, max = 600))]
    pub request_timeout_seconds: u64,
    /// Largest request body in bytes, and at the same time what all bodies with documents may take in memory together. Bodies of `/v1/embeddings` and `/v1/rerank` have half as much of their own.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_body_bytes: usize,
    /// How long a stop may take in all: leaving, finishing what is in flight, closing the stores.
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: u64,
    /// A question that takes longer is slow: it is logged with the times of its stages, counted, and listed in `/ops/status`. 0 takes every question for one.
    #[schemars(range(min = 0, max = 600))]
    pub slow_query_seconds: u64,
    /// How much of `drain_seconds` requests are still taken for, while `/health/ready` says already that the server stops: until a load balancer that asks it has heard. A pod of a RagCluster has that time before it is told to stop.
    #[schemars(range(min = 0, max = 600))]
    pub leave_seconds: u64,
    /// Connections of the public port at once.
    #[schemars(range(min = 8, max = 65_536))]
    pub max_connections: usize,
    /// Connections that one address may have (of IPv6 one /64 network), and at the same time the requests of HTTP/2 that it may have in them. Default: half of `max_connections`.
    #[schemars(range(min = 1, max = 65_536))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_address: Option<usize>,
    /// Requests of each class that are handled at once.
    pub places: Places,
    /// Origins of web pages that may call the public API from a browser, such as "https://portal.example.org". Without them, pages of the server's own origin alone.
    #[schemars(length(max = 100))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            management_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            request_timeout_seconds: 30,
            max_body_bytes: 32 * 1024 * 1024,
            drain_seconds: 25,
            // A question takes well below a second of ours, and few seconds of a provider.
            slow_query_seconds: 5,
            leave_seconds: 0,
            max_connections: 1024,
            max_connections_per_address: None,
            places: Places::default(),
            cors_origins: Vec::new(),
        }
    }
}

impl Server {
    /// The time that a request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    /// The time beyond which a question is slow.
    pub fn slow_query(&self) -> Duration {
        Duration::from_secs(self.slow_query_seconds)
    }

    /// The time that a stop has.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The part of it in which requests are still taken.
    pub fn leave(&self) -> Duration {
        Duration::from_secs(self.leave_seconds)
    }
}

/// Requests of each class that are handled at once. What is beyond is refused with 503 and `Retry-After` at once; no class takes the places of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Places {
    /// Questions, until their answer begins. Each holds about a megabyte.
    #[schemars(range(min = 1, max = 10_000))]
    pub questions: usize,
    /// Answers that are sent while they are written.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams: usize,
    /// Requests that write or remove documents. The bytes of their bodies are bounded by `max_body_bytes` in any case.
    #[schemars(range(min = 1, max = 10_000))]
    pub ingests: usize,
    /// Calls of `/v1/embeddings` and `/v1/rerank`.
    #[schemars(range(min = 1, max = 10_000))]
    pub texts: usize,
    /// Listings, jobs, sessions, feedback.
    #[schemars(range(min = 1, max = 10_000))]
    pub records: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            // As many as may wait for the local model.
            questions: 256,
            // Each is a call of a provider for seconds, which few providers take more of.
            streams: 128,
            // They wait for the records, and more of them do not make those faster.
            ingests: 32,
            // They compute: beyond a few for each core they only wait for each other.
            texts: 16,
            records: 128,
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Folder with the credential files `api-key.NAME.current`, `api-key.NAME.previous`, `operator.current` and `operator.previous`; read again whenever they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_dir: Option<PathBuf>,
    /// The API keys. None: everybody on loopback may do everything, and no other address is listened on.
    #[schemars(length(max = 100))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<ApiKey>,
}

/// One client's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Names the key's files and its metrics: 1 to 63 of a-z, 0-9 and `-`.
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Whose documents its holder sees and writes: 1 to 63 of a-z, 0-9 and `-`. Without it, those of the default tenant.
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// What the holder of a key may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Ask questions and read documents.
    Reader,
    /// Also ingest and delete documents.
    Writer,
    /// Also administer the server.
    Admin,
}

impl Role {
    /// The role's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "Reader",
            Self::Writer => "Writer",
            Self::Admin => "Admin",
        }
    }
}

/// Where that stands which may change while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LiveSource {
    /// A TOML file with `read_only`, `log` and `budget`; read again whenever it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}
