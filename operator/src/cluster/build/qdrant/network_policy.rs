//! Which traffic reaches and leaves the managed vector store.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};

use super::stateful_set::{HTTP_PORT, PEER_PORT};
use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::network_policy::{jobs, pods, port};
use crate::cluster::validate::ValidatedCluster;

/// Of the Service, and of the pods behind it where they may not listen below 1024.
const DNS_PORTS: [i32; 2] = [53, 5353];

/// NAME-qdrant: the servers of this cluster and, where it has snapshots, their Jobs ask it, its peers reach each other, and nobody else does; besides its peers it asks
/// DNS alone. Whoever reaches the peers' port may write.
pub(super) fn network_policy(cluster: &ValidatedCluster) -> NetworkPolicy {
    let peers = || Some(vec![pods(cluster, Part::VectorStore)]);
    let among_peers = || Some(vec![port("TCP", HTTP_PORT), port("TCP", PEER_PORT)]);
    let ingress = vec![
        NetworkPolicyIngressRule {
            from: Some(std::iter::once(pods(cluster, Part::Server)).chain(jobs(cluster)).collect()),
            ports: Some(vec![port("TCP", QDRANT_GRPC_PORT)]),
        },
        NetworkPolicyIngressRule { from: peers(), ports: among_peers() },
    ];
    let dns: Vec<NetworkPolicyPort> =
        DNS_PORTS.into_iter().flat_map(|number| ["UDP", "TCP"].map(|protocol| port(protocol, number))).collect();
    let egress = vec![
        NetworkPolicyEgressRule { to: None, ports: Some(dns) },
        NetworkPolicyEgressRule { to: peers(), ports: among_peers() },
    ];
    NetworkPolicy {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::label_selector(cluster, Part::VectorStore)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}
