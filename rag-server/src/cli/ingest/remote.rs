//! Ingestion over HTTP: documents in bounded requests to `POST /ingest`, their outcomes from `GET /jobs/{id}`.

mod wire;

use std::{
    collections::VecDeque,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use backon::{ConstantBuilder, Retryable};
use hyper::body::Bytes;
use jiff::Timestamp;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::HeaderValue,
    multipart::{Form, Part},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use self::wire::{
    Accepted, Job, JobDocument, PostedDocument, Preview, PruneAnswer, PruneRequest, Request, json_bytes, outcome,
};
use super::show::Show;
use crate::{
    cli::{
        key::key,
        server::{MAX_PROBLEM_BYTES, problem},
    },
    ingest::{FailureReason, MAX_DOCUMENTS, Prune, Pruned, Source, read_bytes, read_text},
    key_file::NoKey,
    model::DocumentId,
    outside::{self, Unread},
};

/// Bytes of JSON of one request; servers take 32 MiB by default.
const REQUEST_BYTES: usize = 4 << 20;
/// Bytes that a document may have: as JSON it must fit into a request that servers take.
const DOCUMENT_BYTES: u64 = 24 << 20;
/// Jobs that are not finished yet when the next one is sent, so that several replicas have work.
const JOBS_AHEAD: usize = 4;
/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(400);
/// Attempts after the first of a request that failed in a way that may pass, about five minutes.
const MORE_ATTEMPTS: usize = 39;
/// Pause between two attempts where the server does not ask for another.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Bytes of an answer: a job with as many documents as a request may hold has a few million.
const MAX_ANSWER: usize = 64 << 20;
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
        /// Whether it was reached before: a server that was never there is said at once, one that went away may come back.
        may_come_back: bool,
    },
    /// The answer is too long.
    #[error("{server} answered something else than rag-server does: it has more than {most} bytes")]
    Endless {
        /// The server.
        server: Url,
        /// What is read.
        most: usize,
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
        detail: Box<str>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A thread ended unexpectedly.
    #[error("reading a file ended unexpectedly: {0}")]
    Worker(#[source] tokio::task::JoinError),
}

impl RemoteError {
    /// Whether the same request may succeed later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { may_come_back, .. } => *may_come_back,
            Self::Refused { status, .. } => matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
                    | StatusCode::INSUFFICIENT_STORAGE
            ),
            Self::Key(_) | Self::Client(_) | Self::Endless { .. } | Self::Strange { .. } | Self::Worker(_) => false,
        }
    }

    /// The pause before the next attempt.
    fn pause(&self, usual: Duration) -> Duration {
        match self {
            Self::Refused { retry_after: Some(asked), .. } => (*asked).clamp(PAUSE, LONGEST_PAUSE),
            _ => usual,
        }
    }
}

/// A running server.
pub(super) struct Remote {
    server: Url,
    key: Option<HeaderValue>,
    client: Client,
    /// Whether it answered once.
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
                    show_document(document, show);
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
        let pauses = ConstantBuilder::new().with_delay(PAUSE).with_max_times(MORE_ATTEMPTS);
        let answer = (|| self.ask_once(&request))
            .retry(pauses)
            .when(RemoteError::may_pass)
            .adjust(|error, pause| pause.map(|usual| error.pause(usual)))
            .await?;
        serde_json::from_slice(&answer).map_err(|cause| RemoteError::Strange { server: self.server.clone(), cause })
    }

    async fn ask_once(&self, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, RemoteError> {
        let request = match &self.key {
            Some(key) => request().header("X-API-Key", key.clone()),
            None => request(),
        };
        let answer = request.send().await.map_err(|cause| self.unreachable(cause))?;
        self.reached.store(true, Ordering::Relaxed);
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        self.read(answer, MAX_ANSWER).await
    }

    async fn refused(&self, answer: Response) -> RemoteError {
        let status = answer.status();
        let retry_after = outside::retry_after(answer.headers(), SystemTime::now());
        let body = self.read(answer, MAX_PROBLEM_BYTES).await.unwrap_or_default();
        let (_, detail) = problem(status.as_u16(), &body);
        RemoteError::Refused { server: self.server.clone(), status, detail: detail.into(), retry_after }
    }

    async fn read(&self, answer: Response, most: usize) -> Result<Vec<u8>, RemoteError> {
        outside::bounded(answer, most).await.map_err(|unread| match unread {
            Unread::TooLong(most) => RemoteError::Endless { server: self.server.clone(), most },
            Unread::Broken(cause) => self.unreachable(cause),
        })
    }

    fn unreachable(&self, cause: reqwest::Error) -> RemoteError {
        let may_come_back = self.reached.load(Ordering::Relaxed);
        RemoteError::Unreachable { server: self.server.clone(), cause, may_come_back }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.server.as_str().trim_end_matches('/'))
    }
}

