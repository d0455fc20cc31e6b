//! The addresses of the servers: that of clients, and where Jobs have to ask a server, that of its management port, which is no part of the first.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::{HTTP_PORT, MANAGEMENT_PORT};
use super::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// NAME.
pub(super) fn service(cluster: &ValidatedCluster) -> Service {
    of(cluster, cluster.name.service(), ("http", HTTP_PORT))
}

/// NAME-management: Jobs ask there, to take snapshots of a store that is inside the server.
pub(super) fn management(cluster: &ValidatedCluster) -> Option<Service> {
    cluster.lends().then(|| of(cluster, cluster.name.management(), ("management", MANAGEMENT_PORT)))
}

fn of(cluster: &ValidatedCluster, name: String, (port_name, number): (&str, i32)) -> Service {
    let port = ServicePort { app_protocol: Some("http".to_owned()), ..port(port_name, number) };
    Service {
        metadata: metadata::child(cluster, Part::Server, name),
        spec: Some(ServiceSpec {
            selector: Some(metadata::selector(cluster, Part::Server)),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The port of this name of the pods.
pub(super) fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

/// Where clients inside Kubernetes reach the service.
pub fn endpoint(cluster: &ValidatedCluster) -> String {
    format!("http://{}.{}.svc:{HTTP_PORT}", cluster.name.service(), cluster.namespace)
}
