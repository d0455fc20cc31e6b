//! A completion in pieces: server-sent events, each with a chunk, the last one `[DONE]`.

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::models::CHAT,
    Head,
    response::{Extension, Usage},
};
use crate::{model::Answer, resilience::Permit};

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

/// The chunks of an answer, word by word.
fn chunks(head: &Head, answer: Answer, usage: Option<Usage>) -> Vec<Chunk> {
    let (text, extension) = Extension::apart(answer);
    let opening = Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() };
    let words = text.split_inclusive(' ').map(|word| Delta { content: Some(word.to_owned()), ..Delta::default() });
    let end = Delta { ragops: Some(extension), ..Delta::default() };
    let pieces = std::iter::once(opening).chain(words).map(|delta| head.piece(delta, None));
    let end = [head.piece(end, Some("stop"))].into_iter();
    pieces.chain(end).chain(usage.map(|usage| head.chunk(Vec::new(), Some(usage)))).collect()
}

/// The events of an answer. The room is kept until the last of them is sent.
pub(super) fn events(
    head: Head,
    answer: Answer,
    usage: Option<Usage>,
    room: Permit,
) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let chunks = stream::iter(chunks(&head, answer, usage)).map(|chunk| Event::default().json_data(chunk));
    let events = chunks.chain(stream::iter([Ok(Event::default().data(DONE))]));
    Sse::new(events.map(move |event| {
        let _kept = &room;
        event
    }))
    .keep_alive(KeepAlive::default())
}
