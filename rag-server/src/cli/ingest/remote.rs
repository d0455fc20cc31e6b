//! Ingestion over HTTP: documents in bounded requests to `POST /ingest`, their outcomes from `GET /jobs/{id}`.

mod wire;

use std::{
    collections::VecDeque,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use self::wire::{Accepted, Job, NewDocument, Preview, PruneAnswer, PruneRequest, Request, json_bytes, outcome};
use super::show::Show;
use crate::{
    cli::{key::key, server::problem},
    ingest::{FailureReason, MAX_DOCUMENTS, Prune, Pruned, Source, read_bytes, read_text},
    model::DocumentId,
    outside::{self, NoKey},
};

/// Bytes of JSON of one request; servers take 32 MiB by default.
const REQUEST_BYTES: usize = 4 << 20;
/// Bytes that a document may have: as JSON it must fit into a request that servers take.
const DOCUMENT_BYTES: u64 = 24 << 20;
/// Jobs that are not finished yet when the next one is sent, so that several replicas have work.
const JOBS_AHEAD: usize = 4;
/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(400);
/// Attempts of a request that failed in a way that may pass, about five minutes.
const ATTEMPTS: u32 = 40;
/// Longest pause between two attempts.
const LONGEST_PAUSE: u64 = 10;
/// How long the server may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why the server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no key where one is said to be.
    #[error("the key cannot be used: {0}")]
    Key(#[source] NoKey),
    /// The client cannot be set up.
    #[error("the HTTP client cannot start: {0}")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// The server.
        server: Url,
        /// What the network said.
        cause: reqwest::Error,
    },
    /// The answer is none of a rag-server.
    #[error("{server} answered something else than rag-server does: {cause}")]
    Strange {
        /// The server.
        server: Url,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// The server refused.
    #[error("{server} answered {status}: {detail}")]
    Refused {
        /// The server.
        server: Url,
        /// The HTTP status.
        status: StatusCode,
        /// What the server said about it.
        detail: String,
    },
    /// A thread ended unexpectedly.
    #[error("reading a file ended unexpectedly: {0}")]
    Worker(#[source] tokio::task::JoinError),
}

/// A running server.
pub(super) struct Remote {
    server: Url,
    key: Option<HeaderValue>,
    client: Client,
    /// Whether it answered once: a server that was never there is said at once, one that went away may come back.
    reached: AtomicBool,
}

struct Sent {
    job: String,
    reported: Vec<bool>,
}

impl Remote {
    pub(super) fn new(server: Url, key_file: Option<&Path>) -> Result<Self, RemoteError> {
        let key = key(key_file).map_err(RemoteError::Key)?;
        let client = outside::client(server.as_str(), Client::builder().timeout(TIMEOUT));
        let client = client.map_err(RemoteError::Client)?;
        Ok(Self { server, key, client, reached: AtomicBool::new(false) })
    }

    /// Sends documents and reports what became of them.
    pub(super) async fn ingest(
        &self,
        sources: Vec<Source>,
        dry_run: bool,
        stop: &CancellationToken,
        show: &mut Show,
    ) -> Result<(), RemoteError> {
        let mut run = Run { remote: self, dry_run, sent: VecDeque::new(), documents: Vec::new(), bytes: 0 };
        for source in sources {
            if stop.is_cancelled() {
                break;
            }
            run.take(source, show).await?;
        }
        run.send(show).await?;
        while let Some(job) = run.sent.pop_front() {
            self.follow(job, show).await?;
        }
        Ok(())
    }

    /// One round of removing what is gone.
    pub(super) async fn prune(&self, prune: Prune<'_>, after: Option<&str>) -> Result<Pruned, RemoteError> {
        let Prune { prefix, keep, dry_run, .. } = prune;
        let request = PruneRequest { prefix, keep: keep.iter().collect(), dry_run, after };
        let PruneAnswer { removed, next } = self.ask(|| self.client.post(self.at("prune")).json(&request)).await?;
        Ok(Pruned { removed, next })
    }

    /// Reports the documents of a job as they are dealt with, until all are.
    async fn follow(&self, mut sent: Sent, show: &mut Show) -> Result<(), RemoteError> {
        loop {
            let job: Job = self.ask(|| self.client.get(self.at(&format!("jobs/{}", sent.job)))).await?;
            for (document, reported) in job.documents.into_iter().zip(&mut sent.reported) {
                if !*reported && document.state != "queued" {
                    *reported = true;
                    let name = document.id.clone();
                    show.report(&name, outcome(document));
                }
            }
            if let Some(eta) = job.eta_seconds {
                show.bar()
                    .set_message(format!("{} of about {} chunks, {eta} s left", job.chunks_done, job.chunks_total));
            }
            if matches!(job.state.as_str(), "done" | "failed" | "cancelled") {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks, and asks again while the server is away, busy or read-only for a while.
    ///
    /// The answer is read at once: one that waits for something else runs into the time that the server has for it.
    async fn ask<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, RemoteError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = match &self.key {
                Some(key) => request().header("X-API-Key", key.clone()),
                None => request(),
            };
            let answer = request.send().await;
            let reached = self.reached.fetch_or(answer.is_ok(), Ordering::Relaxed);
            let wait = match answer {
                Ok(answer) if answer.status().is_success() => match answer.bytes().await {
                    Ok(answer) => return self.read(&answer),
                    Err(cause) if attempt >= ATTEMPTS => return Err(self.unreachable(cause)),
                    Err(_) => 1,
                },
                Ok(answer) if attempt >= ATTEMPTS || !may_pass(answer.status()) => {
                    return Err(self.refused(answer).await);
                }
                Ok(answer) => {
                    let seconds = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                    seconds.unwrap_or(1).clamp(1, LONGEST_PAUSE)
                }
                Err(cause) if attempt >= ATTEMPTS || !reached => return Err(self.unreachable(cause)),
                Err(_) => 1,
            };
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    async fn refused(&self, answer: Response) -> RemoteError {
        let status = answer.status();
        let (_, detail) = problem(status.as_u16(), &answer.bytes().await.unwrap_or_default());
        RemoteError::Refused { server: self.server.clone(), status, detail }
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, RemoteError> {
        serde_json::from_slice(answer).map_err(|cause| RemoteError::Strange { server: self.server.clone(), cause })
    }

    fn unreachable(&self, cause: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable { server: self.server.clone(), cause }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.server.as_str().trim_end_matches('/'))
    }
}

/// A run that gathers documents into requests of bounded size.
struct Run<'r> {
    remote: &'r Remote,
    dry_run: bool,
    sent: VecDeque<Sent>,
    documents: Vec<NewDocument>,
    bytes: usize,
}

impl Run<'_> {
    async fn take(&mut self, source: Source, show: &mut Show) -> Result<(), RemoteError> {
        let (id, format) = (source.id.clone(), source.format);
        if format.is_binary() {
            let read = tokio::task::spawn_blocking(move || read_bytes(&source, DOCUMENT_BYTES));
            return match read.await.map_err(RemoteError::Worker)? {
                Ok(bytes) => self.send_file(&id, &bytes, show).await,
                Err(reason) => {
                    show.report(id.as_str(), Err(reason.to_string()));
                    Ok(())
                }
            };
        }
        let read = tokio::task::spawn_blocking(move || read_text(&source, DOCUMENT_BYTES));
        let text = match read.await.map_err(RemoteError::Worker)? {
            Ok(text) => text,
            Err(reason) => {
                show.report(id.as_str(), Err(reason.to_string()));
                return Ok(());
            }
        };
        let size = json_bytes(&text);
        if size > DOCUMENT_BYTES as usize {
            let reason = FailureReason::TooLarge { bytes: size as u64, limit: DOCUMENT_BYTES };
            show.report(id.as_str(), Err(reason.to_string()));
            return Ok(());
        }
        if self.bytes + size > REQUEST_BYTES || self.documents.len() >= MAX_DOCUMENTS {
            self.send(show).await?;
        }
        self.documents.push(NewDocument { id, text, format });
        self.bytes += size;
        Ok(())
    }

    /// Sends what was gathered.
    async fn send(&mut self, show: &mut Show) -> Result<(), RemoteError> {
        let documents = std::mem::take(&mut self.documents);
        self.bytes = 0;
        if documents.is_empty() {
            return Ok(());
        }
        let count = documents.len();
        let request = Request { documents, dry_run: self.dry_run };
        let remote = self.remote;
        self.submit(|| remote.client.post(remote.at("ingest")).json(&request), count, show).await
    }

    /// Sends a file that is no text, as a form.
    async fn send_file(&mut self, id: &DocumentId, bytes: &[u8], show: &mut Show) -> Result<(), RemoteError> {
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let name: String =
            id.as_str().chars().map(|c| if c == '"' { "%22".to_owned() } else { c.to_string() }).collect();
        if name != id.as_str() {
            let cause = "a name with quotation marks cannot be sent as a file".to_owned();
            show.report(id.as_str(), Err(FailureReason::BadName { cause }.to_string()));
            return Ok(());
        }
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"dry_run\"\r\n\r\n{}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n",
            self.dry_run
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let remote = self.remote;
        let form = || remote.client.post(remote.at("ingest")).header(CONTENT_TYPE, &kind).body(body.clone());
        self.submit(form, 1, show).await
    }

    async fn submit(
        &mut self,
        request: impl Fn() -> RequestBuilder,
        count: usize,
        show: &mut Show,
    ) -> Result<(), RemoteError> {
        if self.dry_run {
            let preview: Preview = self.remote.ask(request).await?;
            for document in preview.documents {
                let name = document.id.clone();
                show.report(&name, outcome(document));
            }
            return Ok(());
        }
        let accepted: Accepted = self.remote.ask(request).await?;
        self.sent.push_back(Sent { job: accepted.job, reported: vec![false; count] });
        if self.sent.len() > JOBS_AHEAD
            && let Some(first) = self.sent.pop_front()
        {
            self.remote.follow(first, show).await?;
        }
        Ok(())
    }
}

fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}
