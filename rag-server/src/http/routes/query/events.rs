//! An answer as server-sent events: `citations`, `text` as often as there is some, `answer` at the end; `error` instead of what did not come.
//!
//! What fails before the first event is an ordinary problem with its status. A client that goes away drops the stream, and with it the provider's call.

use std::time::Duration;

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::{StreamExt, stream};
use serde::Serialize;

use super::{
    Measured, Told,
    response::{CitationsEvent, QueryResponse, TextEvent, views},
};
use crate::{
    generate::{AnswerError, AnswerEvent, AnswerStream},
    http::error::Problem,
    resilience::Permit,
};

/// How often a comment tells proxies and clients that the answer is still written; it also finds out that a client is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What belongs to one streamed answer until its last event is sent.
pub(super) struct Streamed {
    pub(super) told: Told,
    pub(super) room: Permit,
    pub(super) measured: Measured,
}

impl Streamed {
    /// Waits for the first event, and then streams.
    pub(super) async fn respond(mut self, mut answer: AnswerStream) -> Result<Response, Problem> {
        let first = match answer.next().await.unwrap_or(Err(AnswerError::Interrupted)) {
            Ok(first) => first,
            Err(error) => {
                self.measured.ended(&Err(error.clone()));
                return Err(error.into());
            }
        };
        let rest = answer.chain(stream::iter([Err(AnswerError::Interrupted)]));
        let events = stream::iter([Ok(first)]).chain(rest);
        let events = stream::unfold(Some((self, Box::pin(events))), |state| async {
            let (mut streamed, mut events) = state?;
            let event = events.next().await?;
            let (event, is_last) = streamed.event(event);
            Some((event, (!is_last).then_some((streamed, events))))
        });
        let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("the answer is being written");
        let mut response = Sse::new(events).keep_alive(heartbeat).into_response();
        // Proxies that collect a response before they pass it on would make a stream of one piece.
        response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
        Ok(response)
    }

    /// The event, and whether it is the last one.
    fn event(&mut self, event: Result<AnswerEvent, AnswerError>) -> (Result<Event, axum::Error>, bool) {
        let _kept = &self.room;
        match event {
            Ok(AnswerEvent::Found { id, citations, searched }) => {
                (named("citations", &CitationsEvent { id, searched, citations: views(citations) }), false)
            }
            Ok(AnswerEvent::Text(text)) => (named("text", &TextEvent { text }), false),
            Ok(AnswerEvent::Finished(answer)) => {
                self.measured.ended(&Ok((*answer).clone()));
                let told = Told { request_id: self.told.request_id.clone(), explain: self.told.explain };
                (named("answer", &QueryResponse::new(*answer, told)), true)
            }
            Err(error) => {
                self.measured.ended(&Err(error.clone()));
                (named("error", &Problem::from(error).document(&self.told.request_id)), true)
            }
        }
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}
