//! A proxy before the API server that counts what its client changes, and fails on request: it kills the client before or
//! after write N, answers in the API server's place, stalls, lets leases hang, or forgets a field as an older Kubernetes would.

mod tolerance;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::control_plane::http_client;
use crate::{Cluster, background};

/// The API server's own limit on a request is 3 MiB.
const BODY_LIMIT: usize = 4 << 20;

/// What happens at one write.
#[derive(Clone)]
pub enum Fault {
    /// Calls back before the write is forwarded; the client gets no answer.
    KillBefore(Killer),
    /// Calls back after the write is done; the client gets no answer.
    KillAfter(Killer),
    /// Answers so in the API server's place.
    Answer(u16),
    /// Forwards only once the client has asked for something else.
    Late,
}

/// Ends the proxy's client, at once and without its cooperation.
pub type Killer = Arc<dyn Fn() + Send + Sync>;

impl std::fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KillBefore(_) => formatter.write_str("KillBefore"),
            Self::KillAfter(_) => formatter.write_str("KillAfter"),
            Self::Answer(status) => write!(formatter, "Answer({status})"),
            Self::Late => formatter.write_str("Late"),
        }
    }
}

/// One change that the client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// POST, PUT, PATCH or DELETE.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What the client was answered; none while in flight, or when it was killed first.
    pub status: Option<u16>,
}

/// A running proxy.
#[derive(Clone, Debug)]
pub struct FaultProxy {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    writes: Vec<Write>,
    planned: Option<(usize, Fault)>,
    fired: bool,
    drops_tolerance: bool,
    hangs_leases: bool,
    last_request: Option<std::time::Instant>,
}

#[derive(Clone)]
struct Served {
    shared: Arc<Mutex<Shared>>,
    /// Told of each request as it comes.
    asked: Arc<Notify>,
    upstream: String,
    http: reqwest::Client,
}

impl FaultProxy {
    /// Listens on loopback, in plain text.
    ///
    /// # Errors
    /// When nothing can listen.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let http = http_client(cluster.authority().as_bytes())?;
        let served = Served { shared: shared.clone(), asked: Arc::default(), upstream: cluster.url().to_owned(), http };
        let task = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let url = format!("http://{}", listener.local_addr()?);
            tokio::spawn(axum::serve(listener, Router::new().fallback(forward).with_state(served)).into_future());
            anyhow::Ok(url)
        };
        Ok(Self { url: background::handle()?.spawn(task).await??, shared })
    }

    /// What a kubeconfig has to name instead of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Forgets what was counted and lets `fault` happen at write `number`, counted from 1.
    pub fn plan(&self, number: usize, fault: Fault) {
        let mut shared = self.lock();
        shared.writes.clear();
        shared.fired = false;
        shared.planned = Some((number, fault));
    }

    /// Forgets what was counted and plans nothing.
    pub fn clear(&self) {
        let mut shared = self.lock();
        shared.writes.clear();
        shared.fired = false;
        shared.planned = None;
    }

    /// Behaves as Kubernetes before 1.35: autoscalers have no `tolerance`.
    pub fn drop_tolerance(&self, on: bool) {
        self.lock().drops_tolerance = on;
    }

    /// Takes requests about leases and never answers them; what else is asked goes on as before.
    pub fn hang_leases(&self, on: bool) {
        self.lock().hangs_leases = on;
    }

    /// True once the planned fault has happened.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.lock().fired
    }

    /// What the client has asked to change since the plan, its leases aside.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.lock().writes.clone()
    }

    /// How long the client has asked nothing, watches that are open aside.
    #[must_use]
    pub fn quiet_for(&self) -> Option<Duration> {
        self.lock().last_request.map(|at| at.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write and says what should happen to it.
    fn count(&self, method: &Method, path: &str) -> (usize, Option<Fault>) {
        let mut shared = self.lock();
        shared.writes.push(Write { method: method.to_string(), path: path.to_owned(), status: None });
        let number = shared.writes.len();
        let fault = match &shared.planned {
            Some((planned, fault)) if *planned == number && !shared.fired => Some(fault.clone()),
            _ => None,
        };
        shared.fired |= fault.is_some();
        (number, fault)
    }

    fn answered(&self, number: usize, status: StatusCode) {
        if let Some(write) = self.lock().writes.get_mut(number - 1) {
            write.status = Some(status.as_u16());
        }
    }
}

async fn forward(State(served): State<Served>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    served.asked.notify_waiters();
    if !is_lease(&path) {
        served.lock().last_request = Some(std::time::Instant::now());
    } else if served.lock().hangs_leases {
        return never().await;
    }
    if !is_write(request.method(), &path) {
        return pass(&served, request).await;
    }
    let (number, fault) = served.count(request.method(), &path);
    let response = match fault {
        None | Some(Fault::KillAfter(_)) => pass(&served, request).await,
        Some(Fault::Late) => {
            served.asked.notified().await;
            pass(&served, request).await
        }
        Some(Fault::Answer(status)) => refuse(status),
        Some(Fault::KillBefore(kill)) => {
            kill();
            return never().await;
        }
    };
    if let Some(Fault::KillAfter(kill)) = planned_after(&served, number) {
        kill();
        return never().await;
    }
    served.answered(number, response.status());
    response
}

/// The callback of a write that has just been done.
fn planned_after(served: &Served, number: usize) -> Option<Fault> {
    let shared = served.lock();
    match &shared.planned {
        Some((planned, fault @ Fault::KillAfter(_))) if *planned == number => Some(fault.clone()),
        _ => None,
    }
}

/// The client has gone, or is to believe that the API server has; whoever asks gets no answer.
async fn never() -> Response {
    std::future::pending().await
}

async fn pass(served: &Served, request: Request) -> Response {
    match exchange(served, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("the fault proxy: {error:#}")).into_response(),
    }
}

