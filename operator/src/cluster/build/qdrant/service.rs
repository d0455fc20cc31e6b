//! The names under which the managed vector store is reached: by the servers, and by its own peers.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::stateful_set::{HTTP_PORT, PEER_PORT};
use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::service::port;
use crate::cluster::validate::ValidatedCluster;

/// NAME-qdrant, an address for every pod that is ready: servers ask it, and who joins finds the others there.
pub(super) fn service(cluster: &ValidatedCluster) -> Service {
    let ports = vec![port("grpc", QDRANT_GRPC_PORT), port("http", HTTP_PORT), port("p2p", PEER_PORT)];
    named(cluster, cluster.name.qdrant(), ServiceSpec { ports: Some(ports), ..ServiceSpec::default() })
}

/// NAME-qdrant-peers, headless: each pod by its own name, ready or not, since peers need each other to become ready.
pub(super) fn peers(cluster: &ValidatedCluster) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ports: Some(vec![port("http", HTTP_PORT), port("p2p", PEER_PORT)]),
        ..ServiceSpec::default()
    };
    named(cluster, cluster.name.qdrant_peers(), spec)
}

fn named(cluster: &ValidatedCluster, name: String, spec: ServiceSpec) -> Service {
    let selector = Some(metadata::selector(cluster, Part::VectorStore));
    Service {
        metadata: metadata::child(cluster, Part::VectorStore, name),
        spec: Some(ServiceSpec { selector, ..spec }),
        ..Service::default()
    }
}
