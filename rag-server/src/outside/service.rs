//! A service that takes JSON at an address: its client, its key, and what it means when it does not answer.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, ClientBuilder, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use serde::Serialize;

use super::{body, retry_after};
use crate::{
    key_file::{Key, NoKey},
    telemetry::propagation,
};

/// A client for this address.
pub fn client(base_url: &str, builder: ClientBuilder) -> Result<Client, reqwest::Error> {
    let builder = builder.redirect(Policy::none());
    // Without TLS no certificate is needed, and an image may hold none to load.
    if base_url.starts_with("https:") { builder.build() } else { builder.tls_certs_only([]).build() }
}

/// A key as the value of a header, behind `scheme`.
pub fn header(scheme: &str, key: &Key) -> Result<HeaderValue, NoKey> {
    let not_a_key = |_| NoKey::NotAKey { source_name: "what is to be sent".to_owned() };
    let mut value = HeaderValue::try_from(format!("{scheme}{}", key.expose())).map_err(not_a_key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The innermost cause, which is what the network said. It names no address, whose query string may hold what is nobody's business.
pub fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    http: Client,
    url: String,
    key_file: Option<PathBuf>,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswered {
    /// The key cannot be read, so nothing was sent.
    #[error("{0}")]
    NoKey(NoKey),
    /// There is no connection, so nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The time of the client is up; the service may work on it.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke after the request was on its way.
    #[error("{0}")]
    Broken(String),
}

/// An answer that is none: its status is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The service's code for it, as `, CODE` for the end of a sentence; empty without one.
    pub code: String,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Service {
    /// The service at this path below a base address. Nothing is called, and `key_file` is read at each call.
    pub fn new(
        base_url: &str,
        path: &str,
        key_file: Option<PathBuf>,
        builder: ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        let url = format!("{}/{path}", base_url.trim_end_matches('/'));
        Ok(Self { http: client(base_url, builder)?, url, key_file })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a document, with the place of the current span in its trace, and waits for the beginning of the answer, whatever its status.
    pub async fn post(&self, document: &impl Serialize) -> Result<Response, NotAnswered> {
        let mut traced = HeaderMap::new();
        propagation::pass_on(&mut traced);
        let mut call = self.http.post(&self.url).headers(traced).json(document);
        if let Some(path) = &self.key_file {
            call = call.header(AUTHORIZATION, bearer(path).await.map_err(NotAnswered::NoKey)?);
        }
        call.send().await.map_err(|error| NotAnswered::of(&error))
    }
}

impl NotAnswered {
    /// Whether the request may have reached the service.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::NoKey(_) | Self::Unreachable(_) => false,
            Self::Timeout | Self::Broken(_) => true,
        }
    }

    /// What the client's error means.
    pub fn of(error: &reqwest::Error) -> Self {
        match innermost(error) {
            // A connection that takes too long is none.
            cause if error.is_connect() || error.is_builder() => Self::Unreachable(cause),
            _ if error.is_timeout() => Self::Timeout,
            cause => Self::Broken(cause),
        }
    }
}

impl Refusal {
    /// Reads what a service said with its refusal.
    pub async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let code = body::error_code(response).await.map_or_else(String::new, |code| format!(", {code}"));
        Self { status, code, retry_after }
    }
}

/// The key of a file behind the word `Bearer`, as the value of the header [`AUTHORIZATION`].
pub async fn bearer(path: &Path) -> Result<HeaderValue, NoKey> {
    let (path, shown) = (path.to_owned(), path.display().to_string());
    let read = tokio::task::spawn_blocking(move || Key::read(&path)).await;
    let key = read.map_err(|error| NoKey::Unreadable { path: shown, cause: error.to_string() })??;
    header("Bearer ", &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_file_is_read_at_each_call_and_a_header_does_not_print_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for key in ["sk-1", "sk-2"] {
            std::fs::write(&path, format!("{key}\n")).unwrap();
            let header = bearer(&path).await.unwrap();
            assert_eq!(header.to_str().unwrap(), format!("Bearer {key}"));
            assert!(!format!("{header:?}").contains(key));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(bearer(&path).await, Err(NoKey::Unreadable { .. })));
    }

    #[tokio::test]
    async fn what_was_never_sent_is_told_from_what_was_not_answered() {
        let service = |address: &str, builder| Service::new(address, "ask", None, builder).unwrap();
        // Port 0 cannot be connected to.
        let nobody = service("http://127.0.0.1:0", Client::builder()).post(&1).await;
        assert!(matches!(nobody, Err(NotAnswered::Unreachable(_))), "{nobody:?}");

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let silent = service(&address, Client::builder().timeout(Duration::from_millis(50)));
        assert_eq!(silent.post(&1).await.unwrap_err(), NotAnswered::Timeout);

        let hangs_up = tokio::spawn(async move {
            // The call before was given up; the next one is read, and not answered.
            let _given_up = listener.accept().await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
        });
        let broken = service(&address, Client::builder()).post(&1).await;
        assert!(matches!(broken, Err(NotAnswered::Broken(_))), "{broken:?}");
        hangs_up.await.unwrap();
    }
}
