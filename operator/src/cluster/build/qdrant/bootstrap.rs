//! Whom a pod of the managed vector store asks when it has no data yet.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::stateful_set::PEER_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// The key of the address.
pub(super) const BOOTSTRAP_KEY: &str = "bootstrap";

/// NAME-qdrant: the first pod, which so founds the cluster, since a peer that is told its own address does. A pod that has data
/// asks nobody. It is no part of the pod's template, so that another address later restarts no pod.
pub(super) fn bootstrap(cluster: &ValidatedCluster) -> ConfigMap {
    let first = format!("http://{}-0.{}:{PEER_PORT}", cluster.name.qdrant(), cluster.name.qdrant_peers());
    ConfigMap {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        data: Some(BTreeMap::from([(BOOTSTRAP_KEY.to_owned(), first)])),
        ..ConfigMap::default()
    }
}
