//! The keys of `[embedding]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::MicroUsd;

/// How text becomes vectors: at most one of the members; none means the local model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Embedding {
    /// A model that runs inside the server, on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalEmbedding>,
    /// A provider with an API of OpenAI's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiEmbedding>,
    /// The model that the corpus was built with so far. Where it holds vectors of this one, the server searches them, builds those of the new model beside them, and then changes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousEmbedding>,
}

/// The model that the corpus was built with so far: at most one of the first two members; none means the local model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreviousEmbedding {
    /// A model that runs inside the server, on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalEmbedding>,
    /// A provider with an API of OpenAI's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiEmbedding>,
    /// Change over only if this share of the documents' headings finds its document among the first five. Without it, the share is logged and decides nothing.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
}

/// How text becomes vectors, as it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingChoice {
    /// A model inside the server.
    Local(LocalEmbedding),
    /// A provider.
    OpenAi(OpenAiEmbedding),
}

impl Embedding {
    /// What was chosen; nothing means the local model.
    pub fn choice(&self) -> EmbeddingChoice {
        match &self.openai {
            Some(openai) => EmbeddingChoice::OpenAi(openai.clone()),
            None => EmbeddingChoice::Local(self.local.clone().unwrap_or_default()),
        }
    }

    /// The same with the previous model in the place of the new one, if there is a previous one.
    pub fn before(&self) -> Option<Self> {
        let PreviousEmbedding { local, openai, .. } = self.previous.clone()?;
        Some(Self { local, openai, previous: None })
    }
}

/// A provider with an API of OpenAI's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAiEmbedding {
    /// Its base address, such as `https://api.example.com/v1`.
    #[schemars(extend("format" = "http-base-url"))]
    pub base_url: String,
    /// The model's name.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub model: String,
    /// Length of its vectors; checked at the start. Another one needs another corpus.
    #[schemars(range(min = 1, max = 65_536))]
    pub dimensions: usize,
    /// File that holds the API key; read at each call. Without it no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// What it charges. Without it a call costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<EmbeddingPricing>,
    /// Requests that it allows within a minute, to all servers of this corpus together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<u64>,
    /// Tokens that it allows within a minute, to all servers of this corpus together; estimated before each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<u64>,
}

/// What an embedding provider charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingPricing {
    /// For a million tokens that it reads.
    #[schemars(with = "f64", range(min = 0.0, max = 100_000.0))]
    pub input_usd_per_million_tokens: MicroUsd,
}

/// A model that runs inside the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalEmbedding {
    /// The model's name.
    #[schemars(extend("enum" = ["all-MiniLM-L6-v2"]))]
    pub model: String,
    /// Folder with `model.onnx` and `tokenizer.json`. Without it: `$RAG_MODEL_DIR`, then `./model`, then `model` in the user's data folder, then `/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Default for LocalEmbedding {
    fn default() -> Self {
        Self { model: "all-MiniLM-L6-v2".to_owned(), path: None }
    }
}
