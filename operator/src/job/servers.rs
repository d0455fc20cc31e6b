//! What the servers of a cluster run: a Job is made of the same, so that it finds the stores with the servers' keys. Pure.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::api::{ClusterName, ConditionReason, RagCluster};
use crate::cluster::build::config::{CONFIG_FILE, QDRANT_GRPC_PORT};
use crate::cluster::observed::revision_of;
use crate::cluster::validate::{Place, place_of};

/// What the servers of a cluster run.
#[derive(Clone, Debug, PartialEq)]
pub struct Servers {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Their pods.
    pub pods: PodTemplateSpec,
    /// The bytes of their configuration.
    pub config: String,
    /// The stores that they work with.
    pub stores: Stores,
    /// Whether NetworkPolicies are kept.
    pub has_network_policy: bool,
}

/// The stores that servers work with, as far as a NetworkPolicy has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stores {
    /// Where the vector store is; nothing for the one that the operator runs.
    pub external: Option<Place>,
    /// The port of the database of the records, where they are in one.
    pub database: Option<u16>,
}

/// Why nothing can be made of what the servers run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// They have not been made yet.
    #[error("RagCluster {cluster} has no servers yet; its conditions say why")]
    NotMade {
        /// Whose.
        cluster: String,
    },
    /// The corpus is inside the one server, and nobody else may open it.
    #[error(
        "RagCluster {cluster} keeps its corpus inside its one server, and no Job can open it beside the server; choose \
         vectorStore.qdrant in a new RagCluster, or stop the server and run rag-server snapshot create yourself"
    )]
    Embedded {
        /// Whose.
        cluster: String,
    },
    /// Their configuration is not one that this operator can read.
    #[error("the configuration {config} of the servers cannot be read: {why}; delete it, and it is made again")]
    Unreadable {
        /// The ConfigMap.
        config: String,
        /// What is wrong.
        why: String,
    },
}

impl Unusable {
    /// The class of the cause.
    pub fn reason(&self) -> ConditionReason {
        match self {
            Self::NotMade { .. } => ConditionReason::Starting,
            Self::Embedded { .. } => ConditionReason::Unsupported,
            Self::Unreadable { .. } => ConditionReason::RevisionUnreadable,
        }
    }
}

/// The part of the servers' configuration that says where the corpus is.
#[derive(Deserialize)]
struct StoresConfig {
    vector_store: VectorStoreConfig,
    #[serde(default)]
    records: RecordsConfig,
}

#[derive(Deserialize)]
struct VectorStoreConfig {
    embedded: Option<IgnoredAny>,
    qdrant: Option<QdrantConfig>,
}

#[derive(Deserialize)]
struct QdrantConfig {
    url: String,
}

#[derive(Default, Deserialize)]
struct RecordsConfig {
    postgres: Option<PostgresConfig>,
}

#[derive(Deserialize)]
struct PostgresConfig {
    port: u16,
}

/// What the servers of the cluster run, by their Deployment and the configurations of the cluster. A revision that is on its way
/// to the servers is as good as the one before.
pub fn servers(
    cluster: &RagCluster,
    deployment: Option<&Deployment>,
    configs: &[Arc<ConfigMap>],
) -> Result<Servers, Unusable> {
    let name = cluster.metadata.name.clone().unwrap_or_default();
    if cluster.spec.vector_store.as_ref().is_some_and(|store| store.embedded.is_some()) {
        return Err(Unusable::Embedded { cluster: name });
    }
    let not_made = || Unusable::NotMade { cluster: name.clone() };
    let valid = ClusterName::parse(&name).map_err(|_| not_made())?;
    let pods = &deployment.ok_or_else(not_made)?.spec.template;
    let revision = pods.metadata.as_ref().and_then(revision_of).ok_or_else(not_made)?;
    let config_name = valid.config(&revision);
    let config = configs.iter().find(|config| config.metadata.name.as_ref() == Some(&config_name));
    let bytes = config.and_then(|config| config.data.as_ref()?.get(CONFIG_FILE)).ok_or_else(not_made)?;
    let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
    let stores = stores(bytes, &valid, &namespace)
        .map_err(|why| Unusable::Unreadable { config: config_name, why })?
        .ok_or_else(|| Unusable::Embedded { cluster: name.clone() })?;
    Ok(Servers {
        cluster: valid,
        namespace,
        uid: cluster.metadata.uid.clone().unwrap_or_default(),
        pods: pods.clone(),
        config: bytes.clone(),
        stores,
        has_network_policy: cluster.spec.network_policy.enabled,
    })
}

/// Nothing where they are inside the server.
fn stores(config: &str, cluster: &ClusterName, namespace: &str) -> Result<Option<Stores>, String> {
    let config: StoresConfig = toml::from_str(config).map_err(|error| error.message().to_owned())?;
    let StoresConfig { vector_store: VectorStoreConfig { embedded, qdrant }, records } = config;
    let Some(QdrantConfig { url }) = qdrant.filter(|_| embedded.is_none()) else { return Ok(None) };
    let is_managed = url == format!("http://{}:{QDRANT_GRPC_PORT}", cluster.qdrant());
    let external = if is_managed {
        None
    } else {
        Some(place_of(&url, namespace).ok_or_else(|| format!("vector_store.qdrant.url {url:?} names no host"))?)
    };
    Ok(Some(Stores { external, database: records.postgres.map(|postgres| postgres.port) }))
}
