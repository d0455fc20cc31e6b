//! One connection for all adapters, over all peers: deadlines, repetitions, the API key and the CA with their rotation, and the check of the servers' versions.
//!
//! Guarantee: a call that nobody answered is made again over another peer only where making it twice, or late, does no harm; any other only when it was certainly not sent.

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use tokio::{
    sync::OnceCell,
    time::{Instant as Moment, timeout, timeout_at},
};
use tonic::{Status, metadata::AsciiMetadataValue, transport::Channel};

use super::{
    STORE,
    client::Client,
    failure::{Failure, Reach},
    peers::{PeerTold, Peers},
};
use crate::{key_file::Key, outside, ports::StoreError, resilience::Guard};

/// Oldest and newest minor of Qdrant 1 that is served: the client's own and one either side.
const MINORS: std::ops::RangeInclusive<u64> = 19..=21;

/// A changed key or CA is noticed after this time at the latest; reading a small file costs microseconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for a connection; a server that is up accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the servers are, and how long they may take.
#[derive(Debug, Clone)]
pub struct QdrantSettings {
    /// Their gRPC addresses; each may be asked for everything.
    pub urls: Vec<String>,
    /// The file of the API key, if they want one.
    pub api_key_file: Option<PathBuf>,
    /// The file of the CA certificates, in PEM, that `https` addresses are checked against; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// Each call ends by then, however many peers it tries.
    pub deadline: Duration,
}

/// What becomes of a call that is made twice, or that is carried out after its caller gave it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The same as if it were made once: a read, or a write of what nobody else writes otherwise.
    Harmless,
    /// It may undo what was done since.
    Harmful,
}

/// A connection to a Qdrant server or to the peers of a cluster. Clones share it.
#[derive(Clone)]
pub struct QdrantConnection {
    shared: Arc<Shared>,
}

struct Shared {
    settings: QdrantSettings,
    peers: Peers,
    current: RwLock<Option<Current>>,
    /// Of each peer, whether its version was found to be served.
    versions: Vec<OnceCell<()>>,
}

/// How the peers are asked at present, and when the files were last looked at.
#[derive(Clone)]
struct Current {
    channels: Vec<Channel>,
    key: Option<Key>,
    trust: Option<Arc<[u8]>>,
    looked: Instant,
}

impl fmt::Debug for QdrantConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QdrantConnection").field("urls", &self.shared.settings.urls).finish_non_exhaustive()
    }
}

