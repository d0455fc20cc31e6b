//! The keys of `[vector_store]` and `[records]`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::postgres::Postgres;

/// Where chunks and their vectors live: at most one of the members; none means embedded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VectorStore {
    /// The engine inside this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Embedded>,
    /// A Qdrant server or cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qdrant: Option<Qdrant>,
}

/// The engine inside this process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Embedded {
    /// Folder of the data. Default: `rag-server` in the user's data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// A Qdrant server or cluster. What says how collections are laid out counts for new ones; one that exists and differs stays as it is, and the log says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Qdrant {
    /// Its gRPC address, such as `http://qdrant:6334`; this or `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<QdrantUrl>,
    /// The gRPC addresses of the peers of one cluster. Each has a connection of its own; calls go round, and where a peer does not answer another is asked.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<QdrantUrl>,
    /// Name of the alias; the collections behind it are `NAME-e1`, `NAME-e2`, ..., and the records are in `NAME-records`.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub collection: String,
    /// File that holds its API key; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// File with the CA certificates, in PEM, that `https` addresses are checked against; read again when it changes. Without it those of the system count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Shards of the vectors. It cannot be changed later; 12 leave room to spread over 2, 3, 4, 6 or 12 peers. Without it the server's default, one for each peer. Records are one shard always.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_number: Option<u32>,
    /// Copies of each shard, on as many peers; also those of the records, unless `records.vector_store` says otherwise. Without it the server's default, which is 1.
    #[schemars(range(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u32>,
    /// Copies that must have a write of vectors before it is acknowledged. Without it the server's default, which is 1.
    #[schemars(range(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_consistency_factor: Option<u32>,
    /// Whether the vectors stay on disk and are read from there, for a corpus larger than the memory. Without it the server's default, in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<bool>,
    /// A short form of each vector that is kept in memory and searched first. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QdrantQuantization>,
    /// The graph that is searched.
    #[serde(default)]
    pub hnsw: Hnsw,
}

impl Qdrant {
    /// Where its peers are.
    pub fn addresses(&self) -> Vec<String> {
        self.url.iter().chain(&self.urls).map(|QdrantUrl(url)| url.clone()).collect()
    }
}

/// A gRPC address, such as `http://qdrant:6334`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "http-url"))]
pub struct QdrantUrl(pub String);

/// A short form of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum QdrantQuantization {
    /// A byte for each number: a quarter of the memory, hardly another order.
    Scalar,
    /// A bit for each number: a thirty-second of the memory, for models of a thousand dimensions and more.
    Binary,
}

/// The graph that is searched. What is not set is left to the server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hnsw {
    /// Links of each point: more find more and need more memory. The server's default is 16.
    #[schemars(range(min = 4, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub m: Option<u64>,
    /// Neighbours that are looked at while a point is put into the graph: more find more and take longer to build. The server's default is 100.
    #[schemars(range(min = 4, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef_construct: Option<u64>,
}

/// The vector store that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VectorStoreChoice<'a> {
    /// The engine inside this process, with its data in this folder.
    Embedded(PathBuf),
    /// A Qdrant server or cluster.
    Qdrant(&'a Qdrant),
}

impl VectorStore {
    /// What was chosen; nothing means embedded.
    pub fn choice(&self) -> VectorStoreChoice<'_> {
        match &self.qdrant {
            Some(qdrant) => VectorStoreChoice::Qdrant(qdrant),
            None => VectorStoreChoice::Embedded(self.data_dir()),
        }
    }

    /// Folder of the embedded store, whether or not it is used.
    fn data_dir(&self) -> PathBuf {
        self.embedded.as_ref().and_then(|embedded| embedded.path.clone()).unwrap_or_else(default_data_dir)
    }
}

/// Where documents and jobs are recorded: at most one of the members; none means beside the vectors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Records {
    /// A SQLite file, for one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<Sqlite>,
    /// Payload collections of the Qdrant that holds the vectors, for any number of servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_store: Option<VectorStoreRecords>,
    /// A Postgres database, for any number of servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
}

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sqlite {
    /// The file. Default: `records.sqlite` in the folder of the embedded vector store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// A payload collection of the Qdrant that holds the vectors. What is set counts for a new one; one that exists and differs stays as it is, and the log says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VectorStoreRecords {
    /// Copies of the records, on as many peers. From three on, reads ask a majority of them, so that one that is behind or down does no harm. Without it that of `vector_store.qdrant`.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u32>,
    /// Copies that must have a write before it is acknowledged. Without it a majority of three and more, else the server's default, which is 1.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_consistency_factor: Option<u32>,
}

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsChoice {
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// In the Qdrant that holds the vectors.
    VectorStore,
    /// In this Postgres database.
    Postgres(Postgres),
}

impl Records {
    /// What was chosen, or what goes with the vector store.
    pub fn choice(&self, vectors: &VectorStore) -> RecordsChoice {
        if let Some(postgres) = &self.postgres {
            return RecordsChoice::Postgres(postgres.clone());
        }
        match (&self.sqlite, &self.vector_store) {
            (Some(Sqlite { path: Some(path) }), _) => RecordsChoice::Sqlite(path.clone()),
            (None, Some(_)) => RecordsChoice::VectorStore,
            (None, None) if vectors.qdrant.is_some() => RecordsChoice::VectorStore,
            _ => RecordsChoice::Sqlite(vectors.data_dir().join("records.sqlite")),
        }
    }
}

/// `rag-server` in the user's data folder by the XDG rules; without a home, the current folder.
fn default_data_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| Path::new(".").to_owned())
        .join("rag-server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_with_the_vector_store_unless_they_are_chosen() {
        let embedded = VectorStore { embedded: Some(Embedded { path: Some("/data".into()) }), qdrant: None };
        let qdrant: Qdrant = toml::from_str("url = \"http://q:6334\"\ncollection = \"c\"\n").unwrap();
        let qdrant = VectorStore { embedded: None, qdrant: Some(qdrant) };
        let file =
            Records { sqlite: Some(Sqlite { path: Some("/r.sqlite".into()) }), vector_store: None, postgres: None };
        assert_eq!(Records::default().choice(&embedded), RecordsChoice::Sqlite("/data/records.sqlite".into()));
        assert_eq!(Records::default().choice(&qdrant), RecordsChoice::VectorStore);
        assert_eq!(file.choice(&qdrant), RecordsChoice::Sqlite("/r.sqlite".into()));
    }
}
