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
use jiff::Timestamp;

use super::{
    error::{Code, Problem},
    observe::RequestId,
    state::Api,
};
use crate::{
    generate::{AnswerError, AnswerEvent, AnswerStream},
    model::Answer,
    operations::{self, SlowQuery, StageTime},
    resilience::{Class, Place},
};

/// How often a comment tells proxies and clients that the answer is still written; it also finds out that a client is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Counts one question, however it ends.
pub(super) struct Measured {
    api: Api,
    request_id: String,
    began: Instant,
    outcome: &'static str,
    provider_seconds: f64,
    /// Where the time of its answer went, if it was slow.
    stages: Vec<StageTime>,
}

impl Measured {
    pub(super) fn new(api: Api, request_id: String) -> Self {
        let (began, provider_seconds, stages) = (Instant::now(), 0.0, Vec::new());
        // What is dropped without an end was given up by its caller.
        Self { api, request_id, began, outcome: "abandoned", provider_seconds, stages }
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        self.outcome = answer.status.as_str();
        self.provider_seconds = answer.generation.provider_millis as f64 / 1000.0;
        let took = self.began.elapsed();
        if operations::is_slow(took, self.api.server.slow_query()) {
            self.stages = operations::stages(answer, took);
        }
    }

    pub(super) fn failed(&mut self) {
        self.outcome = "failed";
    }

    /// A stream ended with an error: the request's own line, which was written when it began, could not tell.
    fn broke_off(&mut self, code: Code) {
        self.failed();
        let (request_id, cause) = (self.request_id.as_str(), code.slug());
        tracing::info!(request_id, cause, "a stream broke off");
        self.api.metrics.looks.errors.with_label_values(&[cause]).inc();
    }

    /// Of an answer that was waited for.
    pub(super) fn ended(&mut self, answer: &Result<Answer, AnswerError>) {
        match answer {
            Ok(answer) => self.answered(answer),
            Err(_) => self.failed(),
        }
    }

    /// Tells of a slow question: counts it, logs it, and keeps it among the last ones.
    fn was_slow(&mut self, took: Duration) {
        let (request_id, outcome) = (std::mem::take(&mut self.request_id), self.outcome);
        let stages = std::mem::take(&mut self.stages);
        let seconds = |took: Duration| (took.as_secs_f64() * 1000.0).round() / 1000.0;
        let told: Vec<_> = stages.iter().map(|stage| format!("{} {}", stage.name, seconds(stage.took))).collect();
        tracing::warn!(request_id, outcome, seconds = seconds(took), stages = told.join(", "), "a question was slow");
        self.api.metrics.looks.slow_queries.with_label_values(&[outcome]).inc();
        self.api.operations.was_slow(SlowQuery { at: Timestamp::now(), request_id, outcome, took, stages });
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let own = (took.as_secs_f64() - self.provider_seconds).max(0.0);
        if self.outcome != "abandoned" {
            self.api.metrics.server_seconds.observe(own);
        }
        self.api.metrics.query_outcomes.with_label_values(&[self.outcome]).inc();
        if operations::is_slow(took, self.api.server.slow_query()) {
            self.was_slow(took);
        }
    }
}

/// How a route writes what happens to an answer.
pub(super) trait Told: Send + 'static {
    /// The passages are known, or there is more text.
    fn news(&mut self, event: AnswerEvent) -> Vec<Result<Event, axum::Error>>;

    /// The answer is whole.
    fn end(&mut self, answer: Answer) -> Vec<Result<Event, axum::Error>>;

    /// It broke off.
    fn broken(&mut self, problem: &Problem) -> Result<Event, axum::Error>;
}

/// Waits until something is known of the answer, and then streams what `told` makes of it.
pub(super) async fn stream(
    api: &Api,
    RequestId(id): RequestId,
    told: impl Told,
    mut answer: AnswerStream,
) -> Result<Response, Problem> {
    let mut measured = Measured::new(api.clone(), id);
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
                let problem = Problem::from(error);
                self.measured.broke_off(problem.code);
                (vec![self.told.broken(&problem)], true)
            }
        }
    }
}
