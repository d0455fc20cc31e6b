//! One request to the provider: its tries, its pauses, and what its failures mean.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::Rng;
use reqwest::{Client, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::OpenAiSettings;
use crate::{
    outside::{self, Unread},
    ports::{EmbedError, ProviderFailure},
};

/// Bytes of an answer: 64 vectors of 4,096 numbers with all their digits are 6 MB.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Most tries of a request.
const MAX_TRIES: u32 = 6;

/// Pauses between tries: the first, doubling up to the longest. The provider's own wish wins where it is longer.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// Before the second try.
    pub first: Duration,
    /// Before any try.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(8) }
    }
}

/// Where requests go.
pub(super) struct Endpoint {
    client: Client,
    url: String,
    model: String,
    /// Sent only where the provider's vectors are longer without it.
    dimensions: Option<usize>,
    api_key_file: Option<PathBuf>,
    pauses: Pauses,
    /// Until when the provider asked to be left alone; every request waits for it.
    rest: Mutex<Option<Instant>>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl Endpoint {
    pub(super) fn new(settings: OpenAiSettings) -> Result<Self, EmbedError> {
        let OpenAiSettings { base_url, model, api_key_file, pauses, .. } = settings;
        let client = outside::client(&base_url, Client::builder())
            .map_err(|error| EmbedError::Model { model: model.clone(), cause: outside::innermost(&error) })?;
        let url = format!("{}/embeddings", base_url.trim_end_matches('/'));
        Ok(Self { client, url, model, dimensions: None, api_key_file, pauses, rest: Mutex::default() })
    }

    pub(super) fn shorten_to(&mut self, dimensions: usize) {
        self.dimensions = Some(dimensions);
    }

    /// The vectors of texts, in their order.
    pub(super) async fn embed(&self, texts: &[String], limit: Duration) -> Result<Vec<Vec<f32>>, EmbedError> {
        let until = Instant::now() + limit;
        let mut pause = self.pauses.first;
        for tries in 1.. {
            let rest = self.rest();
            if rest.is_some_and(|rest| rest >= until) {
                return Err(self.unavailable(
                    ProviderFailure::RateLimited,
                    "it asked for a longer rest".to_owned(),
                    rest,
                ));
            }
            if let Some(rest) = rest {
                tokio::time::sleep_until(rest).await;
            }
            let error = match timeout_at(until, self.once(texts)).await {
                Ok(Ok(vectors)) => return Ok(vectors),
                Ok(Err(error)) => error,
                Err(_) => {
                    let cause = format!("no answer within {} s", limit.as_secs());
                    return Err(self.unavailable(ProviderFailure::Timeout, cause, None));
                }
            };
            // Not all at once: those that failed together would fail together again.
            let next = Instant::now() + pause.mul_f64(rand::rng().random_range(0.5..1.0));
            if !error.may_pass() || tries == MAX_TRIES || next >= until {
                return Err(error);
            }
            tracing::warn!(%error, tries, "the embedding provider failed; trying again");
            tokio::time::sleep_until(next).await;
            pause = (pause * 2).min(self.pauses.longest);
        }
        Err(self.failed("no try was made".to_owned()))
    }

    async fn once(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let body = Request { model: &self.model, input: texts, encoding_format: "float", dimensions: self.dimensions };
        let mut request = self.client.post(&self.url).json(&body);
        if let Some(file) = &self.api_key_file {
            let key = outside::bearer(file).await.map_err(|error| {
                self.unavailable(ProviderFailure::AuthFailed, format!("its key file {error}"), None)
            })?;
            request = request.header(header::AUTHORIZATION, key);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK => self.vectors(response, texts.len()).await,
            status => Err(self.refused(status, response).await),
        }
    }

    async fn vectors(&self, response: Response, expected: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
        let bytes = self.body(response).await?;
        let Answer { data } = serde_json::from_slice(&bytes)
            .map_err(|error| self.broken(format!("its answer cannot be read: {error}")))?;
        let mut vectors = vec![None; expected];
        for Item { index, embedding } in data {
            if let Some(place) = vectors.get_mut(index) {
                *place = Some(embedding);
            }
        }
        let missing = || self.broken(format!("its answer does not hold a vector for each of {expected} texts"));
        vectors.into_iter().collect::<Option<Vec<_>>>().ok_or_else(missing)
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, EmbedError> {
        outside::bounded(response, MAX_ANSWER).await.map_err(|unread| match unread {
            Unread::TooLong(_) => self.failed(format!("its answer cannot be used: {unread}")),
            Unread::Broken(error) => self.unreachable(&error),
        })
    }

    async fn refused(&self, status: StatusCode, response: Response) -> EmbedError {
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let code = outside::error_code(response).await.map_or_else(String::new, |code| format!(", {code}"));
        let cause = format!("status {status}{code}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.unavailable(ProviderFailure::AuthFailed, format!("status {status}; check its key"), None)
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let rest = Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
                *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
                self.unavailable(ProviderFailure::RateLimited, cause, Some(rest))
            }
            StatusCode::REQUEST_TIMEOUT => self.unavailable(ProviderFailure::Timeout, cause, None),
            status if status.is_server_error() => {
                let rest = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
                self.unavailable(ProviderFailure::Failed, cause, rest)
            }
            _ => self.failed(cause),
        }
    }

    fn rest(&self) -> Option<Instant> {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.filter(|rest| *rest > Instant::now())
    }

    /// The provider said something that another try will not change.
    pub(super) fn failed(&self, cause: String) -> EmbedError {
        EmbedError::Model { model: self.model.clone(), cause }
    }

    fn broken(&self, cause: String) -> EmbedError {
        self.unavailable(ProviderFailure::Failed, cause, None)
    }

    fn unreachable(&self, error: &reqwest::Error) -> EmbedError {
        self.unavailable(ProviderFailure::Unreachable, outside::innermost(error), None)
    }

    fn unavailable(&self, failure: ProviderFailure, cause: String, rest: Option<Instant>) -> EmbedError {
        let seconds = rest.map(|rest| rest.saturating_duration_since(Instant::now()).as_secs() + 1);
        EmbedError::Unavailable { model: self.model.clone(), failure, cause, retry_after_seconds: seconds }
    }
}
