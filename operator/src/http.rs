//! The process's own port: alive, ready (or what it waits for), and its metrics. Answers questions, never asks any.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// What has to happen before the process is ready. Each part holds a handle, and says when it is done.
#[derive(Default)]
pub struct Readiness {
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    missing: BTreeMap<String, Missing>,
    /// Whether one of the parts that can do without each other is done.
    one_is_done: bool,
}

struct Missing {
    trouble: Option<String>,
    is_one_of_many: bool,
}

impl Readiness {
    /// The process is not ready before the returned handle says so.
    pub fn waits_for(self: &Arc<Self>, what: impl Into<String>) -> Awaited {
        self.wait(what.into(), false)
    }

    /// The same of parts that can do without each other: one that is in trouble is not waited for once another one is done.
    pub fn waits_for_one_of_many(self: &Arc<Self>, what: impl Into<String>) -> Awaited {
        self.wait(what.into(), true)
    }

    /// What is missing, with the trouble that keeps it, one sentence each. Empty: ready.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.lock();
        let counts = |part: &Missing| !(parts.one_is_done && part.is_one_of_many && part.trouble.is_some());
        let say = |(what, part): (&String, &Missing)| match &part.trouble {
            Some(trouble) => format!("{what}: {trouble}"),
            None => what.clone(),
        };
        parts.missing.iter().filter(|(_, part)| counts(part)).map(say).collect()
    }

    fn wait(self: &Arc<Self>, what: String, is_one_of_many: bool) -> Awaited {
        self.lock().missing.insert(what.clone(), Missing { trouble: None, is_one_of_many });
        Awaited { what, readiness: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that the process waits for. Dropped without [`Awaited::done`], it stays missing.
pub struct Awaited {
    what: String,
    readiness: Arc<Readiness>,
}

impl Awaited {
    /// Says what stands in the way.
    pub fn troubled(&self, why: String) {
        if let Some(part) = self.readiness.lock().missing.get_mut(&self.what) {
            part.trouble = Some(why);
        }
    }

    /// It has happened.
    pub fn done(self) {
        let mut parts = self.readiness.lock();
        let part = parts.missing.remove(&self.what);
        parts.one_is_done |= part.is_some_and(|part| part.is_one_of_many);
    }
}

#[derive(Clone)]
struct Port {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// The routes of the port.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .with_state(Port { readiness, metrics })
}

/// Binds an address. All addresses of IPv6 are those of IPv4 as well, and where the kernel has no IPv6, those of IPv4 alone.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bind_by(TcpListener::bind::<SocketAddr>, address).await
}

async fn bind_by<L, B>(bind: impl Fn(SocketAddr) -> B, address: SocketAddr) -> io::Result<L>
where
    B: Future<Output = io::Result<L>>,
{
    match bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_refused(&error) => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            tracing::info!(%address, %error, %instead, "there is no IPv6 here");
            bind(instead).await
        }
        bound => bound,
    }
}

/// Whether it is this port that is not to be had, rather than the family.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Answers on `listener` until `stop` resolves.
pub async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the port for health and metrics has failed");
    }
}

async fn ready(State(port): State<Port>) -> Response {
    let missing = port.readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let body: String = missing.iter().map(|what| format!("waiting for {what}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn figures(State(port): State<Port>) -> Response {
    match port.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get_from(app: Router) -> (tokio::sync::oneshot::Sender<()>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(serve(listener, app, async {
            let _ = stopped.await;
        }));
        (stop, address)
    }

    #[tokio::test]
    async fn ready_lists_what_is_missing_until_every_handle_is_done() {
        let readiness = Arc::new(Readiness::default());
        let cache = readiness.waits_for("the cache of deployments.apps in team-a");
        let lease = readiness.waits_for("an answer about the lease");
        cache.troubled("list is forbidden".to_owned());
        let (_stop, address) = get_from(router(readiness, Arc::new(Metrics::new().unwrap()))).await;

        let answer = reqwest::get(format!("{address}/readyz")).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        assert_eq!(
            answer.text().await.unwrap(),
            "waiting for an answer about the lease\nwaiting for the cache of deployments.apps in team-a: list is forbidden\n"
        );
        lease.done();
        cache.done();
        assert_eq!(reqwest::get(format!("{address}/readyz")).await.unwrap().status().as_u16(), 200);
        assert_eq!(reqwest::get(format!("{address}/healthz")).await.unwrap().status().as_u16(), 200);
        let figures = reqwest::get(format!("{address}/metrics")).await.unwrap().text().await.unwrap();
        assert!(figures.contains("ragops_leader 0"), "{figures}");
    }

    #[test]
    fn one_namespace_in_trouble_keeps_the_process_from_being_ready_only_while_none_works() {
        let readiness = Arc::new(Readiness::default());
        let works = readiness.waits_for_one_of_many("the caches of namespace a");
        let gone = readiness.waits_for_one_of_many("the caches of namespace b");
        let slow = readiness.waits_for_one_of_many("the caches of namespace c");
        gone.troubled("list is forbidden".to_owned());
        assert_eq!(
            readiness.missing(),
            ["the caches of namespace a", "the caches of namespace b: list is forbidden", "the caches of namespace c"]
        );
        works.done();
        assert_eq!(readiness.missing(), ["the caches of namespace c"]);
        slow.done();
        assert_eq!(readiness.missing(), [""; 0]);
        let lease = readiness.waits_for("an answer about the lease");
        lease.troubled("late".to_owned());
        assert_eq!(readiness.missing(), ["an answer about the lease: late"]);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families_and_without_ipv6_those_of_ipv4() {
        let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = bind(all).await.unwrap();
        let taken = listener.local_addr().unwrap();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, taken.port())).await.unwrap();
        assert_eq!(bind(taken).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);

        let without_ipv6 = |address: SocketAddr| async move {
            if address.is_ipv6() { Err(io::Error::from_raw_os_error(97)) } else { Ok(address) }
        };
        assert_eq!(bind_by(without_ipv6, all).await.unwrap(), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let one = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        assert!(bind_by(without_ipv6, one).await.is_err(), "one address is not another");
    }

    #[test]
    fn a_part_that_died_stays_missing() {
        let readiness = Arc::new(Readiness::default());
        drop(readiness.waits_for("a cache"));
        assert_eq!(readiness.missing(), ["a cache"]);
    }
}
