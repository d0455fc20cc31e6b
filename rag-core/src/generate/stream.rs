//! An answer while it is written.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::AnswerError;
use crate::model::{Answer, Citation};

/// Events that may wait for a slow reader; then the provider waits, too.
const WAITING: usize = 32;

/// What happens to an answer, in this order: `Found` once, any number of `Text`, `Finished` once. An error may end it anywhere.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerEvent {
    /// The passages are known; the text will refer to them by number. Empty when the answer is a refusal.
    Found {
        /// Names the answer.
        id: Uuid,
        /// Best first.
        citations: Vec<Citation>,
        /// How many chunks were searched.
        searched: u64,
    },
    /// The next piece of the text. All pieces together are the answer's text.
    Text(String),
    /// The whole answer, checked.
    Finished(Box<Answer>),
}

/// The events of one answer. Dropping it ends the work that is done for it, the provider's call included.
#[derive(Debug)]
pub struct AnswerStream(mpsc::Receiver<Result<AnswerEvent, AnswerError>>);

impl Stream for AnswerStream {
    type Item = Result<AnswerEvent, AnswerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// The writing end.
#[derive(Debug, Clone)]
pub(super) struct Events(mpsc::Sender<Result<AnswerEvent, AnswerError>>);

/// Both ends.
pub(super) fn channel() -> (Events, AnswerStream) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Events(sender), AnswerStream(receiver))
}

impl Events {
    /// Waits for a slow reader. When the reader is gone, whoever watches `closed` ends the work.
    pub(super) async fn send(&self, event: Result<AnswerEvent, AnswerError>) {
        let _gone = self.0.send(event).await;
    }

    /// Returns when the reader is gone.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}