impl QdrantConnection {
    /// Prepares a connection; nothing is sent before the first call, so the servers need not be up yet. `told` learns how each of several peers is.
    pub fn new(settings: QdrantSettings, told: &PeerTold) -> Result<Self, StoreError> {
        if settings.urls.is_empty() {
            return Err(Failure::refused("no address is configured".to_owned()).into());
        }
        for url in &settings.urls {
            let known = url.starts_with("http://") || url.starts_with("https://");
            if !known || url.parse::<http::Uri>().is_err() {
                let cause = format!("the address {url:?} is not of the form http://HOST:PORT");
                return Err(Failure::refused(cause).into());
            }
        }
        let peers = Peers::new(settings.urls.clone(), told);
        let versions = settings.urls.iter().map(|_| OnceCell::new()).collect();
        let shared = Shared { settings, peers, current: RwLock::new(None), versions };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The breakers of the peers, in the order of their addresses; none where there is only one peer.
    pub fn guards(&self) -> &[Arc<Guard>] {
        self.shared.peers.guards()
    }

    /// Asks a peer something, and another where that one does not answer, within the deadline; once more with a new key if the old one is refused.
    pub(super) async fn call<T, F>(&self, repeat: Repeat, ask: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let deadline = self.shared.settings.deadline;
        let until = Moment::now() + deadline;
        let asked = async {
            let current = self.current(LOOK_INTERVAL)?;
            match self.ask_around(&current, (repeat, until), &ask).await {
                Err(failure) if failure.is_auth() => {
                    let renewed = self.current(Duration::ZERO)?;
                    if renewed.key == current.key {
                        return Err(failure);
                    }
                    self.ask_around(&renewed, (repeat, until), &ask).await
                }
                answered => answered,
            }
        };
        timeout_at(until, asked).await.unwrap_or_else(|_| Err(Failure::timeout(deadline)))
    }

    /// Writes points, and returns only when the server says that the write is applied.
    pub(super) async fn write<F>(&self, repeat: Repeat, ask: impl Fn(Client) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<PointsOperationResponse, Status>>,
    {
        let answer = self.call(repeat, ask).await?;
        match answer.result.map(|result| result.status()) {
            Some(UpdateStatus::Completed) => Ok(()),
            Some(UpdateStatus::WaitTimeout) => Err(Failure::timeout(self.shared.settings.deadline)),
            other => Err(Failure::failed(format!("a write ended as {other:?} instead of completed"))),
        }
    }

    /// One call over the peers, one after the other, until one of them answers.
    async fn ask_around<T, F>(
        &self,
        current: &Current,
        (repeat, until): (Repeat, Moment),
        ask: &impl Fn(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut tour = self.shared.peers.tour();
        let mut last = None;
        while let Some(tried) = tour.next() {
            let left = until.saturating_duration_since(Moment::now());
            // Half of the time, so that a peer that stands still leaves as much to the next one.
            let share = if tour.has_more() && repeat == Repeat::Harmless { left / 2 } else { left };
            let at = tried.at;
            let asked = timeout(share, self.ask_twice(current, at, repeat, ask)).await;
            let answer = asked.unwrap_or_else(|_| Err(Failure::timeout(self.shared.settings.deadline)));
            let reach = answer.as_ref().map_or_else(|failure| failure.reach, |_| Reach::Answered);
            tried.judge(reach == Reach::Answered);
            match (answer, reach, repeat) {
                (Err(failure), Reach::Unsent, _) | (Err(failure), Reach::Unanswered, Repeat::Harmless) => {
                    tracing::debug!(peer = self.shared.peers.address(at), error = %failure.error, "a peer did not answer");
                    last = Some(failure);
                }
                (answer, ..) => return answer,
            }
        }
        Err(last.unwrap_or_else(|| Failure::timeout(self.shared.settings.deadline)))
    }

    /// A connection that broke under a call says little about a peer that was restarted since: a call that may be is made once more over a new one.
    async fn ask_twice<T, F>(
        &self,
        current: &Current,
        at: usize,
        repeat: Repeat,
        ask: &impl Fn(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.check_version(current, at).await?;
        match self.ask(current, at, ask).await {
            Err(failure) if failure.reach == Reach::Unanswered && repeat == Repeat::Harmless => {
                self.ask(current, at, ask).await
            }
            answered => answered,
        }
    }

    async fn ask<T, F>(&self, current: &Current, at: usize, ask: &impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let shared = &self.shared;
        let channel = current.channels.get(at).ok_or_else(|| Failure::failed(format!("there is no peer {at}")))?;
        let client = Client::new(channel.clone(), current.key.as_ref().and_then(header));
        ask(client).await.map_err(|status| Failure::new(&status, shared.peers.address(at), shared.settings.deadline))
    }

    /// The channels, and the key of the file, which is read again when the last look is older than `age`.
    fn current(&self, age: Duration) -> Result<Current, Failure> {
        let known = self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(current) = known.as_ref().filter(|current| current.looked.elapsed() < age) {
            return Ok(current.clone());
        }
        let QdrantSettings { api_key_file, ca_file, deadline, .. } = &self.shared.settings;
        let no_key = |cause| StoreError::NoKey { store: STORE, cause };
        let key = api_key_file.as_deref().map(Key::read).transpose().map_err(no_key);
        let key = kept("api_key_file", key, known.as_ref().map(|current| &current.key))?;
        let trust = ca_file.as_deref().map(certificates).transpose();
        let trust = kept("ca_file", trust, known.as_ref().map(|current| &current.trust))?;
        let channels = match known.filter(|current| current.trust == trust) {
            Some(current) => current.channels,
            None => {
                let timeout = CONNECT_TIMEOUT.min(*deadline);
                self.shared.peers.channels(trust.as_deref(), timeout).map_err(Failure::failed)?
            }
        };
        let current = Current { channels, key, trust, looked: Instant::now() };
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }

    /// An older server would silently ignore the conditions of conditional writes, so each peer's version is checked before anything is written there.
    async fn check_version(&self, current: &Current, at: usize) -> Result<(), Failure> {
        let check = || async {
            let found = self.ask(current, at, &|client: Client| async move { client.health_check().await }).await;
            let found = found.map_err(Failure::of_preparation)?.version;
            if is_served(&found) {
                return Ok(());
            }
            let (oldest, newest) = (MINORS.start(), MINORS.end());
            let cause = format!("version {found} is not supported; use Qdrant 1.{oldest} to 1.{newest}");
            Err(Failure::refused(cause))
        };
        match self.shared.versions.get(at) {
            Some(checked) => checked.get_or_try_init(check).await.copied(),
            None => check().await,
        }
    }
}

/// What was read from a file, or what was read before while the file is away for a moment, as while a Secret is swapped.
fn kept<T: Clone>(file: &str, read: Result<T, StoreError>, known: Option<&T>) -> Result<T, StoreError> {
    match (read, known) {
        (Err(error), Some(known)) => {
            tracing::warn!(%error, file, "what was read of a file of the vector store is kept until it can be read again");
            Ok(known.clone())
        }
        (read, _) => read,
    }
}

/// The CA certificates of a file.
fn certificates(path: &Path) -> Result<Arc<[u8]>, StoreError> {
    let wrong = |error| StoreError::Failed { store: STORE, cause: format!("its ca_file {} {error}", path.display()) };
    outside::certificates(path).map(Arc::from).map_err(wrong)
}

/// The key as a header that no log shows.
fn header(key: &Key) -> Option<AsciiMetadataValue> {
    let mut header = AsciiMetadataValue::try_from(key.expose()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn is_served(version: &str) -> bool {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next(), parts.next().and_then(|minor| minor.parse().ok()));
    major == Some("1") && minor.is_some_and(|minor| MINORS.contains(&minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_one_minor_away_is_served_and_no_other() {
        for served in ["1.19.0", "1.20.3", "1.21.0-dev"] {
            assert!(is_served(served), "{served}");
        }
        for refused in ["1.18.9", "1.22.0", "2.20.0", "", "1", "latest"] {
            assert!(!is_served(refused), "{refused}");
        }
    }

    fn settings(url: &str) -> QdrantSettings {
        let urls = vec!["http://q-0:6334".to_owned(), url.to_owned()];
        QdrantSettings { urls, api_key_file: None, ca_file: None, deadline: Duration::from_secs(1) }
    }

    fn nobody() -> PeerTold {
        Arc::new(|_, _, _| {})
    }

    #[test]
    fn an_address_without_a_scheme_is_refused_in_words() {
        assert!(QdrantConnection::new(settings("http://q:6334"), &nobody()).is_ok());
        for url in ["q:6334", "ftp://q", "http://"] {
            let error = QdrantConnection::new(settings(url), &nobody()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains("http://HOST:PORT")), "{url}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_ca_file_without_a_certificate_is_told_by_its_name_and_one_that_was_read_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        let settings = QdrantSettings { ca_file: Some(ca.clone()), ..settings("https://q-1:6334") };
        let connection = QdrantConnection::new(settings, &nobody()).unwrap();
        for content in [None, Some("no certificate")] {
            if let Some(content) = content {
                std::fs::write(&ca, content).unwrap();
            }
            let error = connection.current(Duration::ZERO).err().unwrap().error;
            assert!(error.to_string().contains("ca.crt") && error.is_transient(), "{error}");
        }
        std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let read = connection.current(Duration::ZERO).ok().unwrap().trust.unwrap();
        std::fs::remove_file(&ca).unwrap();
        assert_eq!(connection.current(Duration::ZERO).ok().unwrap().trust, Some(read));
    }
}
