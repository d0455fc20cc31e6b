//! Who may use the service.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Authentication is always on in a cluster.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Clients with a key of their own, which the operator mints and keeps in Secret CLUSTER-key-NAME. None listed: one
    /// client "default" with the role Writer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub api_keys: Vec<ApiKey>,
}

/// One client.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Name of the client: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// What the client may do.
    #[serde(default)]
    pub role: Role,

    /// Whose documents the client sees and writes: lower-case letters, digits and dashes. Nobody sees those of another
    /// tenant. Absent: those of the default tenant, which all clients without one share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub tenant: Option<String>,
}

/// What a client may do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Role {
    /// Asks questions and reads documents.
    #[default]
    Reader,
    /// Adds and removes documents as well.
    Writer,
    /// Everything.
    Admin,
}
