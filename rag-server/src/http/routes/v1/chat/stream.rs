//! A completion while it is written: server-sent events, each with a chunk, the last one `[DONE]`.

use axum::response::sse::Event;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::models::CHAT,
    About, Head,
    response::{Extension, Usage, finish_reason},
};
use crate::{
    generate::AnswerEvent,
    http::{answering::Told, error::Problem, openai},
    model::Answer,
};

/// Ends a stream.
const DONE: &str = "[DONE]";

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
    /// What was read and written, in the last chunk; null before, and absent unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    usage: Option<Option<Usage>>,
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
    /// `stop` in the last piece, or `length` or `content_filter` when the provider's text is not whole; null before.
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

impl About {
    fn chunk(&self, choices: Vec<Piece>, usage: Option<Usage>) -> Chunk {
        let Head { id, created } = self.head.clone();
        let usage = self.include_usage.then_some(usage);
        Chunk { id, object: "chat.completion.chunk", created, model: CHAT, choices, usage }
    }

    fn piece(&self, delta: Delta, finish_reason: Option<&'static str>) -> Chunk {
        self.chunk(vec![Piece { index: 0, delta, logprobs: None, finish_reason }], None)
    }
}

impl Told for About {
    fn news(&mut self, event: AnswerEvent) -> Vec<Result<Event, axum::Error>> {
        let delta = match event {
            AnswerEvent::Found { .. } => {
                Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() }
            }
            AnswerEvent::Text(text) => Delta { content: Some(text), ..Delta::default() },
            AnswerEvent::Finished(answer) => return self.end(*answer),
        };
        vec![json(self.piece(delta, None))]
    }

    fn end(&mut self, answer: Answer) -> Vec<Result<Event, axum::Error>> {
        let usage = self.include_usage.then(|| self.usage(&answer));
        let finish_reason = finish_reason(&answer);
        let (_, extension) = Extension::apart(answer);
        let end = self.piece(Delta { ragops: Some(extension), ..Delta::default() }, Some(finish_reason));
        let usage = usage.map(|usage| self.chunk(Vec::new(), Some(usage)));
        let chunks = std::iter::once(end).chain(usage).map(json);
        chunks.chain([Ok(Event::default().data(DONE))]).collect()
    }

    fn broken(&mut self, problem: &Problem) -> Result<Event, axum::Error> {
        Event::default().json_data(openai::document(problem))
    }
}

fn json(chunk: Chunk) -> Result<Event, axum::Error> {
    Event::default().json_data(chunk)
}
