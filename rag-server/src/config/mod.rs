//! One struct holds everything that can be set; `docs`, the parser and the tests all read it.
//!
//! Layers, the later winning: defaults, one TOML file, the environment (`RAG__SECTION__KEY`), flags. Unknown keys are refused, and all problems are told at once, each with its place.
//! No secret stands in a configuration, only the files that hold them. Nothing here starts anything.

mod cache;
mod corpus;
mod embedding;
mod generation;
mod layers;
mod live;
mod log;
mod postgres;
mod problem;
mod reference;
mod retention;
mod retrieval;
mod rules;
mod server;
mod shape;
mod snapshots;
mod traces;
mod walk;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cache::{Cache, Redis};
pub use corpus::{
    Embedded, Hnsw, Qdrant, QdrantQuantization, QdrantUrl, Records, RecordsChoice, Sqlite, VectorStore,
    VectorStoreChoice, VectorStoreRecords,
};
pub use embedding::{Embedding, EmbeddingChoice, EmbeddingPricing, LocalEmbedding, OpenAiEmbedding, PreviousEmbedding};
pub use generation::{CircuitBreaker, Fallback, Generation, Pricing, Provider, Sessions};
pub use layers::{Layers, Loaded, Setting};
pub use live::{Budget, Live, LiveSettings, LiveState, OnLimit, ReadOnlyBy};
pub use log::LogFilter;
pub use postgres::{Postgres, Tls};
pub use problem::{Origin, Problem, Problems};
pub use reference::reference;
pub use retention::Retention;
pub use retrieval::{FusionChoice, RerankPricing, RerankProvider, Retrieval};
pub use server::{ApiKey, Auth, LiveSource, Places, Role, Server};
pub use snapshots::{ArchiveFolder, Encryption, S3, Snapshots};
pub use traces::Tracing;

/// Everything that can be set. Every key is optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who owns the corpus, as `namespace/name`. A corpus that belongs to somebody else is refused.
    #[schemars(extend("maxLength" = 253, "minLength" = 1))]
    pub owner: String,
    /// What tells the owner from one of the same name elsewhere: 1 to 63 of a-z, 0-9 and `-`. It is stored with the corpus, and decides instead of `owner` wherever both sides have one.
    #[schemars(extend("maxLength" = 63, "minLength" = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The time of a damage to the data whose loss is accepted, as the log and `damage.json` name it, such as "20261128T044700Z". Until then a server that lost documents serves nothing.
    #[schemars(extend("maxLength" = 16, "minLength" = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_loss: Option<String>,
    /// Listeners and limits.
    pub server: Server,
    /// Who may ask.
    pub auth: Auth,
    /// How text becomes vectors.
    pub embedding: Embedding,
    /// Where chunks and their vectors live.
    pub vector_store: VectorStore,
    /// Where documents and jobs are recorded.
    pub records: Records,
    /// How a question is searched.
    pub retrieval: Retrieval,
    /// Who writes answers.
    pub generation: Generation,
    /// Conversations that the server remembers.
    pub sessions: Sessions,
    /// How long is kept what is no document.
    pub retention: Retention,
    /// What is remembered of questions.
    pub cache: Cache,
    /// Where snapshots are kept.
    pub snapshots: Snapshots,
    /// Where traces of requests are sent.
    pub tracing: Tracing,
    /// What may change while the server runs.
    pub live: LiveSource,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            owner: "local".to_owned(),
            owner_id: None,
            accept_loss: None,
            server: Server::default(),
            auth: Auth::default(),
            embedding: Embedding::default(),
            vector_store: VectorStore::default(),
            records: Records::default(),
            retrieval: Retrieval::default(),
            generation: Generation::default(),
            sessions: Sessions::default(),
            retention: Retention::default(),
            cache: Cache::default(),
            snapshots: Snapshots::default(),
            tracing: Tracing::default(),
            live: LiveSource::default(),
        }
    }
}

impl Config {
    /// Reads the bytes of one configuration file over the defaults; `origin` is how problems name it.
    pub fn from_toml(bytes: &[u8], origin: &str) -> Result<Self, Problems> {
        Layers { file: Some((origin, bytes)), ..Layers::default() }.load().map(|loaded| loaded.config)
    }

    /// The effective configuration as TOML. It holds no secret, because a configuration never does.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The JSON schema of the file, with descriptions, defaults and limits.
    pub fn schema() -> serde_json::Value {
        shape::schema::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_configuration() {
        assert_eq!(Config::from_toml(b"", "config.toml").unwrap(), Config::default());
    }

    #[test]
    fn the_effective_configuration_reads_back_as_itself() {
        let text = r#"
            owner = "team-a/handbook"
            owner_id = "3f0a"
            [server]
            listen = "0.0.0.0:8080"
            [auth]
            credentials_dir = "/etc/ragops/credentials"
            [[auth.api_keys]]
            name = "default"
            role = "Writer"
            [vector_store.qdrant]
            url = "http://handbook-qdrant:6334"
            collection = "handbook"
            [retrieval]
            mode = "Dense"
            [cache.redis]
            url = "redis://redis:6379"
            password_file = "/etc/ragops/redis/password"
            [[generation.providers]]
            name = "local"
            base_url = "http://llm:8000/v1"
            model = "small"
            [generation.providers.pricing]
            input_usd_per_million_tokens = 0.15
        "#;
        let config = Config::from_toml(text.as_bytes(), "config.toml").unwrap();
        let again = config.to_toml().unwrap();
        assert_eq!(Config::from_toml(again.as_bytes(), "again.toml").unwrap(), config);
    }
}
