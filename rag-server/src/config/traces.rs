//! The keys of `[tracing]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Traces: what each request did, stage by stage and call by call, without any text of it. Off without an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tracing {
    /// Where the collector takes OTLP over HTTP, such as `http://collector:4318`; `/v1/traces` is added.
    #[schemars(extend("format" = "http-base-url"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Which share of the requests is traced. A request whose client has decided that already (W3C `traceparent`) is traced as the client does.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// File with headers for the collector, such as a key: one `Name: value` a line; read again whenever it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// PEM file with the CA certificates that the collector is trusted by, beside those of the system; read at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Default for Tracing {
    /// Every request, once there is a collector.
    fn default() -> Self {
        Self { endpoint: None, sample_ratio: 1.0, headers_file: None, ca_file: None }
    }
}
