//! A response body to the pieces of an answer: server-sent events, or one JSON document from a service that does not stream.
//!
//! Guarantee: whatever a service sends, at most a bounded number of bytes is read, and an answer that has no end is an error.

use std::{collections::VecDeque, io, pin::Pin};

use futures::{Stream, StreamExt, stream, stream::BoxStream};
use hyper::body::Bytes;
use serde::Deserialize;
use sse_stream::{Sse, SseStream};

use crate::{
    model::Cut,
    outside::{ErrorView, bounded_pieces},
    ports::{ChatError, ChatPiece, Tokens},
};

/// What ends a stream.
const DONE: &str = "[DONE]";
/// Bytes of a stream beside its text: headers of the protocol, usage, comments that keep it alive.
const OVERHEAD_BYTES: usize = 1024 * 1024;
/// Bytes that one token may take: each comes in a JSON document of its own.
const TOKEN_BYTES: usize = 2048;

type Pieces = BoxStream<'static, Result<ChatPiece, ChatError>>;

/// Most bytes that an answer of so many tokens may take.
pub(super) fn most_bytes(max_tokens: u32) -> usize {
    OVERHEAD_BYTES + TOKEN_BYTES.saturating_mul(max_tokens as usize)
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<UsageView>,
    error: Option<ErrorView>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Said>,
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Deserialize)]
struct UsageView {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

fn read(json: &[u8]) -> Result<Document, ChatError> {
    // The parser's message names a place and a type, never the content.
    let garbage = |e: serde_json::Error| ChatError::Garbage { cause: format!("not a completion: {:?}", e.classify()) };
    let document: Document = serde_json::from_slice(json).map_err(garbage)?;
    match document.error {
        None => Ok(document),
        Some(error) => Err(ChatError::Failed {
            status: 200,
            code: error.code().map_or_else(String::new, |code| format!(", {code}")),
        }),
    }
}

fn tokens(usage: UsageView) -> ChatPiece {
    ChatPiece::Tokens(Tokens { prompt: usage.prompt_tokens, completion: usage.completion_tokens })
}

/// What a reason to end says of the text. Vendors have more names for a whole one than for the others.
fn cut(finish_reason: Option<&str>) -> Option<ChatPiece> {
    match finish_reason? {
        "length" | "max_tokens" | "model_length" => Some(ChatPiece::Cut(Cut::Length)),
        "content_filter" => Some(ChatPiece::Cut(Cut::ContentFilter)),
        _ => None,
    }
}

fn too_much(most: usize) -> ChatError {
    ChatError::Garbage { cause: format!("more than {most} bytes") }
}

/// An answer that came as one document.
pub(super) fn whole<E: std::error::Error + Send + Sync + 'static>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    most: usize,
) -> Pieces {
    let read_all = async move {
        let (mut body, mut bytes) = (Box::pin(bounded_pieces(body, most)), Vec::new());
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(e) if e.kind() == io::ErrorKind::FileTooLarge => return vec![Err(too_much(most))],
                Err(_) => return vec![Err(ChatError::CutOff)],
            }
        }
        let document = match read(&bytes) {
            Ok(document) => document,
            Err(error) => return vec![Err(error)],
        };
        let Some(Choice { message: Some(said), finish_reason, .. }) = document.choices.into_iter().next() else {
            return vec![Err(ChatError::Garbage { cause: "a completion without a message".to_owned() })];
        };
        let text = said.content.filter(|text| !text.is_empty()).map(ChatPiece::Text);
        let pieces = text.into_iter().chain(cut(finish_reason.as_deref())).chain(document.usage.map(tokens));
        pieces.map(Ok).collect()
    };
    stream::once(read_all).flat_map(stream::iter).boxed()
}

struct State<S> {
    events: Pin<Box<S>>,
    waiting: VecDeque<Result<ChatPiece, ChatError>>,
    /// The model said that it is done; without that word an end is a break.
    finished: bool,
    ended: bool,
    most: usize,
}

