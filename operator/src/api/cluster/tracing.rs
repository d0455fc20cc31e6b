//! Where traces of requests are sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vector_store::SecretKeyRef;

/// A collector of traces: what each request did, stage by stage and call by call, without any text of it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Where it takes OTLP over HTTP, for example http://collector.monitoring.svc:4318; /v1/traces is added.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub endpoint: String,

    /// How many of a hundred requests are traced. A request whose client has decided that already is traced as the client does.
    #[serde(default = "default_sample_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub sample_percent: i32,

    /// The Secret that holds headers for it, in the same namespace: one "Name: value" a line, such as
    /// "Authorization: Bearer KEY". Absent: none, as for a collector inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

fn default_sample_percent() -> i32 {
    100
}
