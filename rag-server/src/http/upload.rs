//! A request's body that the server keeps an eye on while a handler reads it.
//!
//! Why: whether a request that took too long had arrived at all decides between 408 and 504; and an answer that is sent while the client still sends would be lost in a connection reset.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
};
use futures::{Stream, StreamExt, stream};

/// Most that is thrown away for a client that was refused before its body was read.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

#[derive(Debug)]
struct State {
    body: BodyDataStream,
    ended: bool,
}

/// A handle on the body of a request that is being handled.
#[derive(Debug, Clone)]
pub(super) struct Upload(Option<Arc<Mutex<State>>>);

impl Upload {
    /// The request with a watched body. A request without a body has nothing to watch.
    pub(super) fn watch(request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            return (Request::from_parts(parts, body), Self(None));
        }
        let upload = Self(Some(Arc::new(Mutex::new(State { body: body.into_data_stream(), ended: false }))));
        let reader = upload.clone();
        let body = Body::from_stream(stream::poll_fn(move |cx| reader.poll_next(cx)));
        (Request::from_parts(parts, body), upload)
    }

    /// Whether the whole body arrived, or there was none.
    pub(super) fn arrived(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.lock().unwrap_or_else(PoisonError::into_inner).ended)
    }

    /// Reads what is left and throws it away, up to a limit.
    pub(super) async fn discard(&self) {
        let rest = stream::poll_fn(|cx| self.poll_next(cx));
        let mut left = MAX_DISCARDED;
        let mut rest = std::pin::pin!(rest);
        while let Some(Ok(chunk)) = rest.next().await {
            match left.checked_sub(chunk.len()) {
                Some(remaining) => left = remaining,
                None => return,
            }
        }
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let Some(state) = &self.0 else { return Poll::Ready(None) };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return Poll::Ready(None);
        }
        let next = Pin::new(&mut state.body).poll_next(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            state.ended = true;
        }
        next
    }
}
