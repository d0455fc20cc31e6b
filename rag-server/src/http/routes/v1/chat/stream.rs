//! A completion while it is written: server-sent events, each with a chunk, the last one `[DONE]`.
//!
//! What fails before the first piece is an ordinary error with its status; what fails later is an event with the error, after which nothing comes. A client that goes away drops the stream, and with it the provider's call.

use std::{pin::Pin, time::Duration};

use axum::{
    http::HeaderValue,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::models::CHAT,
    Head, Told,
    response::{Extension, Usage},
};
use crate::{
    generate::{AnswerError, AnswerEvent, AnswerStream},
    http::{error::Problem, openai},
    resilience::Permit,
};

/// Ends a stream.
const DONE: &str = "[DONE]";

/// How often a comment tells proxies that the answer is still written; it also finds out that a client is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A piece of a completion.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatCompletionChunk)]
pub(in super::super) struct Chunk {
    /// The completion's id, the same in each chunk.
    id: String,
    /// `chat.completion.chunk`.
    object: &'static str,
    /// When the completion was begun, in seconds since 1970.
    created: i64,
    /// `rag`.
    model: &'static str,
    /// One choice; none in the chunk that tells the usage.
    choices: Vec<Piece>,
    /// What was read and written; only in the last chunk, and only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// A piece of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Piece {
    /// 0.
    index: usize,
    /// What is new.
    delta: Delta,
    /// Always null.
    #[schema(value_type = Option<Object>)]
    logprobs: Option<()>,
    /// `stop` in the last piece, null before.
    finish_reason: Option<&'static str>,
}

/// What is new in a chunk.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in super::super) struct Delta {
    /// `assistant`, in the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// More of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// What the answer rests on, in the chunk with the finish reason. Not in OpenAI's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    ragops: Option<Extension>,
}

impl Head {
    fn chunk(&self, choices: Vec<Piece>, usage: Option<Usage>) -> Chunk {
        let Self { id, created } = self.clone();
        Chunk { id, object: "chat.completion.chunk", created, model: CHAT, choices, usage }
    }

    fn piece(&self, delta: Delta, finish_reason: Option<&'static str>) -> Chunk {
        self.chunk(vec![Piece { index: 0, delta, logprobs: None, finish_reason }], None)
    }
}

/// What belongs to one streamed answer until its last event is sent.
pub(super) struct Streamed {
    pub(super) head: Head,
    pub(super) told: Told,
    pub(super) include_usage: bool,
    pub(super) room: Permit,
}

type Events = Vec<Result<Event, axum::Error>>;

impl Streamed {
    /// Waits until something is known of the answer, and then streams.
    pub(super) async fn respond(mut self, mut answer: AnswerStream) -> Result<Response, Problem> {
        let first = answer.next().await.unwrap_or(Err(AnswerError::Interrupted));
        if let Err(error) = first {
            self.told.ended(&Err(error.clone()));
            return Err(error.into());
        }
        let rest = answer.chain(stream::iter([Err(AnswerError::Interrupted)]));
        let events = Box::pin(stream::iter([first]).chain(rest));
        let mut response =
            Sse::new(self.events(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
        // Proxies that collect a response before they pass it on would make a stream of one piece.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }

    fn events(
        self,
        answer: Pin<Box<dyn Stream<Item = Result<AnswerEvent, AnswerError>> + Send>>,
    ) -> impl Stream<Item = Result<Event, axum::Error>> {
        let events = stream::unfold(Some((self, answer)), |state| async {
            let (mut streamed, mut answer) = state?;
            let (events, is_last) = streamed.told_of(answer.next().await?);
            Some((stream::iter(events), (!is_last).then_some((streamed, answer))))
        });
        events.flatten()
    }

    /// What is sent of an event, and whether it is the last.
    fn told_of(&mut self, event: Result<AnswerEvent, AnswerError>) -> (Events, bool) {
        let _kept = &self.room;
        let json = |chunk: Chunk| Event::default().json_data(chunk);
        match event {
            Ok(AnswerEvent::Found { .. }) => {
                let opening = Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() };
                (vec![json(self.head.piece(opening, None))], false)
            }
            Ok(AnswerEvent::Text(text)) => {
                (vec![json(self.head.piece(Delta { content: Some(text), ..Delta::default() }, None))], false)
            }
            Ok(AnswerEvent::Finished(answer)) => {
                self.told.ended(&Ok((*answer).clone()));
                let usage = self.include_usage.then(|| self.told.usage(&answer));
                let (_, extension) = Extension::apart(*answer);
                let end = self.head.piece(Delta { ragops: Some(extension), ..Delta::default() }, Some("stop"));
                let usage = usage.map(|usage| self.head.chunk(Vec::new(), Some(usage)));
                let chunks = std::iter::once(end).chain(usage).map(json);
                (chunks.chain([Ok(Event::default().data(DONE))]).collect(), true)
            }
            Err(error) => {
                self.told.ended(&Err(error.clone()));
                (vec![Event::default().json_data(openai::document(&Problem::from(error)))], true)
            }
        }
    }
}
