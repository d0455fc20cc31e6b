//! What the routes that answer questions have in common: how an answer is counted, and how it is streamed.
//!
//! What fails before the first event is an ordinary problem with its status. A client that goes away drops the stream, and with it the provider's call.

use std::time::{Duration, Instant};

use axum::{
    http::HeaderValue,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};

use super::{error::Problem, state::Api};
use crate::{
    generate::{AnswerError, AnswerEvent, AnswerStream},
    model::Answer,
    resilience::{Class, Place},
};

/// How often a comment tells proxies and clients that the answer is still written; it also finds out that a client is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Counts one question, however it ends.
pub(super) struct Measured {
    api: Api,
    began: Instant,
    outcome: &'static str,
    provider_seconds: f64,
}

impl Measured {
    pub(super) fn new(api: Api) -> Self {
        // What is dropped without an end was given up by its caller.
        Self { api, began: Instant::now(), outcome: "abandoned", provider_seconds: 0.0 }
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        self.outcome = answer.status.as_str();
        self.provider_seconds = answer.generation.provider_millis as f64 / 1000.0;
    }

    pub(super) fn failed(&mut self) {
        self.outcome = "failed";
    }

    /// Of an answer that was waited for.
    pub(super) fn ended(&mut self, answer: &Result<Answer, AnswerError>) {
        match answer {
            Ok(answer) => self.answered(answer),
            Err(_) => self.failed(),
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let own = (self.began.elapsed().as_secs_f64() - self.provider_seconds).max(0.0);
        if self.outcome != "abandoned" {
            self.api.metrics.server_seconds.observe(own);
        }
        self.api.metrics.query_outcomes.with_label_values(&[self.outcome]).inc();
    }
}

/// How a route writes what happens to an answer.
pub(super) trait Told: Send + 'static {
    /// The passages are known, or there is more text.
    fn news(&mut self, event: AnswerEvent) -> Vec<Result<Event, axum::Error>>;

    /// The answer is whole.
    fn end(&mut self, answer: Answer) -> Vec<Result<Event, axum::Error>>;

    /// It broke off.
    fn broken(&mut self, error: AnswerError) -> Result<Event, axum::Error>;
}

/// Waits until something is known of the answer, and then streams what `told` makes of it.
pub(super) async fn stream(api: &Api, told: impl Told, mut answer: AnswerStream) -> Result<Response, Problem> {
    let mut measured = Measured::new(api.clone());
    // A stream goes on for as long as its provider writes: in the place of a question it would keep questions out.
    let place = api.enter(Class::Streams)?;
    let first = answer.next().await.unwrap_or(Err(AnswerError::Interrupted));
    if let Err(error) = first {
        measured.failed();
        return Err(error.into());
    }
    let rest = answer.chain(stream::iter([Err(AnswerError::Interrupted)]));
    let state = Some((Streamed { told, measured, _place: place }, Box::pin(stream::iter([first]).chain(rest))));
    let events = stream::unfold(state, |state| async {
        let (mut streamed, mut answer) = state?;
        let (events, is_last) = streamed.events(answer.next().await?);
        Some((stream::iter(events), (!is_last).then_some((streamed, answer))))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("the answer is being written");
    let mut response = Sse::new(events.flatten()).keep_alive(heartbeat).into_response();
    // Proxies that collect a response before they pass it on would make a stream of one piece.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What belongs to one streamed answer until its last event is sent.
struct Streamed<T> {
    told: T,
    measured: Measured,
    _place: Place,
}

impl<T: Told> Streamed<T> {
    /// What is sent of an event, and whether it is the last one.
    fn events(&mut self, event: Result<AnswerEvent, AnswerError>) -> (Vec<Result<Event, axum::Error>>, bool) {
        match event {
            Ok(AnswerEvent::Finished(answer)) => {
                self.measured.answered(&answer);
                (self.told.end(*answer), true)
            }
            Ok(news) => (self.told.news(news), false),
            Err(error) => {
                self.measured.failed();
                (vec![self.told.broken(error)], true)
            }
        }
    }
}
