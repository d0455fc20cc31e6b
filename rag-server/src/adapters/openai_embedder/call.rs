//! One request to the provider: its tries, its pauses, and what its failures mean.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{BYTES_PER_TOKEN, OpenAiSettings};
use crate::{
    outside::{self, NotAnswered, Refusal, Rest, Service, Unread},
    ports::{Bill, EmbedError, Fare, NotAdmitted, ProviderFailure, Toll, Trip},
};

/// Bytes of an answer: 64 vectors of 4,096 numbers with all their digits are 6 MB.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Tries after the first of a request.
const MORE_TRIES: usize = 5;

/// The rest after a refusal for being over the limit that says nothing about it.
const USUAL_REST: Duration = Duration::from_secs(1);

/// Pauses between tries: the first, doubling up to the longest. The provider's own wish wins where it is longer.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// Before the second try.
    pub first: Duration,
    /// Before any try.
    pub longest: Duration,
    /// Longest one that the provider may ask for: there is no other provider, so after this time a call finds out whether it was meant.
    pub rest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(8), rest: Duration::from_secs(60) }
    }
}

/// What texts are embedded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To see that the provider answers, before anything else is done.
    Probe,
    /// To be searched with.
    Question,
    /// To be found.
    Passages,
}

impl Purpose {
    /// How long it may take with all tries: a rate limit by the minute may pass while passages wait.
    fn limit(self) -> Duration {
        match self {
            Self::Probe | Self::Question => Duration::from_secs(20),
            Self::Passages => Duration::from_secs(120),
        }
    }
}

/// Where requests go.
pub(super) struct Endpoint {
    service: Service,
    model: String,
    /// Sent only where the provider's vectors are longer without it.
    dimensions: Option<usize>,
    pauses: Pauses,
    /// Every try passes it.
    toll: Arc<dyn Toll>,
    /// Every request waits for it.
    rest: Rest,
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
    /// Some services do not say.
    #[serde(default)]
    usage: Option<Usage>,
}