fn show_document(mut document: JobDocument, show: &mut Show) {
    let (name, notices) = (document.id.clone(), std::mem::take(&mut document.notices));
    show.report(&name, outcome(document));
    notices.iter().for_each(|notice| show.notice(&name, &notice.message));
}

/// A run that gathers documents into requests of bounded size.
struct Run<'r> {
    remote: &'r Remote,
    dry_run: bool,
    sent: VecDeque<Sent>,
    documents: Vec<PostedDocument>,
    bytes: usize,
}

impl Run<'_> {
    async fn take(&mut self, source: Source, show: &mut Show) -> Result<(), RemoteError> {
        let (id, format, expires_at) = (source.id.clone(), source.format, source.expires_at);
        if format.is_binary() {
            let read = tokio::task::spawn_blocking(move || read_bytes(&source, DOCUMENT_BYTES));
            return match read.await.map_err(RemoteError::Worker)? {
                Ok(bytes) => self.send_file(&id, bytes, expires_at, show).await,
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
        self.documents.push(PostedDocument { id, text, format, expires_at });
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
    async fn send_file(
        &mut self,
        id: &DocumentId,
        bytes: Vec<u8>,
        expires_at: Option<Timestamp>,
        show: &mut Show,
    ) -> Result<(), RemoteError> {
        if id.as_str().contains('\\') {
            // Whoever reads a form takes it for a folder's mark, or for an escape.
            let cause = "a name with a backslash cannot be sent as a file".to_owned();
            show.report(id.as_str(), Err(FailureReason::BadName { cause }.to_string()));
            return Ok(());
        }
        let (remote, dry_run) = (self.remote, self.dry_run.to_string());
        let (name, bytes) = (id.as_str().to_owned(), Bytes::from(bytes));
        let request = || {
            let file = Part::stream(bytes.clone()).file_name(name.clone());
            let mut form = Form::new().text("dry_run", dry_run.clone()).part("file", file);
            if let Some(at) = expires_at {
                form = form.text("expires_at", at.to_string());
            }
            remote.client.post(remote.at("ingest")).multipart(form)
        };
        self.submit(request, 1, show).await
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
                show_document(document, show);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<Duration>) -> RemoteError {
        let (server, status) = ("http://far".parse().unwrap(), StatusCode::from_u16(status).unwrap());
        RemoteError::Refused { server, status, detail: Box::default(), retry_after }
    }

    #[test]
    fn a_server_that_is_busy_is_asked_again_when_it_says_within_reason() {
        for (asked_for, pause) in [(None, 1), (Some(0), 1), (Some(4), 4), (Some(3600), 10)] {
            let error = refused(503, asked_for.map(Duration::from_secs));
            assert_eq!(error.pause(PAUSE), Duration::from_secs(pause), "{asked_for:?}");
        }
        for (status, may_pass) in [
            (429, true),
            (502, true),
            (503, true),
            (504, true),
            (507, true),
            (400, false),
            (401, false),
            (422, false),
            (500, false),
        ] {
            assert_eq!(refused(status, None).may_pass(), may_pass, "{status}");
        }
    }
}
