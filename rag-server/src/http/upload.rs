//! A request's body that the server keeps an eye on while a handler reads it.
//!
//! Why: whether a request that took too long had arrived at all decides between 408 and 504; an answer that is sent while the client still sends would be lost in a connection reset; and a client that
//! sends next to nothing may not keep a place for as long as a request may take.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::header,
};
use futures::{Future, Stream, StreamExt, stream};
use tokio::time::{Instant, Sleep, sleep_until};

/// Most that is thrown away for a client that was refused before its body was read.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

/// How long a client is waited for before it is asked how much it sent meanwhile.
pub(super) const SPAN: Duration = Duration::from_secs(10);

/// Bytes that must have come within a [`SPAN`]; the slowest line that anybody would send over brings more.
pub(super) const LEAST: usize = 8 * 1024;

#[derive(Debug)]
struct State {
    body: BodyDataStream,
    /// Its client sends nothing before somebody reads: that is how it is told to go on.
    waits_for_us: bool,
    ended: bool,
    pace: Pace,
    stalled: bool,
    /// Wakes the reader at the end of a span.
    timer: Option<Pin<Box<Sleep>>>,
}

/// How much came since when; nothing is counted before a client is waited for.
#[derive(Debug, Default)]
struct Pace {
    span: Option<(Instant, usize)>,
}

impl Pace {
    fn came(&mut self, bytes: usize) {
        if let Some((_, sum)) = &mut self.span {
            *sum += bytes;
        }
    }

    /// Nothing has come now: when to ask again, or none where too little came for too long.
    fn wait(&mut self, now: Instant) -> Option<Instant> {
        let (began, came) = *self.span.get_or_insert((now, 0));
        if now.duration_since(began) < SPAN {
            return Some(began + SPAN);
        }
        self.span = Some((now, 0));
        (came >= LEAST).then(|| now + SPAN)
    }
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
        let body = body.into_data_stream();
        let waits_for_us = parts.headers.contains_key(header::EXPECT);
        let state = State { body, waits_for_us, ended: false, pace: Pace::default(), stalled: false, timer: None };
        let upload = Self(Some(Arc::new(Mutex::new(state))));
        let reader = upload.clone();
        let body = Body::from_stream(stream::poll_fn(move |cx| reader.poll_next(cx)));
        (Request::from_parts(parts, body), upload)
    }

    /// Whether the whole body arrived, or there was none.
    pub(super) fn arrived(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.lock().unwrap_or_else(PoisonError::into_inner).ended)
    }

    /// Whether its client sent so little that it was given up.
    pub(super) fn stalled(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.lock().unwrap_or_else(PoisonError::into_inner).stalled)
    }

    /// Reads what is left and throws it away, up to a limit. A client that waits to be told to go on is not told so only for that.
    pub(super) async fn discard(&self) {
        if self.waits_for_us() {
            return;
        }
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

    fn waits_for_us(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.lock().unwrap_or_else(PoisonError::into_inner).waits_for_us)
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let Some(state) = &self.0 else { return Poll::Ready(None) };
        state.lock().unwrap_or_else(PoisonError::into_inner).poll_next(cx)
    }
}

impl State {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        self.waits_for_us = false;
        if self.ended || self.stalled {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_next(cx) {
            Poll::Ready(next) => {
                match &next {
                    Some(Ok(bytes)) => self.pace.came(bytes.len()),
                    None | Some(Err(_)) => self.ended = true,
                }
                Poll::Ready(next)
            }
            Poll::Pending => {
                ready!(self.poll_stalled(cx));
                self.stalled = true;
                Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))))
            }
        }
    }

    /// Ready when too little came for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(until) = self.pace.wait(Instant::now()) {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_given_up_when_a_whole_span_brings_next_to_nothing() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        // What comes without being waited for is no span.
        pace.came(1);
        assert_eq!(pace.wait(at(5)), Some(at(15)));
        pace.came(LEAST - 1);
        assert_eq!(pace.wait(at(14)), Some(at(15)));
        pace.came(1);
        assert_eq!(pace.wait(at(15)), Some(at(25)), "so much is enough, and another span begins");
        pace.came(LEAST - 1);
        assert_eq!(pace.wait(at(25)), None);
    }
}
