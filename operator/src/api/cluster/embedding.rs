//! What turns text into vectors: a union with one member so far.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The embedder.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.local)")
    .message("name an embedder: local, or leave embedding out for the model inside the server's image"))]
pub struct Embedding {
    /// A model that runs inside each server, on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalEmbedding>,
}

/// A model that runs inside each server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalEmbedding {
    /// Name of the model.
    #[serde(default)]
    pub model: EmbeddingModel,
}

/// The models that the server's image holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum EmbeddingModel {
    /// 384 dimensions, English.
    #[default]
    #[serde(rename = "all-MiniLM-L6-v2")]
    AllMiniLmL6V2,
}
