//! What turns text into vectors: a union of two.
//!
//! The union has no default in the schema, as for the vector store. An absent one is resolved in `cluster::validate`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{quota::Quota, vector_store::SecretKeyRef};

/// Exactly one embedder.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.local) != has(self.openAI)")
    .message(Message::Expression(
        "has(self.local) \
         ? 'found both: name exactly one of local and openAI; applying one beside a stored one adds it, so set the other to null' \
         : 'found none: name exactly one of local and openAI, or leave embedding out for the model inside the image of the servers'"
            .to_owned()
    )))]
pub struct Embedding {
    /// A model that runs inside each server, on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalEmbedding>,

    /// An OpenAI-compatible service. Every passage that is ingested and every question that is asked is sent to it.
    #[serde(default, rename = "openAI", skip_serializing_if = "Option::is_none")]
    pub open_ai: Option<OpenAiEmbedding>,
}

/// A model that runs inside each server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalEmbedding {
    /// Name of the model. Cannot be changed later.
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

/// An OpenAI-compatible service. What its vectors are stays; where it is and which key it takes may change.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.model == oldSelf.model && self.dimensions == oldSelf.dimensions")
    .message(
        "the model and its dimensions cannot be changed: what is stored was embedded with the old ones; \
         create a new RagCluster and ingest the documents there"
    ))]
pub struct OpenAiEmbedding {
    /// The model to ask for, for example text-embedding-3-small. Cannot be changed later.
    #[schemars(length(min = 1, max = 200))]
    pub model: String,

    /// The length of its vectors, for example 1536; the servers check it when they start. Cannot be changed later.
    #[schemars(range(min = 1, max = 65_536))]
    pub dimensions: i32,

    /// Where its API is, for example https://api.openai.com/v1; /embeddings is added. Another address has to serve the same
    /// model, or what is stored is not found any more.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub base_url: String,

    /// The Secret that holds its API key, in the same namespace. Absent: no key, as for a service inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,

    /// What it charges; counted against the budget. Absent: a call costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<EmbeddingPricing>,

    /// What it allows within a minute.
    #[serde(flatten)]
    pub quota: Quota,
}

/// What an embedding service charges, in US dollars.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddingPricing {
    /// For a million tokens that it reads.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub input_usd_per_million_tokens: f64,
}
