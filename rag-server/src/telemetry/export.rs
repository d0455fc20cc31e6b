//! Sends spans to the collector, batch by batch, one at a time. What it does not take is lost, counted, and said once.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use prometheus::IntCounter;
use reqwest::{
    Certificate, Client,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Tracing, outside, ports::Sight};

/// Between two batches: a trace can be looked at a moment after its request.
const EACH: Duration = Duration::from_secs(1);

/// Spans of one batch; half a megabyte at most times.
const BATCH: usize = 512;

/// How long the collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of the file with headers; more is no file with headers.
const MAX_HEADERS_BYTES: usize = 16 * 1024;

/// Why there is no way to the collector.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCollector {
    /// A file cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The file with CA certificates holds none.
    #[error("{} holds no CA certificate in PEM: {cause}", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A line of the file with headers is none.
    #[error("{} line {line} is no header; write each as \"Name: value\" on a line of its own", path.display())]
    NoHeader {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1. What stands there may be a key, so it is not repeated.
        line: usize,
    },
    /// No client could be made.
    #[error("no client for the collector could be made: {0}")]
    Client(String),
}

/// The collector, and how it is reached.
pub(super) struct Collector {
    url: String,
    ca: Vec<Certificate>,
    headers: Option<PathBuf>,
    resource: Resource,
    /// The bytes of the headers that the exporter was made with.
    made_with: Vec<u8>,
    exporter: SpanExporter,
}

impl Collector {
    /// The collector of this configuration. Its headers are read, so that a mistake is found at the start.
    pub(super) fn new(endpoint: &str, tracing: &Tracing, resource: Resource) -> Result<Self, NoCollector> {
        let ca = tracing.ca_file.as_deref().map_or(Ok(Vec::new()), certificates)?;
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let headers = tracing.headers_file.clone();
        let made_with = headers.as_deref().map_or(Ok(Vec::new()), |path| checked(path, std::fs::read(path)))?;
        let exporter = exporter((&url, &ca), parsed(headers.as_deref(), &made_with)?, &resource)?;
        Ok(Self { url, ca, headers, resource, made_with, exporter })
    }

    /// Reads the headers again, and goes on with them where they changed.
    async fn refresh(&mut self) -> Result<(), NoCollector> {
        let Some(path) = self.headers.as_deref() else { return Ok(()) };
        let bytes = checked(path, tokio::fs::read(path).await)?;
        if bytes != self.made_with {
            self.exporter = exporter((&self.url, &self.ca), parsed(Some(path), &bytes)?, &self.resource)?;
            self.made_with = bytes;
        }
        Ok(())
    }
}

/// The bytes of the file with headers, as they were read.
fn checked(path: &Path, read: io::Result<Vec<u8>>) -> Result<Vec<u8>, NoCollector> {
    let unreadable = |cause: String| NoCollector::Unreadable { path: path.to_owned(), cause };
    let bytes = read.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > MAX_HEADERS_BYTES {
        return Err(unreadable(format!("it has more than {MAX_HEADERS_BYTES} bytes")));
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, NoCollector> {
    let no_certificate = |cause: String| NoCollector::NoCertificate { path: path.to_owned(), cause };
    let bytes = std::fs::read(path)
        .map_err(|error| NoCollector::Unreadable { path: path.to_owned(), cause: error.to_string() })?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|error| no_certificate(outside::innermost(&error)))?;
    if found.is_empty() {
        return Err(no_certificate("it is empty".to_owned()));
    }
    Ok(found)
}

/// The headers of a file, none of which is ever printed.
fn parsed(path: Option<&Path>, bytes: &[u8]) -> Result<HeaderMap, NoCollector> {
    let text = String::from_utf8_lossy(bytes);
    let mut headers = HeaderMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let header = text.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::try_from(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let path = || path.map(Path::to_owned).unwrap_or_default();
        let (name, value) = header.ok_or_else(|| NoCollector::NoHeader { path: path(), line })?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn exporter(
    (url, ca): (&str, &[Certificate]),
    headers: HeaderMap,
    resource: &Resource,
) -> Result<SpanExporter, NoCollector> {
    let builder = Client::builder().timeout(TIMEOUT).default_headers(headers);
    let builder = if ca.is_empty() { builder } else { builder.tls_certs_merge(ca.iter().cloned()) };
    let client = outside::client(url, builder).map_err(|error| NoCollector::Client(outside::innermost(&error)))?;
    let made = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_timeout(TIMEOUT)
        .with_retry_policy(RetryPolicy::disabled())
        .build();
    let mut exporter = made.map_err(|error| NoCollector::Client(error.to_string()))?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// What sends.
pub(super) struct Exporting {
    pub(super) collector: Collector,
    pub(super) sight: Arc<Sight>,
    pub(super) sent: IntCounter,
    pub(super) failed: IntCounter,
}

impl Exporting {
    /// Sends what comes, until it is told to stop and nothing waits any more.
    pub(super) async fn run(mut self, mut waiting: Receiver<SpanData>, stop: CancellationToken) {
        let mut ticks = interval(EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stop.cancelled() => true,
                _ = ticks.tick() => false,
            };
            loop {
                let batch: Vec<_> = std::iter::from_fn(|| waiting.try_recv().ok()).take(BATCH).collect();
                if batch.is_empty() {
                    break;
                }
                self.send(batch).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let cause = match self.collector.refresh().await {
            Ok(()) => self.collector.exporter.export(batch).await.err().map(|error| ("failed", error.to_string())),
            Err(error) => Some(("no_headers", error.to_string())),
        };
        match cause {
            None => {
                self.sent.inc_by(spans);
                self.sight.answered(Timestamp::now());
            }
            Some((class, error)) => {
                tracing::debug!(spans, error, "spans were not taken by the trace collector");
                self.failed.inc_by(spans);
                self.sight.failed(class, Timestamp::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value_and_a_line_that_is_none_is_not_repeated() {
        let path = Path::new("headers");
        let headers = parsed(Some(path), b"Authorization: Bearer a:b\n\nx-scope:  team \n").unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-scope"]),
            (&"Bearer a:b".parse().unwrap(), &"team".parse().unwrap())
        );
        assert!(!format!("{headers:?}").contains("Bearer"));
        let refused = parsed(Some(path), b"x-scope: team\nsecret-without-a-name\n").unwrap_err().to_string();
        assert!(refused.starts_with("headers line 2 ") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for (bytes, told) in [(None, "cannot be read"), (Some("no certificate"), "holds no CA certificate")] {
            if let Some(bytes) = bytes {
                std::fs::write(&path, bytes).unwrap();
            }
            let refused = certificates(&path).unwrap_err().to_string();
            assert!(refused.contains("ca.pem") && refused.contains(told), "{refused}");
        }
    }
}
