//! The operator's small view of rag-server's management port: which paths it calls, and what it reads of the answers.
//!
//! An answer comes from a pod, so it is bounded in time and size and believed only as far as its types go. It tolerates unknown
//! fields, because servers of another version answer too. The operator's key is sent and never shown.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;

use crate::job::progress::{PROGRESS_PATH, Told};

/// Where a server tells what it runs with.
pub const STATUS_PATH: &str = "/ops/status";

/// Every path of the management port that the operator calls; each has to exist in the server's router.
pub const PATHS: [&str; 1] = [STATUS_PATH];

/// What a server calls its vector store, among its parts and among what it waits for.
pub const STORE_PART: &str = "vector store";

/// What a server calls its records. Beside a Qdrant they are kept in it, too, and are looked at when nobody searches.
pub const RECORDS_PART: &str = "records";

/// An answer takes about one kilobyte; what is much longer does not come from one of our servers.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A status shows a handful of waits; a pod cannot make it longer.
const MAX_ITEMS: usize = 32;

/// Both generations of each client that a spec may name, of the operator's own credential and of the store's.
const MAX_CREDENTIALS: usize = 2 * (32 + 2);

/// Longer than every text that a server sends; a pod cannot fill the status with one text.
const MAX_TEXT_CHARS: usize = 200;

/// What a server says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServerStatus {
    /// Version of rag-server.
    #[serde(default)]
    pub version: String,
    /// SHA-256, in hexadecimal, of the bytes of the configuration that it accepted.
    #[serde(default)]
    pub config_sha256: String,
    /// The same of the live settings; nothing if it has none.
    #[serde(default)]
    pub live_sha256: Option<String>,
    /// Whether it takes traffic.
    pub ready: bool,
    /// What it still waits for.
    #[serde(default)]
    pub waiting_for: Vec<String>,
    /// Whether it refuses writes.
    #[serde(default)]
    pub read_only: bool,
    /// The epoch of the corpus that it searches; nothing before it searches one.
    #[serde(default)]
    pub epoch: Option<u32>,
    /// Documents that it can answer from.
    #[serde(default)]
    pub documents: u64,
    /// The credentials that it accepts, by fingerprint.
    #[serde(default)]
    pub credentials: Vec<AcceptedCredential>,
    /// What it needs of others, as its last call of each saw it.
    #[serde(default)]
    pub parts: Vec<SeenPart>,
}

/// Something that a server needs of others, as its last call saw it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SeenPart {
    /// Its name, such as [`STORE_PART`].
    pub name: String,
    /// Whether the last call was answered; nothing before there was one.
    #[serde(default)]
    pub reachable: Option<bool>,
    /// Since when that is so.
    #[serde(default)]
    pub since: Option<String>,
    /// The class of what is wrong, such as `auth_failed`.
    #[serde(default)]
    pub cause: Option<String>,
}

/// One credential that a server accepts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AcceptedCredential {
    /// `api-key.NAME`, `operator` or `vector-store`.
    pub name: String,
    /// `current` or `previous`.
    pub generation: String,
    /// The first 12 hexadecimal digits of the SHA-256 of the key.
    pub fingerprint: String,
}

impl ServerStatus {
    /// How its last calls saw the vector store, if it says so: the part of it that did not answer, where one did not.
    pub fn store(&self) -> Option<&SeenPart> {
        let parts = || self.parts.iter().filter(|part| [STORE_PART, RECORDS_PART].contains(&part.name.as_str()));
        parts().find(|part| part.reachable == Some(false)).or_else(|| parts().find(|part| part.reachable.is_some()))
    }

    /// Whether its last call of the vector store was not answered.
    pub fn has_lost_store(&self) -> bool {
        self.store().is_some_and(|store| store.reachable == Some(false))
    }