/// An answer that comes as events.
pub(super) fn streamed<E: std::error::Error + Send + Sync + 'static>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    most: usize,
) -> Pieces {
    let events = SseStream::from_bytes_stream(bounded_pieces(body, most));
    let state = State { events: Box::pin(events), waiting: VecDeque::new(), finished: false, ended: false, most };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(piece) = state.waiting.pop_front() {
                return Some((piece, state));
            }
            if state.ended {
                return None;
            }
            let event = state.events.next().await;
            state.take(event);
        }
    })
    .boxed()
}

impl<S> State<S> {
    fn take(&mut self, event: Option<Result<Sse, sse_stream::Error>>) {
        let failure = match event {
            Some(Ok(Sse { data: Some(data), .. })) => match self.document(&data) {
                Ok(()) => return,
                Err(error) => error,
            },
            // An event without data keeps the connection alive.
            Some(Ok(_)) => return,
            Some(Err(error)) => self.broken(&error),
            None if self.finished => {
                self.ended = true;
                return;
            }
            None => ChatError::CutOff,
        };
        self.ended = true;
        self.waiting.push_back(Err(failure));
    }

    fn document(&mut self, data: &str) -> Result<(), ChatError> {
        if data.trim() == DONE {
            self.ended = true;
            return Ok(());
        }
        let document = read(data.as_bytes())?;
        if let Some(choice) = document.choices.into_iter().next() {
            self.finished |= choice.finish_reason.is_some();
            let text = choice.delta.and_then(|said| said.content).filter(|text| !text.is_empty());
            self.waiting
                .extend(text.map(ChatPiece::Text).into_iter().chain(cut(choice.finish_reason.as_deref())).map(Ok));
        }
        self.waiting.extend(document.usage.map(|usage| Ok(tokens(usage))));
        Ok(())
    }

