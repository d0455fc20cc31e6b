//! The management endpoint of simulated pods: one listener answers for every pod of a cluster, told apart by the local
//! address of the connection. Without a script it answers as a healthy server would: with the hashes and fingerprints of
//! what the pod really mounts, in the server's own response type, to whoever holds the operator's credential.

mod mounted;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use rag_server::http::ops::{Part, STATUS_PATH, STATUS_VERSION, Status, VECTOR_STORE};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{Cluster, background};
use mounted::Mounted;

/// How a pod deviates from a healthy server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Answers with this status instead of a report.
    pub status: Option<u16>,
    /// Never answers.
    pub dead: bool,
    /// Reports this hash of its config.
    pub config_sha256: Option<String>,
    /// Reports not to be ready, waiting for these.
    pub waiting_for: Vec<String>,
    /// Reports so many documents.
    pub documents: u64,
    /// Reports to search this epoch.
    pub epoch: Option<u32>,
    /// Reports that its last call of the vector store was not answered, for a cause of this class.
    pub lost_store: Option<String>,
}

/// Whom a script is for; the most specific one wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Pod(String, String),
    Namespace(String),
}

/// The endpoint of one cluster.
#[derive(Clone, Debug)]
pub struct PodEndpoint {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: HashMap<Scope, Script>,
    asked: HashMap<(String, String), usize>,
}

#[derive(Clone)]
struct Served {
    shared: Arc<Mutex<Shared>>,
    client: Client,
}

#[derive(Clone, Copy, Debug)]
struct LocalAddress(Option<SocketAddr>);

impl Connected<IncomingStream<'_, TcpListener>> for LocalAddress {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(stream.io().local_addr().ok())
    }
}

impl PodEndpoint {
    /// Listens on one port of all addresses, and so of every simulated pod's.
    ///
    /// # Errors
    /// When nothing can listen.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let kubeconfig = kube::config::Kubeconfig::read_from(cluster.folder().join("metrics-double.kubeconfig"))?;
        let served = shared.clone();
        let task = async move {
            let client = crate::cluster::client(kubeconfig).await?;
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
            let port = listener.local_addr()?.port();
            let router = Router::new().route(STATUS_PATH, get(status)).with_state(Served { shared: served, client });
            let service = router.into_make_service_with_connect_info::<LocalAddress>();
            tokio::spawn(axum::serve(listener, service).into_future());
            anyhow::Ok(port)
        };
        let port = background::handle()?.spawn(task).await??;
        Ok(Self { port, shared })
    }

    /// The port that answers for every pod.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Scripts one pod.
    pub fn script_pod(&self, namespace: &str, pod: &str, script: Script) {
        self.lock().scripts.insert(Scope::Pod(namespace.into(), pod.into()), script);
    }

    /// Scripts all pods of a namespace that have no script of their own.
    pub fn script(&self, namespace: &str, script: Script) {
        self.lock().scripts.insert(Scope::Namespace(namespace.into()), script);
    }

    /// Forgets the script of one pod.
    pub fn heal_pod(&self, namespace: &str, pod: &str) {
        self.lock().scripts.remove(&Scope::Pod(namespace.into(), pod.into()));
    }

    /// How often the pod has been asked.
    #[must_use]
    pub fn asked(&self, namespace: &str, pod: &str) -> usize {
        self.lock().asked.get(&(namespace.into(), pod.into())).copied().unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn status(
    State(served): State<Served>,
    ConnectInfo(LocalAddress(address)): ConnectInfo<LocalAddress>,
    headers: HeaderMap,
) -> Response {
    match answer(&served, address, &headers).await {
        Ok(response) => response,
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

async fn answer(served: &Served, address: Option<SocketAddr>, headers: &HeaderMap) -> Result<Response> {
    let address = address.context("a connection without a local address")?;
    let Some(pod) = pod_at(&served.client, address).await? else {
        return Ok(problem(StatusCode::NOT_FOUND, &format!("no pod has the address {}", address.ip())));
    };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let script = script_for(served, namespace, name);
    if script.dead {
        return std::future::pending().await;
    }
    if let Some(status) = script.status {
        return Ok(problem(StatusCode::from_u16(status)?, "scripted"));
    }
    let mounted = Mounted::read(&served.client, &pod).await?;
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !mounted.accepts(bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()) {
        return Ok(problem(StatusCode::UNAUTHORIZED, "this is not the operator's credential"));
    }
    let report = Status {
        status_version: STATUS_VERSION,
        version: "0.1.0".to_owned(),
        config_sha256: script.config_sha256.or(mounted.config_sha256).unwrap_or_default(),
        live_sha256: mounted.live_sha256,
        ready: script.waiting_for.is_empty(),
        waiting_for: script.waiting_for,
        read_only: mounted.read_only,
        documents: script.documents,
        epoch: script.epoch,
        credentials: mounted.credentials,
        parts: vec![store(script.lost_store)],
        ..Status::default()
    };
    Ok(Json(report).into_response())
}

/// How the last call saw the vector store.
fn store(cause: Option<String>) -> Part {
    let since = Some("2026-01-01T00:00:00Z".to_owned());
    Part { name: VECTOR_STORE.to_owned(), reachable: Some(cause.is_none()), since, cause }
}

fn script_for(served: &Served, namespace: String, name: String) -> Script {
    let mut shared = served.shared.lock().unwrap_or_else(PoisonError::into_inner);
    *shared.asked.entry((namespace.clone(), name.clone())).or_default() += 1;
    let scripts = &shared.scripts;
    let own = scripts.get(&Scope::Pod(namespace.clone(), name));
    own.or_else(|| scripts.get(&Scope::Namespace(namespace))).cloned().unwrap_or_default()
}

async fn pod_at(client: &Client, address: SocketAddr) -> Result<Option<Pod>> {
    let params = ListParams::default().fields(&format!("status.podIP={}", address.ip()));
    Ok(Api::<Pod>::all(client.clone()).list(&params).await?.items.into_iter().next())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "title": status.to_string(), "status": status.as_u16(), "detail": detail});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
