//! Which traffic reaches the managed vector store.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicySpec};

use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::network_policy::{pods, port};
use crate::cluster::validate::ValidatedCluster;

/// NAME-qdrant: the servers of this cluster and nobody else; and it calls nobody.
pub(super) fn network_policy(cluster: &ValidatedCluster) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::label_selector(cluster, Part::VectorStore)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![pods(cluster, Part::Server)]),
                ports: Some(vec![port("TCP", QDRANT_GRPC_PORT)]),
            }]),
            egress: None,
        }),
    }
}
