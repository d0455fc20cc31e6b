//! Leaves out what a reasoning model thinks aloud: `<think> ... </think>` at the beginning of its answer, as services without a parser for it pass it on.
//!
//! Pure but for the stream that it passes on. Only the beginning is looked at: the same words later in an answer are part of it.

use futures::{StreamExt, future, stream, stream::BoxStream};

use crate::ports::{ChatError, ChatPiece};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// How far an answer is.
enum Speech {
    /// It may begin with a thought: what was said so far is held back.
    Open(String),
    /// A thought; the last of it is kept, because its end may be cut in two.
    Thought(String),
    /// A thought ended, and nothing but space came since.
    Ended,
    /// The answer.
    Said,
}

/// The same answer without the thought at its beginning.
pub(super) fn left_out(
    pieces: BoxStream<'static, Result<ChatPiece, ChatError>>,
) -> BoxStream<'static, Result<ChatPiece, ChatError>> {
    let mut speech = Speech::Open(String::new());
    let ended = stream::once(future::ready(None));
    let said = move |piece| {
        let said = match piece {
            Some(Ok(ChatPiece::Text(text))) => speech.next(text).map(|text| Ok(ChatPiece::Text(text))),
            Some(other) => Some(other),
            None => speech.rest().map(|text| Ok(ChatPiece::Text(text))),
        };
        future::ready(said)
    };
    pieces.map(Some).chain(ended).filter_map(said).boxed()
}

impl Speech {
    /// What of a further piece is said.
    fn next(&mut self, piece: String) -> Option<String> {
        match self {
            Self::Said => return Some(piece),
            Self::Ended => {
                let said = piece.trim_start();
                if !said.is_empty() {
                    let said = said.to_owned();
                    *self = Self::Said;
                    return Some(said);
                }
            }
            Self::Open(held) => {
                held.push_str(&piece);
                let begun = held.trim_start();
                if let Some(thought) = begun.strip_prefix(OPEN) {
                    let thought = thought.to_owned();
                    *self = Self::Thought(String::new());
                    return self.next(thought);
                }
                if !OPEN.starts_with(begun) {
                    let said = std::mem::take(held);
                    *self = Self::Said;
                    return Some(said);
                }
            }
            Self::Thought(tail) => {
                tail.push_str(&piece);
                if let Some((_, said)) = tail.split_once(CLOSE) {
                    let said = said.to_owned();
                    *self = Self::Ended;
                    return self.next(said);
                }
                let kept = tail.ceil_char_boundary(tail.len().saturating_sub(CLOSE.len()));
                tail.drain(..kept);
            }
        }
        None
    }

    /// What was held back to the end.
    fn rest(&mut self) -> Option<String> {
        match self {
            Self::Open(held) => Some(std::mem::take(held)).filter(|held| !held.is_empty()),
            Self::Thought(_) | Self::Ended | Self::Said => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said of an answer that comes in these pieces.
    fn said(pieces: &[&str]) -> String {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(ChatPiece::Text((*piece).to_owned()))).collect();
        let said: Vec<_> = futures::executor::block_on(left_out(stream::iter(pieces).boxed()).collect());
        let text = |piece| match piece {
            Ok(ChatPiece::Text(text)) => text,
            other => panic!("{other:?}"),
        };
        said.into_iter().map(text).collect()
    }

    #[test]
    fn a_thought_at_the_beginning_is_left_out_and_the_same_words_later_are_not() {
        for (answer, expected) in [
            ("<think>Seven? Let me see.</think>\n\nSeven days. [1]", "Seven days. [1]"),
            ("\n <think></think>Seven.", "Seven."),
            ("Seven <think>days</think>.", "Seven <think>days</think>."),
            ("<thin ice> is no thought", "<thin ice> is no thought"),
            ("<th", "<th"),
            ("<think>never ended", ""),
            ("  Seven.", "  Seven."),
            ("", ""),
        ] {
            assert_eq!(said(&[answer]), expected, "{answer:?}");
        }
    }

    #[test]
    fn errors_and_counts_pass() {
        let pieces = vec![Ok(ChatPiece::Text("<think>".to_owned())), Err(ChatError::CutOff)];
        let said: Vec<_> = futures::executor::block_on(left_out(stream::iter(pieces).boxed()).collect());
        assert_eq!(said, [Err(ChatError::CutOff)]);
    }

    proptest! {
        /// However a service cuts its answer.
        #[test]
        fn what_is_said_does_not_depend_on_the_pieces(cuts in prop::collection::vec(1_usize..9, 1..40)) {
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
            prop_assert_eq!(said(&pieces), "Grüße </think> [1]");
        }
    }
}