    fn broken(&self, error: &sse_stream::Error) -> ChatError {
        let sse_stream::Error::Body(cause) = error else {
            return ChatError::Garbage { cause: "no server-sent events".to_owned() };
        };
        let too_large = |e: &io::Error| e.kind() == io::ErrorKind::FileTooLarge;
        match cause.downcast_ref::<io::Error>().is_some_and(too_large) {
            true => too_much(self.most),
            false => ChatError::CutOff,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn pieces(make: fn(Body, usize) -> Pieces, chunks: Vec<Vec<u8>>, most: usize) -> Vec<Result<ChatPiece, ChatError>> {
        let body: Body = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)))).boxed();
        futures::executor::block_on(make(body, most).collect())
    }

    type Body = BoxStream<'static, Result<Bytes, Infallible>>;

    fn events(text: &str) -> Vec<Result<ChatPiece, ChatError>> {
        pieces(streamed, vec![text.as_bytes().to_vec()], 1 << 20)
    }

    fn event(body: &serde_json::Value) -> String {
        format!("data: {body}\n\n")
    }

    fn says(text: &str) -> String {
        event(&json!({"choices": [{"delta": {"content": text}}]}))
    }

    fn text(text: &str) -> Result<ChatPiece, ChatError> {
        Ok(ChatPiece::Text(text.to_owned()))
    }

    #[test]
    fn text_and_tokens_come_in_order_and_everything_else_is_passed_over() {
        let body = [
            ": keep alive\n\n",
            &event(&json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]})),
            &says("Kept "),
            &says("7 days."),
            &event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "unknown": {"a": 1}})),
            &event(&json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}})),
            "data: [DONE]\n\n",
            "data: what comes after is not read\n\n",
        ]
        .concat();
        let tokens = Ok(ChatPiece::Tokens(Tokens { prompt: 12, completion: 3 }));
        assert_eq!(events(&body), [text("Kept "), text("7 days."), tokens]);
    }

    #[test]
    fn an_end_without_the_model_s_word_is_a_break() {
        assert_eq!(events(&says("Kept ")), [text("Kept "), Err(ChatError::CutOff)]);
        assert_eq!(events(""), [Err(ChatError::CutOff)]);
        let done = event(&json!({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}));
        assert_eq!(events(&done), [text("x")]);
    }

    #[test]
    fn a_text_that_is_not_whole_says_so_streamed_or_not() {
        for (reason, expected) in [
            ("length", Some(Cut::Length)),
            ("max_tokens", Some(Cut::Length)),
            ("content_filter", Some(Cut::ContentFilter)),
            ("stop", None),
            ("eos", None),
        ] {
            let expected: Vec<_> = [text("x")].into_iter().chain(expected.map(|cut| Ok(ChatPiece::Cut(cut)))).collect();
            let choice = |said: &str| json!({"choices": [{said: {"content": "x"}, "finish_reason": reason}]});
            assert_eq!(events(&event(&choice("delta"))), expected, "{reason}");
            let whole = pieces(whole, vec![choice("message").to_string().into_bytes()], 1 << 20);
            assert_eq!(whole, expected, "{reason}");
        }
    }

    #[test]
    fn garbage_is_told_by_its_kind_and_never_repeated() {
        for garbage in
            ["<html>secret</html>\n\n", "data: {\"secret\"\n\n", "data: [1, \"secret\"]\n\n", "data: \u{0}\n\n"]
        {
            let found = events(garbage);
            assert!(matches!(&*found, [Err(ChatError::Garbage { cause })] if !cause.contains("secret")), "{found:?}");
        }
        let error = event(&json!({"error": {"message": "your key sk-secret", "type": "server_error"}}));
        let found = events(&error);
        assert_eq!(found, [Err(ChatError::Failed { status: 200, code: ", server_error".to_owned() })]);
    }

    #[test]
    fn an_endless_answer_is_cut_at_its_limit() {
        let found = pieces(streamed, vec![b"data: ".to_vec(), vec![b'x'; 5_000], vec![b'x'; 5_000]], 8_000);
        assert_eq!(found, [Err(too_much(8_000))]);
        assert_eq!(pieces(whole, vec![vec![b' '; 9_000]], 8_000), [Err(too_much(8_000))]);
    }

    #[test]
    fn a_service_that_does_not_stream_is_understood() {
        let body = json!({
            "choices": [{"message": {"role": "assistant", "content": "Kept."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        });
        let tokens = Ok(ChatPiece::Tokens(Tokens { prompt: 1, completion: 2 }));
        assert_eq!(pieces(whole, vec![body.to_string().into_bytes()], 1 << 20), [text("Kept."), tokens]);
        for broken in ["{}", "", "{\"choices\": []}"] {
            let found = pieces(whole, vec![broken.as_bytes().to_vec()], 1 << 20);
            assert!(matches!(&*found, [Err(ChatError::Garbage { .. })]), "{found:?}");
        }
    }

    proptest! {
        /// However the network cuts the bytes.
        #[test]
        fn the_pieces_do_not_depend_on_how_the_bytes_arrive(cuts in prop::collection::vec(1_usize..40, 1..60)) {
            let body = [says("Grüße "), says("日本 [1]."), "data: [DONE]\r\n\r\n".to_owned()].concat().into_bytes();
            let (mut rest, mut chunks) = (&*body, Vec::new());
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head.to_vec());
                rest = tail;
            }
            prop_assert_eq!(pieces(streamed, chunks, 1 << 20), [text("Grüße "), text("日本 [1].")]);
        }

        /// Whatever a service sends, it ends, and without a panic.
        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let found = pieces(streamed, vec![bytes.clone()], 1 << 20);
            prop_assert!(found.iter().filter(|piece| piece.is_err()).count() <= 1);
            let _ended = pieces(whole, vec![bytes], 1 << 20);
        }
    }
}
