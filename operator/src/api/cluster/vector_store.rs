//! Where vectors and records live: a union of three.
//!
//! The union has no default in the schema: a stored default would stand beside a later choice and be refused as a second
//! store. An absent one is resolved in `cluster::validate`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pod_template::PodTemplate;
use super::resources::Resources;
use super::storage::Storage;

/// Exactly one store, and what becomes of its data.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
        "[has(self.qdrant), has(self.externalQdrant), has(self.embedded)].filter(chosen, chosen).size() == 1"
    )
    .message(Message::Expression(
        "!has(self.qdrant) && !has(self.externalQdrant) && !has(self.embedded) \
         ? 'found none: name exactly one of qdrant, externalQdrant and embedded, or leave vectorStore out for a managed Qdrant' \
         : 'found more than one: name exactly one of qdrant, externalQdrant and embedded; applying one beside a stored one \
         adds it, so set the other to null'"
            .to_owned()
    )))]
pub struct VectorStore {
    /// A Qdrant that the operator runs: one replica with a volume of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qdrant: Option<ManagedQdrant>,

    /// A Qdrant that somebody else runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_qdrant: Option<ExternalQdrant>,

    /// The engine inside the one server of a Development cluster, with a volume of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStore>,

    /// What becomes of the volume when the RagCluster is deleted. A cluster of the same namespace and name finds a retained
    /// volume again. An external Qdrant keeps its data in either case.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A Qdrant that the operator runs.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedQdrant {
    /// The volume. Its size can grow later.
    #[serde(default)]
    pub storage: Storage,

    /// Image of Qdrant, 1.17 or newer. Absent: the one that runs, at first the operator's default, whatever the default is
    /// later. A minor is followed by itself or the next one. A tag without a version is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// CPU and memory. Absent amounts: requests of 250m CPU and 512Mi memory, no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// What its pod carries besides what the operator gives it. Nothing of the servers' podTemplate reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// A Qdrant that somebody else runs.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
        "has(self.collection) == has(oldSelf.collection) && (!has(self.collection) || self.collection == oldSelf.collection)"
    )
    .message(
        "the collection cannot be changed, added or removed: the documents are in it; \
         create a new RagCluster for another collection"
    )
    .field_path(".collection"))]
#[x_kube(validation = Rule::new("!has(self.caKey) || (has(self.apiKeySecretRef) && self.url.startsWith('https://'))")
    .message("caKey is a key of the Secret that apiKeySecretRef names, and is for https://: name that Secret, and write the url so")
    .field_path(".caKey"))]
pub struct ExternalQdrant {
    /// Address of its gRPC port, for example https://qdrant.example.com:6334.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s/?#@]+/?$"))]
    pub url: String,

    /// The Secret that holds its API key, in the same namespace. Absent: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,

    /// The key of the same Secret that holds the certificates (PEM) by which the store's is signed, for example ca.crt. Absent:
    /// those of the authorities of the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub ca_key: Option<String>,

    /// Name of the collection, without the suffixes that the servers add. Absent: the name of the RagCluster. Cannot be
    /// changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub collection: Option<String>,
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Key inside the Secret.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// The engine inside the server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedStore {
    /// The volume. Its size can grow later.
    #[serde(default)]
    pub storage: Storage,
}

/// What becomes of data when its owner is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// The volume stays.
    #[default]
    Retain,
    /// The volume is deleted with the RagCluster.
    Delete,
}

fn default_key() -> String {
    "api-key".to_owned()
}