/// What was read, by either of the names that are in use.
#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl Endpoint {
    pub(super) fn new(settings: OpenAiSettings, toll: Arc<dyn Toll>) -> Result<Self, EmbedError> {
        let OpenAiSettings { base_url, model, api_key_file, pauses, .. } = settings;
        let service = Service::new(&base_url, "embeddings", api_key_file, Client::builder())
            .map_err(|error| EmbedError::Broken { model: model.clone(), cause: outside::innermost(&error) })?;
        Ok(Self { service, model, dimensions: None, pauses, toll, rest: Rest::new(pauses.rest) })
    }

    pub(super) fn shorten_to(&mut self, dimensions: usize) {
        self.dimensions = Some(dimensions);
    }

    /// The vectors of texts, in their order, within the time that their purpose has for all tries.
    pub(super) async fn embed(&self, texts: &[String], purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let until = Instant::now() + purpose.limit();
        // With jitter: those that failed together would fail together again.
        let pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.pauses.first)
            .with_max_delay(self.pauses.longest)
            .with_max_times(MORE_TRIES);
        (|| self.rested(texts, until, purpose))
            .retry(pauses)
            .when(may_pass_soon)
            .adjust(|_, pause| pause.filter(|pause| self.next_try_in(*pause) < left(until)))
            .notify(|error, _| tracing::warn!(%error, "the embedding provider failed; trying again"))
            .await
    }

    /// When another try would be made: after this pause, and after the rest that the provider asked for.
    fn next_try_in(&self, pause: Duration) -> Duration {
        self.rest.left(Instant::now()).unwrap_or_default().max(pause)
    }

    /// One try, after the rest that the provider asked for.
    async fn rested(&self, texts: &[String], until: Instant, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        if let Some(rest) = self.rest.left(Instant::now()) {
            if rest >= left(until) {
                let cause = "it asked for a longer rest".to_owned();
                return Err(self.unavailable(ProviderFailure::RateLimited, cause));
            }
            sleep(rest).await;
        }
        let late =
            |_| self.unavailable(ProviderFailure::Timeout, format!("no answer within {} s", purpose.limit().as_secs()));
        timeout(left(until), self.paid(texts, left(until), purpose)).await.map_err(late)?
    }

    /// One try, once the budget and the rate limit allow it. What is sent is owed, unless the provider says that it did not take it.
    async fn paid(&self, texts: &[String], lasts: Duration, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let bytes: usize = texts.iter().map(String::len).sum();
        let fare = |tokens: usize| Fare { tokens: tokens as u64, requests: 1 };
        let estimate = fare(bytes.div_ceil(BYTES_PER_TOKEN));
        let most = match purpose {
            // A handful of tokens at each start: a spent budget keeps no server from starting.
            Purpose::Probe => Fare::default(),
            // No tokenizer counts more tokens than bytes, but it may add two to each text.
            Purpose::Question | Purpose::Passages => fare(bytes + 2 * texts.len()),
        };
        // Half of the time is for the call itself.
        let trip = Trip { estimate, most, lasts, patience: lasts / 2 };
        let mut bill = self.toll.admit(trip).await.map_err(|refused| self.not_admitted(refused))?;
        bill.owes(estimate);
        self.once(texts, &mut *bill).await
    }

    fn not_admitted(&self, refused: NotAdmitted) -> EmbedError {
        let failure = match refused {
            NotAdmitted::OverBudget { .. } => ProviderFailure::OverBudget,
            NotAdmitted::RateLimited { .. } => ProviderFailure::LimitKept,
            NotAdmitted::Unknown { .. } => ProviderFailure::Unaccounted,
        };
        let retry_after_seconds = Some(refused.retry_after().as_secs() + 1);
        EmbedError::Unavailable { model: self.model.clone(), failure, cause: refused.to_string(), retry_after_seconds }
    }

    async fn once(&self, texts: &[String], bill: &mut dyn Bill) -> Result<Vec<Vec<f32>>, EmbedError> {
        let body = Request { model: &self.model, input: texts, encoding_format: "float", dimensions: self.dimensions };
        let response = self.service.post(&body).await.map_err(|failure| {
            if !failure.was_sent() {
                bill.owes(Fare::default());
            }
            self.not_answered(failure)
        })?;
        match response.status() {
            StatusCode::OK => self.vectors(response, texts.len(), bill).await,
            status => {
                bill.owes(Fare::default());
                Err(self.refused(status, Refusal::read(response).await))
            }
        }
    }

    async fn vectors(
        &self,
        response: Response,
        expected: usize,
        bill: &mut dyn Bill,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let bytes = outside::bounded(response, MAX_ANSWER).await.map_err(|unread| match unread {
            Unread::TooLong(_) => self.broken(format!("its answer cannot be used: {unread}")),
            Unread::Broken(error) => self.not_answered(NotAnswered::of(&error)),
        })?;
        let garbled = |cause: String| self.unavailable(ProviderFailure::Failed, cause);
        let Answer { data, usage } =
            serde_json::from_slice(&bytes).map_err(|error| garbled(format!("its answer cannot be read: {error}")))?;
        if let Some(tokens) = usage.and_then(|usage| usage.prompt_tokens.or(usage.total_tokens)) {
            bill.owes(Fare { tokens, requests: 1 });
        }
        let mut vectors = vec![None; expected];
        for Item { index, embedding } in data {
            if let Some(place) = vectors.get_mut(index) {
                *place = Some(embedding);
            }
        }
        let missing = || garbled(format!("its answer does not hold a vector for each of {expected} texts"));
        vectors.into_iter().collect::<Option<Vec<_>>>().ok_or_else(missing)
    }

    /// What a refusal means, by its status.
    fn refused(&self, status: StatusCode, refusal: Refusal) -> EmbedError {
        let Refusal { code, retry_after, .. } = refusal;
        let cause = format!("status {status}{code}");
        let failure = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let cause = format!("status {status}; check its key");
                return self.unavailable(ProviderFailure::AuthFailed, cause);
            }
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                return EmbedError::Refused { model: self.model.clone(), cause };
            }
            StatusCode::TOO_MANY_REQUESTS => ProviderFailure::RateLimited,
            StatusCode::REQUEST_TIMEOUT => ProviderFailure::Timeout,
            status if status.is_server_error() => ProviderFailure::Failed,
            _ => return self.broken(cause),
        };
        let usual = (failure == ProviderFailure::RateLimited).then_some(USUAL_REST);
        if let Some(wait) = retry_after.or(usual) {
            self.rest.ask(wait, Instant::now());
        }
        self.unavailable(failure, cause)
    }

    fn not_answered(&self, failure: NotAnswered) -> EmbedError {
        let cause = failure.to_string();
        match failure {
            NotAnswered::NoKey(_) => self.unavailable(ProviderFailure::AuthFailed, format!("its key file {cause}")),
            NotAnswered::Timeout => self.unavailable(ProviderFailure::Timeout, cause),
            NotAnswered::Unreachable(_) | NotAnswered::Broken(_) => {
                self.unavailable(ProviderFailure::Unreachable, cause)
            }
        }
    }

    /// The provider does something that neither another try nor another text will change.
    pub(super) fn broken(&self, cause: String) -> EmbedError {
        EmbedError::Broken { model: self.model.clone(), cause }
    }

    /// Another try may succeed: when the rest is over, where there is one.
    fn unavailable(&self, failure: ProviderFailure, cause: String) -> EmbedError {
        let retry_after_seconds = self.rest.left(Instant::now()).map(|rest| rest.as_secs() + 1);
        EmbedError::Unavailable { model: self.model.clone(), failure, cause, retry_after_seconds }
    }
}

/// Whether another try within the same call makes sense: what the budget or the records keep from being sent does not pass so soon.
fn may_pass_soon(error: &EmbedError) -> bool {
    let is_kept_back = matches!(error, EmbedError::Unavailable { failure, .. } if failure.was_not_asked());
    error.may_pass() && !is_kept_back
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
