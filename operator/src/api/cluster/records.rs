//! Where documents, jobs and everything else that is not a vector is recorded: a union of two.
//!
//! The union has no default in the schema, as for the vector store. An absent one is resolved in `cluster::validate`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one place.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.vectorStore) != has(self.postgres)")
    .message(Message::Expression(
        "has(self.vectorStore) \
         ? 'found both: name exactly one of vectorStore and postgres; applying one beside a stored one adds it, so set the other to null' \
         : 'found none: name exactly one of vectorStore and postgres, or leave records out for records beside the vectors'"
            .to_owned()
    )))]
pub struct Records {
    /// Beside the vectors: collections of the same Qdrant, or a file in the volume of the embedded store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_store: Option<VectorStoreRecords>,

    /// A Postgres database that somebody else runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
}

/// Beside the vectors; there is nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VectorStoreRecords {}

/// A Postgres database that somebody else runs, version 12 or newer. It is this RagCluster's alone, and its user may create tables
/// in it: the servers make theirs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Postgres {
    /// The Secret that says where the database is and who asks it, in the same namespace. The servers mount it and follow its
    /// changes; the operator never reads it.
    pub secret_ref: PostgresSecretRef,

    /// The port of the database, which the servers' NetworkPolicy lets them out to.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,

    /// Whether the connection is encrypted.
    #[serde(default)]
    pub tls: PostgresTls,
}

/// A Secret with the keys host, database, username and password, each one word of printable ASCII, and ca.crt, the certificates in
/// PEM of the authority that signed the database's. Without ca.crt, the authorities of the web are trusted alone.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}

/// How a connection to a database is secured.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PostgresTls {
    /// Encrypted, and only with a server whose certificate is for the host.
    #[default]
    VerifyFull,
    /// Not at all: whoever is between reads along.
    Off,
}

/// Where Postgres listens unless it is told otherwise.
fn default_port() -> i32 {
    5432
}