    /// Whether the two differ in something that a reconcile acts on. The number of documents alone is no reason to look, and
    /// neither is a provider that comes and goes.
    pub fn differs_from(&self, other: &Self) -> bool {
        let acted_on = |status: &Self| {
            let parts = status.store().cloned().into_iter().collect();
            Self { documents: 0, parts, ..status.clone() }
        };
        acted_on(self) != acted_on(other)
    }

    fn bounded(mut self) -> Self {
        let cut = |text: &mut String| {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
                text.truncate(end);
            }
        };
        self.waiting_for.truncate(MAX_ITEMS);
        self.credentials.truncate(MAX_CREDENTIALS);
        self.parts.truncate(MAX_ITEMS);
        self.waiting_for.iter_mut().for_each(cut);
        cut(&mut self.version);
        cut(&mut self.config_sha256);
        self.live_sha256.iter_mut().for_each(cut);
        for credential in &mut self.credentials {
            cut(&mut credential.name);
            cut(&mut credential.generation);
            cut(&mut credential.fingerprint);
        }
        for part in &mut self.parts {
            cut(&mut part.name);
            part.since.iter_mut().chain(&mut part.cause).for_each(cut);
        }
        self
    }
}

/// Why a server gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Silence {
    /// Nobody listens at the address.
    #[error("the management port cannot be reached")]
    Unreachable,
    /// The deadline passed.
    #[error("no answer within the deadline")]
    Timeout,
    /// It does not accept the operator's key.
    #[error("the operator's key is not accepted")]
    AuthFailed,
    /// It answered with an error.
    #[error("answered with HTTP {0}")]
    Refused(u16),
    /// The answer is not a server's status.
    #[error("the answer is not a server's status")]
    Malformed,
    /// It was not asked: there is no key to ask with.
    #[error("the operator's key cannot be read")]
    NoKey,
    /// It was not asked for so long that its last answer says nothing about now.
    #[error("it has not been asked for a while")]
    NotAsked,
}

impl Silence {
    /// The outcome as a label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::AuthFailed => "auth_failed",
            Self::Refused(_) => "refused",
            Self::Malformed => "malformed",
            Self::NoKey => "no_key",
            Self::NotAsked => "not_asked",
        }
    }
}

/// The operator's key for the servers of one cluster. Has no text form.
#[derive(Clone)]
pub struct OperatorKey(HeaderValue);

impl OperatorKey {
    /// Takes the bytes of the mounted file; nothing if they cannot stand in a header.
    pub fn from_bytes(material: &[u8]) -> Option<Self> {
        let material = std::str::from_utf8(material).ok()?.trim();
        let mut value = HeaderValue::from_str(&format!("Bearer {material}")).ok()?;
        value.set_sensitive(true);
        (!material.is_empty()).then_some(Self(value))
    }
}

/// Asks management ports.
#[derive(Clone)]
pub struct ServerClient {
    http: reqwest::Client,
    port: u16,
}

impl ServerClient {
    /// A client for management ports at `port` that waits at most `deadline` for a whole answer.
    pub fn new(port: u16, deadline: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(deadline)
            // A pod must not send the operator's key elsewhere, nor may the environment of the process.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Management ports speak plain HTTP inside the cluster, and the image holds no system roots to load.
            .tls_certs_only([])
            // Thousands of pods would keep as many idle connections; a question a few seconds later does not earn one.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, port })
    }

    /// What the server at `address` says about itself.
    pub async fn status(&self, address: IpAddr, key: &OperatorKey) -> Result<ServerStatus, Silence> {
        let asked = self.asking(address, STATUS_PATH).header(AUTHORIZATION, key.0.clone());
        let body = answered(asked).await?;
        serde_json::from_slice(&body).map(ServerStatus::bounded).map_err(|_| Silence::Malformed)
    }

    /// How far the Job at `address` is, which tells it to whoever asks.
    pub async fn progress(&self, address: IpAddr) -> Result<Told, Silence> {
        let body = answered(self.asking(address, PROGRESS_PATH)).await?;
        serde_json::from_slice(&body).map_err(|_| Silence::Malformed)
    }

