//! Cluster DNS and resource metrics as processes beside the kubelet, and the objects that lead to them.

use anyhow::Result;
use serde_json::{Value, json};

use super::{ADDRESS, DNS, volumes};
use crate::control_plane::Plan;
use crate::process::{Process, Program};
use crate::simulated::create;

const METRICS_PORT: u16 = 10443;

/// Starts the programs and creates their objects.
pub(crate) async fn start(plan: &Plan<'_>, processes: &mut Vec<Process>) -> Result<()> {
    let kubeconfig = plan.kubeconfig("addons");
    let kubeconfig = kubeconfig.display();
    let corefile = format!(
        ".:53 {{\n  bind {ADDRESS}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {kubeconfig}\n  \
         }}\n  cache 5\n}}\n"
    );
    std::fs::write(plan.folder.join("Corefile"), corefile)?;
    let dns = Program::new("coredns", plan.parts.program("coredns")).arguments("-conf\nCorefile");
    processes.push(Process::start(&dns, plan.folder)?);
    // 15 s is the shortest resolution that it accepts.
    let metrics = Program::new("metrics-server", plan.parts.program("metrics-server")).arguments(&format!(
        "--kubeconfig={kubeconfig}\n--authentication-kubeconfig={kubeconfig}\n--authorization-kubeconfig={kubeconfig}
         --kubelet-insecure-tls\n--kubelet-preferred-address-types=InternalIP
         --secure-port={METRICS_PORT}\n--cert-dir=metrics-certs\n--metric-resolution=15s"
    ));
    processes.push(Process::start(&metrics, plan.folder)?);
    create(plan, &objects()).await
}

fn objects() -> Vec<Value> {
    vec![
        service("kube-dns", json!({"clusterIP": DNS, "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP")]})),
        endpoints("kube-dns", &json!([port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP")])),
        service(
            "metrics-server",
            json!({"ports": [{"name": "https", "port": 443, "targetPort": METRICS_PORT, "protocol": "TCP"}]}),
        ),
        endpoints("metrics-server", &json!([port("https", METRICS_PORT, "TCP")])),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "insecureSkipTLSVerify": true,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"name": "metrics-server", "namespace": "kube-system"},
            },
        }),
        volumes::storage_class(),
    ]
}

fn port(name: &str, number: u16, protocol: &str) -> Value {
    json!({"name": name, "port": number, "protocol": protocol})
}

fn service(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": spec,
    })
}

/// Services without a selector lead to the processes on the node.
fn endpoints(service: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-node"),
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS.to_string()], "conditions": {"ready": true}}],
        "ports": ports,
    })
}
