//! The name under which the servers reach the managed vector store.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::stateful_set::HTTP_PORT;
use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// NAME-qdrant, headless: there is one pod, and its address is what the name stands for.
pub(super) fn service(cluster: &ValidatedCluster) -> Service {
    let port = |name: &str, number: i32| ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(metadata::selector(cluster, Part::VectorStore)),
            ports: Some(vec![port("grpc", QDRANT_GRPC_PORT), port("http", HTTP_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