    fn asking(&self, address: IpAddr, path: &str) -> RequestBuilder {
        self.http.get(format!("http://{}{path}", SocketAddr::new(address, self.port)))
    }
}

/// The body of a good answer.
async fn answered(asked: RequestBuilder) -> Result<Vec<u8>, Silence> {
    let mut response = asked.send().await.map_err(silence)?;
    match response.status().as_u16() {
        200 => {}
        401 | 403 => return Err(Silence::AuthFailed),
        code => return Err(Silence::Refused(code)),
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(silence)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Silence::Malformed);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Takes no text over: an error of the client may quote what the pod sent.
#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn silence(error: reqwest::Error) -> Silence {
    if error.is_timeout() { Silence::Timeout } else { Silence::Unreachable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;
    use std::net::Ipv4Addr;

    /// A management port that answers with what `answer` makes of the request's headers.
    async fn server<F>(answer: F) -> ServerClient
    where
        F: Fn(HeaderMap) -> (StatusCode, String) + Clone + Send + Sync + 'static,
    {
        let app = Router::new().route(STATUS_PATH, get(move |headers: HeaderMap| std::future::ready(answer(headers))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, app).await });
        ServerClient::new(port, Duration::from_secs(20)).unwrap()
    }

    fn key() -> OperatorKey {
        OperatorKey::from_bytes(b"secret\n").unwrap()
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_answer_is_read_and_unknown_fields_are_tolerated() {
        let client = server(|headers| match headers.get("authorization").map(HeaderValue::as_bytes) {
            Some(b"Bearer secret") => (
                StatusCode::OK,
                r#"{"version":"0.1.0","config_sha256":"ab","live_sha256":null,"ready":true,"waiting_for":[],"read_only":false,
                    "documents":12,"credentials":[{"name":"operator","generation":"current","fingerprint":"0123456789ab"}],"new":1}"#
                    .to_owned(),
            ),
            _ => (StatusCode::UNAUTHORIZED, String::new()),
        })
        .await;
        let status = client.status(HERE, &key()).await.unwrap();
        assert_eq!((status.config_sha256.as_str(), status.documents, status.ready), ("ab", 12, true));
        assert_eq!(status.credentials[0].fingerprint, "0123456789ab");
        let other = OperatorKey::from_bytes(b"other").unwrap();
        assert_eq!(client.status(HERE, &other).await, Err(Silence::AuthFailed));
    }

    #[tokio::test]
    async fn an_error_an_endless_and_a_foreign_answer_are_told_apart() {
        let failing = server(|_| (StatusCode::SERVICE_UNAVAILABLE, String::new())).await;
        assert_eq!(failing.status(HERE, &key()).await, Err(Silence::Refused(503)));
        let endless = server(|_| (StatusCode::OK, " ".repeat(MAX_ANSWER_BYTES + 1))).await;
        assert_eq!(endless.status(HERE, &key()).await, Err(Silence::Malformed));
        let foreign = server(|_| (StatusCode::OK, "<html>".to_owned())).await;
        assert_eq!(foreign.status(HERE, &key()).await, Err(Silence::Malformed));
    }

    #[tokio::test]
    async fn a_job_tells_how_far_it_is_without_a_key_and_nothing_before_it_knows() {
        let job = |code: StatusCode, body: &'static str| async move {
            let answer = move |headers: HeaderMap| {
                let answer =
                    if headers.contains_key(AUTHORIZATION) { (StatusCode::IM_A_TEAPOT, "") } else { (code, body) };
                std::future::ready(answer)
            };
            let app = Router::new().route(PROGRESS_PATH, get(answer));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move { axum::serve(listener, app).await });
            ServerClient::new(port, Duration::from_secs(20)).unwrap().progress(HERE).await
        };
        let told = job(StatusCode::OK, r#"{"unit":"documents","done":12,"of":24,"bytes":7,"new":1}"#).await.unwrap();
        assert_eq!((told.done, told.of, told.bytes), (12, 24, Some(7)));
        assert_eq!(job(StatusCode::NO_CONTENT, "").await, Err(Silence::Refused(204)));
        assert_eq!(job(StatusCode::OK, r#"{"unit":"secrets","done":1,"of":2}"#).await, Err(Silence::Malformed));
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable_and_a_silent_one_runs_into_the_deadline() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = ServerClient::new(port, Duration::from_millis(50)).unwrap();
        assert_eq!(silent.status(HERE, &key()).await, Err(Silence::Timeout));
        drop(listener);
        let closed = ServerClient::new(port, Duration::from_secs(20)).unwrap();
        assert_eq!(closed.status(HERE, &key()).await, Err(Silence::Unreachable));
    }

    #[tokio::test]
    async fn a_pod_cannot_fill_the_status() {
        let long = "é".repeat(10_000);
        let client = server(move |_| {
            (StatusCode::OK, format!(r#"{{"ready":false,"waiting_for":[{}"{long}"]}}"#, "\"x\",".repeat(1_000)))
        })
        .await;
        let status = client.status(HERE, &key()).await.unwrap();
        assert_eq!(status.waiting_for.len(), MAX_ITEMS);
        let client =
            server(|_| (StatusCode::OK, format!(r#"{{"ready":false,"waiting_for":["{}"]}}"#, "é".repeat(9_000)))).await;
        assert_eq!(client.status(HERE, &key()).await.unwrap().waiting_for[0].chars().count(), MAX_TEXT_CHARS);
        let part = format!(r#"{{"name":"{0}","cause":"{0}"}}"#, "é".repeat(300));
        let parts = vec![part; MAX_ITEMS + 1].join(",");
        let client = server(move |_| (StatusCode::OK, format!(r#"{{"ready":true,"parts":[{parts}]}}"#))).await;
        let status = client.status(HERE, &key()).await.unwrap();
        let cause = status.parts[0].cause.as_ref().unwrap();
        assert_eq!((status.parts.len(), cause.chars().count()), (MAX_ITEMS, MAX_TEXT_CHARS));
    }

    #[test]
    fn only_what_a_reconcile_acts_on_counts_as_a_change() {
        let before = ServerStatus { ready: true, documents: 1, ..ServerStatus::default() };
        assert!(!before.differs_from(&ServerStatus { documents: 2, ..before.clone() }));
        assert!(before.differs_from(&ServerStatus { ready: false, ..before.clone() }));
        let seen = |name: &str, reachable| {
            let part = SeenPart { name: name.to_owned(), reachable: Some(reachable), since: None, cause: None };
            ServerStatus { parts: vec![part], ..before.clone() }
        };
        assert!(!seen("provider a", true).differs_from(&seen("provider a", false)));
        for part in [STORE_PART, RECORDS_PART] {
            assert!(seen(part, true).differs_from(&seen(part, false)), "{part}");
        }
    }

    #[test]
    fn a_store_is_lost_with_any_part_that_is_in_it() {
        let seen = |store, records| {
            let part = |name: &str, reachable| SeenPart { name: name.to_owned(), reachable, since: None, cause: None };
            let parts = vec![part("provider a", Some(false)), part(STORE_PART, store), part(RECORDS_PART, records)];
            ServerStatus { parts, ..ServerStatus::default() }
        };
        for (store, records, is_lost) in [
            (Some(true), Some(true), false),
            (Some(false), Some(true), true),
            (Some(true), Some(false), true),
            (None, Some(false), true),
            (Some(true), None, false),
        ] {
            assert_eq!(seen(store, records).has_lost_store(), is_lost, "{store:?} {records:?}");
        }
        assert_eq!(seen(None, None).store(), None);
    }

    #[test]
    fn a_key_that_cannot_stand_in_a_header_is_no_key() {
        assert!(OperatorKey::from_bytes(b"a\nb").is_none());
        assert!(OperatorKey::from_bytes(b" \n").is_none());
        assert!(OperatorKey::from_bytes(&[0xff]).is_none());
    }
}
