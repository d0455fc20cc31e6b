//! The servers' configuration: the immutable file of a revision, and the live settings.
//!
//! The keys are a contract with rag-server, which refuses unknown ones; a test parses what is rendered here with the server's
//! own parser.

mod providers;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use self::providers::{Embedding, Generation, RerankProvider, embedding, generation, outside_key_file, rerank};
use super::metadata::{self, Part};
use crate::api::cluster::{Budget, OnLimit, Postgres, PostgresTls, RetrievalMode, Role, Tracing};
use crate::api::{CorpusId, Credential, Revision, labels};
use crate::cluster::validate::{self, Store, TRACING, ValidatedCluster};

/// The port of the public API.
pub const HTTP_PORT: i32 = 8080;
/// The port of metrics and of the operator.
pub const MANAGEMENT_PORT: i32 = 9090;
/// The gRPC port of a managed Qdrant.
pub const QDRANT_GRPC_PORT: i32 = 6334;
/// For how long a server finishes what it has begun.
pub const DRAIN_SECONDS: i32 = 25;

/// Seconds of a day.
const DAY_SECONDS: i32 = 86_400;

/// Where the configuration is mounted, and its file.
pub const CONFIG_DIR: &str = "/etc/ragops/config";
/// The key of the configuration in its ConfigMap.
pub const CONFIG_FILE: &str = "config.toml";
/// Where the live settings are mounted.
pub const LIVE_DIR: &str = "/etc/ragops/live";
/// The key of the live settings in their ConfigMap.
pub const LIVE_FILE: &str = "live.toml";
/// Where the credentials are mounted.
pub const CREDENTIALS_DIR: &str = "/etc/ragops/credentials";
/// The file beside them of the certificates of the authority that signed an external vector store's.
pub const VECTOR_STORE_CA: &str = "vector-store-ca.crt";
/// Where the keys of services outside are mounted, each in a folder of its own.
pub const PROVIDERS_DIR: &str = "/etc/ragops/providers";
/// The file of a key in its folder.
pub const PROVIDER_KEY_FILE: &str = "key";
/// Where the Secret of the database of the records is mounted.
pub const POSTGRES_DIR: &str = "/etc/ragops/postgres";
/// Where the user, the password and the CA certificates of Redis are mounted, as [`REDIS_USER`], [`REDIS_PASSWORD`] and [`REDIS_CA`].
pub const REDIS_DIR: &str = "/etc/ragops/redis";
/// The file of the user of Redis, and its key in the user's Secret.
pub const REDIS_USER: &str = "user";
/// The same of the password.
pub const REDIS_PASSWORD: &str = "password";
/// The same of the certificates of the authority that signed its certificate.
pub const REDIS_CA: &str = "ca.crt";
/// Where the volume of the embedded store is mounted.
pub const DATA_DIR: &str = "/data";

#[derive(Serialize)]
struct ServerConfig {
    owner: String,
    owner_id: String,
    server: Server,
    auth: Auth,
    embedding: Embedding,
    vector_store: VectorStore,
    records: Records,
    retrieval: Retrieval,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Cache>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<TracingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Sessions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
    live: Live,
}

#[derive(Serialize)]
struct Server {
    listen: String,
    management_listen: String,
    drain_seconds: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_query_seconds: Option<i32>,
}

#[derive(Serialize)]
struct Auth {
    credentials_dir: &'static str,
    api_keys: Vec<ApiKey>,
}

