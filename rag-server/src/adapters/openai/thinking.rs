//! Tells what a reasoning model thinks aloud from its answer: `<think> ... </think>` at the beginning, as services without a parser for it pass it on.
//!
//! Pure but for the stream that it passes on. Only the beginning is looked at: the same words later in an answer are part of it.

use futures::{StreamExt, future, stream, stream::BoxStream};

use crate::ports::{ChatError, ChatPiece};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// How far an answer is.
enum Speech {
    /// It may begin with a thought: what was written so far is held back.
    Open(String),
    /// A thought; the last of it is kept, because its end may be cut in two.
    Thought(String),
    /// A thought ended, and nothing but space came since.
    Ended,
    /// The answer.
    Said,
}

/// The same answer, with the thought at its beginning told apart.
pub(super) fn told_apart(
    pieces: BoxStream<'static, Result<ChatPiece, ChatError>>,
) -> BoxStream<'static, Result<ChatPiece, ChatError>> {
    let mut speech = Speech::Open(String::new());
    let ended = stream::once(future::ready(None));
    let told = move |piece| {
        let told: Vec<_> = match piece {
            Some(Ok(ChatPiece::Text(text))) => speech.next(text).into_iter().map(Ok).collect(),
            Some(other) => vec![other],
            None => speech.rest().map(Ok).into_iter().collect(),
        };
        stream::iter(told)
    };
    pieces.map(Some).chain(ended).flat_map(told).boxed()
}

impl Speech {
    /// What a further piece is.
    fn next(&mut self, piece: String) -> Vec<ChatPiece> {
        match self {
            Self::Said => vec![ChatPiece::Text(piece)],
            Self::Ended => {
                let said = piece.trim_start();
                if said.is_empty() {
                    return Vec::new();
                }
                *self = Self::Said;
                vec![ChatPiece::Text(said.to_owned())]
            }
            Self::Open(held) => {
                held.push_str(&piece);
                let begun = held.trim_start();
                if OPEN.starts_with(begun) && begun != OPEN {
                    return Vec::new();
                }
                let is_thought = begun.starts_with(OPEN);
                let held = std::mem::take(held);
                *self = if is_thought { Self::Thought(String::new()) } else { Self::Said };
                self.next(held)
            }
            Self::Thought(tail) => {
                tail.push_str(&piece);
                let Some((_, said)) = tail.split_once(CLOSE) else {
                    let known = tail.ceil_char_boundary(tail.len().saturating_sub(CLOSE.len()));
                    tail.drain(..known);
                    return vec![ChatPiece::Thought(piece)];
                };
                let said = said.to_owned();
                let thought = piece[..piece.len() - said.len()].to_owned();
                *self = Self::Ended;
                [vec![ChatPiece::Thought(thought)], self.next(said)].concat()
            }
        }
    }

    /// What was held back to the end.
    fn rest(&mut self) -> Option<ChatPiece> {
        match self {
            Self::Open(held) if !held.is_empty() => Some(ChatPiece::Text(std::mem::take(held))),
            Self::Open(_) | Self::Thought(_) | Self::Ended | Self::Said => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is thought and what is said in an answer that comes in these pieces.
    fn told(pieces: &[&str]) -> (String, String) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(ChatPiece::Text((*piece).to_owned()))).collect();
        let told: Vec<_> = futures::executor::block_on(told_apart(stream::iter(pieces).boxed()).collect());
        let (mut thought, mut said) = (String::new(), String::new());
        for piece in told {
            match piece {
                Ok(ChatPiece::Thought(text)) => thought.push_str(&text),
                Ok(ChatPiece::Text(text)) => said.push_str(&text),
                other => panic!("{other:?}"),
            }
        }
        (thought, said)
    }

    #[test]
    fn a_thought_at_the_beginning_is_told_apart_and_the_same_words_later_are_not() {
        for (answer, thought, said) in [
            ("<think>Let me see.</think>\n\nSeven days. [1]", "<think>Let me see.</think>", "Seven days. [1]"),
            ("\n <think></think>Seven.", "\n <think></think>", "Seven."),
            ("Seven <think>days</think>.", "", "Seven <think>days</think>."),
            ("<thin ice> is no thought", "", "<thin ice> is no thought"),
            ("<th", "", "<th"),
            ("<think>", "<think>", ""),
            ("<think>never ended", "<think>never ended", ""),
            ("  Seven.", "", "  Seven."),
            ("", "", ""),
        ] {
            assert_eq!(told(&[answer]), (thought.to_owned(), said.to_owned()), "{answer:?}");
        }
    }

    #[test]
    fn errors_and_counts_pass() {
        let pieces = vec![Ok(ChatPiece::Text("<think>".to_owned())), Err(ChatError::CutOff)];
        let told: Vec<_> = futures::executor::block_on(told_apart(stream::iter(pieces).boxed()).collect());
        assert_eq!(told, [Ok(ChatPiece::Thought("<think>".to_owned())), Err(ChatError::CutOff)]);
    }

    proptest! {
        /// However a service cuts its answer.
        #[test]
        fn what_is_told_does_not_depend_on_the_pieces(cuts in prop::collection::vec(1_usize..9, 1..40)) {
            let answer = "<think>日本? </thin </think>\n Grüße </think> [1]";
            let (mut rest, mut pieces) = (answer, Vec::new());
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at(rest.ceil_char_boundary(cut.min(rest.len())));
                pieces.push(head);
                rest = tail;
            }
            prop_assert_eq!(told(&pieces), ("<think>日本? </thin </think>".to_owned(), "Grüße </think> [1]".to_owned()));
        }
    }
}
