//! What the servers remember of questions: a union of two.
//!
//! The union has no default in the schema, as for the vector store. Absent means the memory of each server.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one cache.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.memory) != has(self.redis)")
    .message(Message::Expression(
        "has(self.memory) \
         ? 'found both: name exactly one of memory and redis; applying one beside a stored one adds it, so set the other to null' \
         : 'found none: name exactly one of memory and redis, or leave cache out for the memory of each server'"
            .to_owned()
    )))]
pub struct Cache {
    /// The memory of each server, for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryCache>,

    /// A Redis behind the memory of each server, so that what one computed another finds. Nothing in it is worth a snapshot, and
    /// while it is slow or away the servers answer without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisCache>,
}

/// The memory of each server; there is nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryCache {}

/// A Redis that somebody else runs: one server, no cluster, no Sentinel.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisCache {
    /// Where it is, for example redis://redis:6379, or over TLS rediss://redis.example.com:6380, whose certificate must be for that
    /// host. Several RagClusters may share one; their entries never meet.
    #[schemars(length(min = 9, max = 512), regex(pattern = r"^rediss?://[^\s/?#@]+/?$"))]
    pub url: String,

    /// The Secret that holds its password as `password` where it wants one, its user as `user` where it is not the default user,
    /// and for rediss:// the certificates in PEM of the authority that signed its certificate as `ca.crt` where that is none of the
    /// web, in the same namespace. They are mounted, and read again by the servers for each connection. Absent: none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<RedisSecretRef>,
}

/// A Secret with fixed keys, so that what a server is let in with changes in one step.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}