async fn exchange(served: &Served, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut body = axum::body::to_bytes(body, BODY_LIMIT).await?;
    let forgets = served.lock().drops_tolerance && tolerance::concerns(parts.uri.path());
    if forgets && !body.is_empty() {
        body = tolerance::without(&body)?.into();
    }
    let mut headers = end_to_end(&parts.headers);
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let sent = served
        .http
        .request(parts.method, format!("{}{target}", served.upstream))
        .headers(headers)
        .body(body)
        .send()
        .await?;
    let (status, headers) = (sent.status(), end_to_end(sent.headers()));
    let watched = parts.uri.query().is_some_and(|query| query.contains("watch=true") || query.contains("watch=1"));
    let body = match (forgets, watched) {
        (false, _) => Body::from_stream(sent.bytes_stream()),
        (true, true) => Body::from_stream(tolerance::lines(sent.bytes_stream().map_err(std::io::Error::other))),
        (true, false) => Body::from(tolerance::without(&sent.bytes().await?)?),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if forgets {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const HOPS: [HeaderName; 4] = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE];
    let mut headers = headers.clone();
    for name in HOPS {
        headers.remove(name);
    }
    // Bodies may have to be read here.
    headers.remove(header::ACCEPT_ENCODING);
    headers
}

fn refuse(status: u16) -> Response {
    let reason = match status {
        409 => "Conflict",
        429 => "TooManyRequests",
        403 => "Forbidden",
        _ => "InternalError",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "answered by the fault proxy", "reason": reason, "code": status.as_u16(),
    });
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    }
    response
}

fn is_lease(path: &str) -> bool {
    path.starts_with("/apis/coordination.k8s.io/")
}

/// Leases are renewed for ever, and reviews are questions in the shape of a creation.
fn is_write(method: &Method, path: &str) -> bool {
    let question = path.starts_with("/apis/authorization.k8s.io/") || path.starts_with("/apis/authentication.k8s.io/");
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    !reads && !question && !is_lease(path)
}
