//! Cluster DNS and resource metrics as processes beside the kubelet, and the objects that lead to them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{ADDRESS, DNS, volumes};
use crate::control_plane::{Plan, first_end};
use crate::metrics::api_service;
use crate::process::{Process, Program};
use crate::simulated::create;
use crate::wait::until;

const METRICS_PORT: u16 = 10443;
/// CoreDNS reads all Services before it answers, and kube-proxy all before it leads there.
const RESOLVES_WITHIN: Duration = Duration::from_secs(60);
/// An answer from the same machine; what takes longer was lost.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// A question for the address of a name, as the wire has it: one question, recursion desired, type A, class IN.
const QUESTION: &[u8] = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";

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

/// Waits until names resolve at the address that pods are given: a first pod may ask only once.
pub(crate) async fn resolving(processes: &mut [Process]) -> Result<()> {
    tokio::select! {
        result = until("the cluster's names resolve", RESOLVES_WITHIN, || async { ask().await.map(Some) }) => result,
        obituary = first_end(processes) => bail!("{obituary}"),
    }
}

/// Asks once. With a socket of its own: the kernel keeps leading a flow to where it led the first packet, and so nowhere if that
/// came before the rules.
async fn ask() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(format!("{DNS}:53")).await?;
    socket.send(QUESTION).await?;
    let mut answer = [0; 512];
    let length = timeout(ANSWERS_WITHIN, socket.recv(&mut answer)).await??;
    ensure!(length > 12 && answer[3] & 0x0f == 0 && answer[6..8] != [0, 0], "the name is not known yet");
    Ok(())
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
        api_service(&json!({"name": "metrics-server", "namespace": "kube-system"})),
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