#[derive(Serialize)]
struct ApiKey {
    name: String,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum VectorStore {
    Embedded { path: &'static str },
    Qdrant(Qdrant),
}

#[derive(Serialize)]
struct Qdrant {
    url: String,
    collection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Records {
    Sqlite { path: String },
    VectorStore {},
    Postgres { dir: &'static str, port: i32, tls: PostgresTls, servers: i32 },
}

#[derive(Serialize)]
struct Sessions {
    ttl_seconds: i32,
}

#[derive(Serialize)]
struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback_days: Option<i32>,
}

#[derive(Serialize)]
struct Retrieval {
    mode: RetrievalMode,
    top_k: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerank: Option<RerankProvider>,
}

#[derive(Serialize)]
struct TracingConfig {
    endpoint: String,
    sample_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_file: Option<String>,
}

/// What may change without a new revision. Each part says since which version of the schema servers know it.
#[derive(Serialize)]
struct LiveSettings {
    read_only: bool,
    /// Since [`BUDGET_SCHEMA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<LiveBudget>,
}

#[derive(Serialize)]
struct LiveBudget {
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_usd: Option<f64>,
    alert_percents: Vec<i32>,
    on_limit: OnLimit,
    /// Since [`CHEAPER_SCHEMA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    prefer_cheaper_percent: Option<i32>,
}

#[derive(Serialize)]
struct Cache {
    redis: Redis,
}

#[derive(Serialize)]
struct Redis {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
}

#[derive(Serialize)]
struct Live {
    file: String,
}

/// The bytes of the configuration of a new revision.
pub fn render(cluster: &ValidatedCluster, corpus: &CorpusId) -> String {
    let config = ServerConfig {
        owner: format!("{}/{}", cluster.namespace, cluster.name),
        owner_id: corpus.to_string(),
        server: Server {
            // Both families: pods of a cluster may have addresses of IPv6 alone.
            listen: format!("[::]:{HTTP_PORT}"),
            management_listen: format!("[::]:{MANAGEMENT_PORT}"),
            drain_seconds: DRAIN_SECONDS,
            slow_query_seconds: cluster.spec.slow_query_seconds,
        },
        auth: Auth {
            credentials_dir: CREDENTIALS_DIR,
            api_keys: cluster
                .clients
                .iter()
                .map(|(name, client)| ApiKey {
                    name: name.to_string(),
                    role: client.role,
                    tenant: client.tenant.clone(),
                })
                .collect(),
        },
        embedding: embedding(cluster),
        vector_store: vector_store(cluster),
        records: records(cluster),
        retrieval: Retrieval {
            mode: cluster.retrieval.mode,
            top_k: cluster.retrieval.top_k,
            min_score: cluster.retrieval.min_score,
            rerank: cluster.retrieval.rerank.as_ref().map(rerank),
        },
        generation: generation(cluster),
        cache: cluster.redis.as_ref().map(|redis| Cache { redis: self::redis(redis) }),
        tracing: cluster.tracing.as_ref().map(tracing),
        // What is remembered, and what is removed of what was remembered for longer before.
        sessions: cluster.retention.session_days.map(|days| Sessions { ttl_seconds: days * DAY_SECONDS }),
        retention: (!cluster.retention.is_empty()).then_some(Retention {
            session_days: cluster.retention.session_days,
            feedback_days: cluster.retention.feedback_days,
        }),
        live: Live { file: format!("{LIVE_DIR}/{LIVE_FILE}") },
    };
    // Structs of texts and numbers always have a TOML form; a test renders every variant.
    toml::to_string(&config).unwrap_or_default()
}

fn tracing(tracing: &Tracing) -> TracingConfig {
    TracingConfig {
        endpoint: tracing.endpoint.clone(),
        sample_ratio: f64::from(tracing.sample_percent) / 100.0,
        headers_file: outside_key_file(TRACING, tracing.secret_ref.as_ref()),
    }
}

fn vector_store(cluster: &ValidatedCluster) -> VectorStore {
    let api_key_file = || format!("{CREDENTIALS_DIR}/{}", Credential::VectorStore.current_file());
    match &cluster.store {
        Store::Embedded { .. } => VectorStore::Embedded { path: DATA_DIR },
        Store::Managed(_) => VectorStore::Qdrant(Qdrant {
            url: format!("http://{}:{QDRANT_GRPC_PORT}", cluster.name.qdrant()),
            collection: cluster.name.to_string(),
            api_key_file: Some(api_key_file()),
            ca_file: None,
        }),
        Store::External(external) => VectorStore::Qdrant(Qdrant {
            url: external.url.clone(),
            collection: external.collection.clone(),
            api_key_file: external.api_key.as_ref().map(|_| api_key_file()),
            ca_file: external.ca_key.as_ref().map(|_| format!("{CREDENTIALS_DIR}/{VECTOR_STORE_CA}")),
        }),
    }
}

fn records(cluster: &ValidatedCluster) -> Records {
    match (&cluster.postgres, &cluster.store) {
        (Some(Postgres { port, tls, .. }), _) => {
            Records::Postgres { dir: POSTGRES_DIR, port: *port, tls: *tls, servers: cluster.most_servers() }
        }
        (None, Store::Embedded { .. }) => Records::Sqlite { path: format!("{DATA_DIR}/records.sqlite") },
        (None, Store::Managed(_) | Store::External(_)) => Records::VectorStore {},
    }
}

fn redis(redis: &validate::Redis) -> Redis {
    // Whether the Secret names a user or holds certificates only the servers can see.
    let file = |name: &str| redis.secret.as_ref().map(|_| format!("{REDIS_DIR}/{name}"));
    Redis {
        url: redis.url.clone(),
        user_file: file(REDIS_USER),
        password_file: file(REDIS_PASSWORD),
        ca_file: file(REDIS_CA).filter(|_| redis.tls),
    }
}

/// The first version of the schema whose servers know a budget.
pub const BUDGET_SCHEMA: u32 = 2;

/// The first whose servers know from when on the cheapest provider is preferred.
pub const CHEAPER_SCHEMA: u32 = 3;

/// The live settings, as servers of the given schema version read them.
pub fn render_live(cluster: &ValidatedCluster, schema: u32) -> String {
    let budget = |budget: &Budget| LiveBudget {
        monthly_usd: budget.monthly_usd,
        daily_usd: budget.daily_usd,
        alert_percents: budget.alert_percents.clone(),
        on_limit: budget.on_limit,
        prefer_cheaper_percent: budget.prefer_cheaper_percent.filter(|_| schema >= CHEAPER_SCHEMA),
    };
    let settings = LiveSettings {
        read_only: cluster.read_only,
        budget: cluster.budget.as_ref().filter(|_| schema >= BUDGET_SCHEMA).map(budget),
    };
    // As above.
    toml::to_string(&settings).unwrap_or_default()
}

/// The immutable ConfigMap of a revision.
pub(super) fn config(cluster: &ValidatedCluster, revision: &Revision, bytes: &str) -> ConfigMap {
    let metadata = metadata::child(cluster, Part::Server, cluster.name.config(revision));
    ConfigMap {
        metadata: metadata::labelled(metadata, [(labels::REVISION, revision.as_str())]),
        data: Some(BTreeMap::from([(CONFIG_FILE.to_owned(), bytes.to_owned())])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// The ConfigMap of the live settings.
pub(super) fn live(cluster: &ValidatedCluster, schema: u32) -> ConfigMap {
    ConfigMap {
        metadata: metadata::child(cluster, Part::Server, cluster.name.live()),
        data: Some(BTreeMap::from([(LIVE_FILE.to_owned(), render_live(cluster, schema))])),
        ..ConfigMap::default()
    }
}
