//! The address that clients use. The management port is not part of it.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::HTTP_PORT;
use super::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// NAME.
pub(super) fn service(cluster: &ValidatedCluster) -> Service {
    let port = ServicePort {
        name: Some("http".to_owned()),
        port: HTTP_PORT,
        target_port: Some(IntOrString::String("http".to_owned())),
        protocol: Some("TCP".to_owned()),
        app_protocol: Some("http".to_owned()),
        node_port: None,
    };
    Service {
        metadata: metadata::child(cluster, Part::Server, cluster.name.service()),
        spec: Some(ServiceSpec {
            selector: Some(metadata::selector(cluster, Part::Server)),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Where clients inside Kubernetes reach the service.
pub fn endpoint(cluster: &ValidatedCluster) -> String {
    format!("http://{}.{}.svc:{HTTP_PORT}", cluster.name.service(), cluster.namespace)
}
