//! One connection for all adapters: deadlines, the API key and its rotation, and the check of the server's version.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use qdrant_client::{
    Qdrant, QdrantError,
    config::QdrantConfig,
    qdrant::{PointsOperationResponse, UpdateStatus},
};
use tokio::{sync::OnceCell, time::timeout};

use super::{STORE, failure::Failure};
use crate::{key_file::Key, ports::StoreError};

/// Oldest and newest minor of Qdrant 1 that is served: the client's own and one either side.
const MINORS: std::ops::RangeInclusive<u64> = 19..=21;

/// A changed key is noticed after this time at the latest; reading a small file costs microseconds.
const KEY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for a connection; a server that is up accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the server is, and how long it may take.
#[derive(Debug, Clone)]
pub struct QdrantSettings {
    /// Its gRPC address.
    pub url: String,
    /// The file of its API key, if it wants one.
    pub api_key_file: Option<PathBuf>,
    /// Each call ends by then.
    pub deadline: Duration,
}

/// A connection to a Qdrant server. Clones share it.
#[derive(Clone)]
pub struct QdrantConnection {
    shared: Arc<Shared>,
}

struct Shared {
    settings: QdrantSettings,
    current: RwLock<Option<Current>>,
    version: OnceCell<()>,
}

/// The client with the key that it was built with, and when the key's file was last looked at.
#[derive(Clone)]
struct Current {
    client: Qdrant,
    key: Option<Key>,
    looked: Instant,
}

impl QdrantConnection {
    /// Prepares a connection; nothing is sent before the first call, so the server need not be up yet.
    pub fn new(settings: QdrantSettings) -> Result<Self, StoreError> {
        let known = settings.url.starts_with("http://") || settings.url.starts_with("https://");
        if !known || settings.url.parse::<http::Uri>().is_err() {
            let cause = format!("the address {:?} is not of the form http://HOST:PORT", settings.url);
            return Err(Failure::refused(cause).into());
        }
        let shared = Shared { settings, current: RwLock::new(None), version: OnceCell::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Asks the server something, within the deadline, and once more with a new key if the old one is refused.
    pub(super) async fn call<T, F>(&self, ask: impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let deadline = self.shared.settings.deadline;
        let asked = async {
            self.check_version().await?;
            let current = self.current(KEY_INTERVAL)?;
            match self.ask(&current, &ask).await {
                Err(failure) if failure.is_auth() => {
                    let renewed = self.current(Duration::ZERO)?;
                    if renewed.key == current.key { Err(failure) } else { self.ask(&renewed, &ask).await }
                }
                answered => answered,
            }
        };
        timeout(deadline, asked).await.unwrap_or_else(|_| Err(Failure::timeout(deadline)))
    }

    /// Writes points, and returns only when the server says that the write is applied.
    pub(super) async fn write<F>(&self, ask: impl Fn(Qdrant) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<PointsOperationResponse, QdrantError>>,
    {
        let answer = self.call(ask).await?;
        match answer.result.map(|result| result.status()) {
            Some(UpdateStatus::Completed) => Ok(()),
            Some(UpdateStatus::WaitTimeout) => Err(Failure::timeout(self.shared.settings.deadline)),
            other => Err(Failure::failed(format!("a write ended as {other:?} instead of completed"))),
        }
    }

    async fn ask<T, F>(&self, current: &Current, ask: impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let settings = &self.shared.settings;
        ask(current.client.clone()).await.map_err(|error| Failure::new(error, &settings.url, settings.deadline))
    }

    /// The client with the key of the file, which is read again when the last look is older than `age`.
    fn current(&self, age: Duration) -> Result<Current, Failure> {
        let known = self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(current) = known.as_ref().filter(|current| current.looked.elapsed() < age) {
            return Ok(current.clone());
        }
        let key = match (self.key(), &known) {
            (Ok(key), _) => key,
            // A file that is away for a moment, as while a Secret is swapped, does not take the working key away.
            (Err(error), Some(current)) => {
                tracing::warn!(%error, "the api key is kept until its file can be read");
                current.key.clone()
            }
            (Err(error), None) => return Err(error.into()),
        };
        let client = match known.filter(|current| current.key == key) {
            Some(current) => current.client,
            None => self.build(key.as_ref())?,
        };
        let current = Current { client, key, looked: Instant::now() };
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }

    fn key(&self) -> Result<Option<Key>, StoreError> {
        let no_key = |cause| StoreError::NoKey { store: STORE, cause };
        self.shared.settings.api_key_file.as_deref().map(Key::read).transpose().map_err(no_key)
    }

    fn build(&self, key: Option<&Key>) -> Result<Qdrant, Failure> {
        let QdrantSettings { url, deadline, .. } = &self.shared.settings;
        // The client's own check blocks a thread and prints; ours is made with the first call.
        let config = QdrantConfig::from_url(url)
            .api_key(key.map(Key::expose))
            .timeout(*deadline)
            .connect_timeout(CONNECT_TIMEOUT.min(*deadline))
            .skip_compatibility_check();
        Qdrant::new(config).map_err(|error| Failure::new(error, url, *deadline))
    }

    /// An older server would silently ignore the conditions of conditional writes, so the version is checked before anything is written.
    async fn check_version(&self) -> Result<(), Failure> {
        let check = || async {
            let current = self.current(KEY_INTERVAL)?;
            let ask = |client: Qdrant| async move { client.health_check().await };
            let found = self.ask(&current, ask).await?.version;
            if is_served(&found) {
                return Ok(());
            }
            let (oldest, newest) = (MINORS.start(), MINORS.end());
            let cause = format!("version {found} is not supported; use Qdrant 1.{oldest} to 1.{newest}");
            Err(Failure::refused(cause))
        };
        self.shared.version.get_or_try_init(check).await.copied()
    }
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

    #[test]
    fn an_address_without_a_scheme_is_refused_in_words() {
        let settings =
            |url: &str| QdrantSettings { url: url.to_owned(), api_key_file: None, deadline: Duration::from_secs(1) };
        assert!(QdrantConnection::new(settings("http://q:6334")).is_ok());
        for url in ["q:6334", "ftp://q", "http://"] {
            let error = QdrantConnection::new(settings(url)).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains("http://HOST:PORT")), "{url}: {error:?}");
        }
    }
}
