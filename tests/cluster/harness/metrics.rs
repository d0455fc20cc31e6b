//! A double of `metrics.k8s.io`: an aggregated API that answers with the CPU use that a test has scripted, for the pods
//! that exist at that moment. What the real controller-manager does with it is not doubled.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::wait::until;
use crate::{Cluster, background, certificates};

/// What the pods of a namespace use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cpu {
    /// Percent of what each container requests.
    Percent(f64),
    /// The pods are there, their metrics are not.
    Missing,
    /// The whole API answers with an error.
    Unavailable,
}

/// The double of one cluster. Namespaces without a script have no metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: HashMap<String, Cpu>,
    asked: HashMap<String, usize>,
}

#[derive(Clone)]
struct Served {
    shared: Arc<Mutex<Shared>>,
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    label_selector: Option<String>,
}

impl Metrics {
    /// Serves the API and registers it with the cluster; returns once the API server forwards to it.
    ///
    /// # Errors
    /// When the double cannot listen, or the cluster does not accept it.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let acceptor = tls(cluster.folder())?;
        let kubeconfig = kube::config::Kubeconfig::read_from(cluster.folder().join("metrics-double.kubeconfig"))?;
        let served = shared.clone();
        let task = async move {
            let client = crate::cluster::client(kubeconfig).await?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = listener.local_addr()?.port();
            let router = router(Served { shared: served, client });
            tokio::spawn(axum::serve(TlsListener { listener, acceptor }, router).into_future());
            anyhow::Ok(port)
        };
        let port = background::handle()?.spawn(task).await??;
        register(cluster, port).await?;
        Ok(Self { shared })
    }

    /// Scripts what all pods of `namespace` use from now on.
    pub fn set(&self, namespace: &str, cpu: Cpu) {
        self.lock().scripts.insert(namespace.to_owned(), cpu);
    }

    /// How often the autoscaler has asked for the pods of `namespace`: once for each of its looks at each target.
    #[must_use]
    pub fn asked(&self, namespace: &str) -> usize {
        self.lock().asked.get(namespace).copied().unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leads the API server to the Service that serves resource metrics.
pub(crate) fn api_service(service: &Value) -> Value {
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
            "service": service,
        },
    })
}

async fn register(cluster: &Cluster, port: u16) -> Result<()> {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics-double", "namespace": "kube-system"},
            // No pod network leads from the API server to this process; a name does.
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        api_service(&json!({"name": "metrics-double", "namespace": "kube-system", "port": port})),
    ]});
    let path = cluster.folder().join("metrics-double.json");
    std::fs::write(&path, objects.to_string())?;
    let output = tokio::process::Command::from(cluster.kubectl()).args(["apply", "-f"]).arg(&path).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let client = cluster.client().await?;
    let client = &client;
    until("the API server serves resource metrics", Duration::from_secs(60), || async move {
        let request = axum::http::Request::get("/apis/metrics.k8s.io/v1beta1").body(Vec::new())?;
        let list: Value = client.request(request).await?;
        Ok((list["kind"] == "APIResourceList").then_some(()))
    })
    .await
}

fn router(served: Served) -> Router {
    let resources = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [
            {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
        ],
    });
    Router::new()
        .route("/apis/metrics.k8s.io/v1beta1", get(move || async move { Json(resources) }))
        .route("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods", get(list))
        .with_state(served)
}

async fn list(
    State(served): State<Served>,
    Segments(namespace): Segments<String>,
    Query(selection): Query<Selection>,
) -> Response {
    let percent = match served.script(&namespace) {
        Some(Cpu::Percent(percent)) => Some(percent),
        Some(Cpu::Missing) | None => None,
        Some(Cpu::Unavailable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let mut items = Vec::new();
    if let Some(percent) = percent {
        let pods: Api<Pod> = Api::namespaced(served.client.clone(), &namespace);
        let params = ListParams { label_selector: selection.label_selector, ..ListParams::default() };
        match pods.list(&params).await {
            Ok(list) => items.extend(list.items.iter().filter(|pod| is_running(pod)).map(|pod| usage(pod, percent))),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
    Json(json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}))
        .into_response()
}

impl Served {
    fn script(&self, namespace: &str) -> Option<Cpu> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared.asked.entry(namespace.to_owned()).or_default() += 1;
        shared.scripts.get(namespace).copied()
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn usage(pod: &Pod, percent: f64) -> Value {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let containers: Vec<Value> = containers
        .iter()
        .map(|container| {
            let requested = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let millis = requested.and_then(|all| all.get("cpu")).and_then(|cpu| millicores(&cpu.0)).unwrap_or(0.0);
            let nanos = (millis * 1e6 * percent / 100.0).round();
            json!({"name": container.name, "usage": {"cpu": format!("{nanos}n"), "memory": "64Mi"}})
        })
        .collect();
    json!({
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": pod.name_any(), "namespace": pod.namespace(), "labels": pod.labels()},
        "timestamp": jiff::Timestamp::now().to_string(),
        "window": "1s",
        "containers": containers,
    })
}

fn millicores(quantity: &str) -> Option<f64> {
    match quantity.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => quantity.parse::<f64>().ok().map(|cores| cores * 1000.0),
    }
}

fn tls(folder: &Path) -> Result<TlsAcceptor> {
    certificates::self_signed(folder, "metrics-double")?;
    let certificate = CertificateDer::from_pem_file(folder.join("metrics-double.crt"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("metrics-double.key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .context("cannot serve TLS")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // The API server opens few connections, and each of its handshakes is quick.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::millicores;

    #[test]
    fn requests_are_read_in_cores_and_in_thousandths() {
        assert_eq!(millicores("250m"), Some(250.0));
        assert_eq!(millicores("2"), Some(2000.0));
        assert_eq!(millicores("0.5"), Some(500.0));
        assert_eq!(millicores("lots"), None);
    }
}
