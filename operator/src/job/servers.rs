//! What the servers of a cluster run: a Job is made of the same, so that it finds the stores with the servers' keys. Pure.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::api::cluster::Storage;
use crate::api::{ClusterName, ConditionReason, RagCluster};
use crate::cluster::build::config::{CONFIG_FILE, MANAGEMENT_PORT, QDRANT_GRPC_PORT};
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

/// The stores that servers work with, as far as a Job has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stores {
    /// Where the vectors are.
    pub vectors: Vectors,
    /// The port of the database of the records, where they are in one.
    pub database: Option<u16>,
}

/// Where vectors are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// In the store that the operator runs.
    Managed,
    /// In one of somebody else.
    External(Place),
    /// Inside the one server, which alone may open them, and reads them for whoever takes a snapshot.
    Embedded {
        /// The size of their volume, as a Quantity.
        size: String,
    },
}

impl Servers {
    /// The server that has to be asked for what is stored, because nobody else can open it: the address of its management port.
    pub fn lender(&self) -> Option<String> {
        let is_embedded = matches!(self.stores.vectors, Vectors::Embedded { .. });
        is_embedded.then(|| format!("http://{}:{MANAGEMENT_PORT}", self.cluster.management()))
    }
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
    let not_made = || Unusable::NotMade { cluster: name.clone() };
    let valid = ClusterName::parse(&name).map_err(|_| not_made())?;
    let pods = &deployment.ok_or_else(not_made)?.spec.template;
    let revision = pods.metadata.as_ref().and_then(revision_of).ok_or_else(not_made)?;
    let config_name = valid.config(&revision);
    let config = configs.iter().find(|config| config.metadata.name.as_ref() == Some(&config_name));
    let bytes = config.and_then(|config| config.data.as_ref()?.get(CONFIG_FILE)).ok_or_else(not_made)?;
    let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
    let size = cluster.spec.embedded().map(|embedded| embedded.storage.size.clone());
    let stores =
        stores(bytes, (&valid, &namespace), size).map_err(|why| Unusable::Unreadable { config: config_name, why })?;
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

/// Which stores a configuration names; `size` is that of the volume of embedded ones.
fn stores(config: &str, (cluster, namespace): (&ClusterName, &str), size: Option<String>) -> Result<Stores, String> {
    let config: StoresConfig = toml::from_str(config).map_err(|error| error.message().to_owned())?;
    let StoresConfig { vector_store: VectorStoreConfig { embedded, qdrant }, records } = config;
    let database = records.postgres.map(|postgres| postgres.port);
    let vectors = match (qdrant, embedded) {
        (Some(QdrantConfig { url }), None) if url == format!("http://{}:{QDRANT_GRPC_PORT}", cluster.qdrant()) => {
            Vectors::Managed
        }
        (Some(QdrantConfig { url }), None) => {
            let place = place_of(&url, namespace);
            Vectors::External(place.ok_or_else(|| format!("vector_store.qdrant.url {url:?} names no host"))?)
        }
        _ => Vectors::Embedded { size: size.unwrap_or_else(|| Storage::default().size) },
    };
    Ok(Stores { vectors, database })
}
