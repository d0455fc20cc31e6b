//! A request of a connection and its answer, until the last byte of it is taken from the handler.
//!
//! A client of HTTP/2 may read its connection and yet take nothing of one answer, so that what is not taken is watched here, answer by answer.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
};
use hyper::{
    Version,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
};
use prometheus::IntCounter;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::room::{Answering, Full, Place};

/// What answers the requests of one connection; cheap to clone.
#[derive(Clone)]
pub(super) struct Answers {
    /// What is served.
    pub(super) router: Router,
    /// What is said when as much is answered already as may be.
    pub(super) refusal: Router,
    /// Counts that, for the port and for the address.
    pub(super) refused: [IntCounter; 2],
    /// Answers of this connection that are not taken.
    pub(super) unread: Unread,
}

impl Answers {
    /// Has a request answered; the connection counts as in use until the last byte of the answer is taken from the handler.
    pub(super) async fn answer(
        self,
        place: Arc<Place>,
        peer: SocketAddr,
        leaving: CancellationToken,
        mut request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Held>, Infallible> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let is_one = request.version() <= Version::HTTP_11;
        let (router, answering) = match place.answer() {
            Ok(answering) => (self.router, Some(answering)),
            Err(full) => {
                let [port, address] = self.refused;
                if full == Full::Port {
                    port.inc()
                } else {
                    address.inc()
                }
                (self.refusal, None)
            }
        };
        let mut response = router.oneshot(request).await?;
        // HTTP/2 has a frame for that, which is sent when the port stops.
        if is_one && leaving.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Held { body, given: self.unread.begin(), _answering: answering }))
    }
}

/// The answers of a connection of which the next piece is not asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

impl Unread {
    /// An answer whose first piece is there to be asked for.
    fn begin(&self) -> Given {
        let mut given = Given { unread: self.clone(), id: None };
        given.begin();
        given
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves once a client left an answer alone for so long.
    pub(super) async fn for_too_long(&self, patience: Duration) {
        loop {
            // In the order in which they began to wait.
            let oldest = self.waiting().since.values().next().copied();
            let now = Instant::now();
            match oldest.map(|since| since + patience) {
                Some(until) if until <= now => return,
                Some(until) => sleep_until(until).await,
                None => sleep_until(now + patience).await,
            }
        }
    }
}

/// A piece of an answer was given, or there is none yet, while no other one is asked for.
#[derive(Debug)]
struct Given {
    unread: Unread,
    id: Option<u64>,
}

impl Given {
    fn begin(&mut self) {
        let mut waiting = self.unread.waiting();
        let id = waiting.next;
        waiting.next += 1;
        waiting.since.insert(id, Instant::now());
        self.id = Some(id);
    }

    fn end(&mut self) {
        if let Some(id) = self.id.take() {
            self.unread.waiting().since.remove(&id);
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.end();
    }
}

/// A body, and what is held until it is sent.
pub(super) struct Held {
    body: Body,
    given: Given,
    _answering: Option<Answering>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let held = self.get_mut();
        held.given.end();
        let polled = Pin::new(&mut held.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            held.given.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_left_alone_is_noticed_and_one_that_is_waited_for_is_not() {
        let unread = Unread::default();
        let began = Instant::now();
        let mut taken = unread.begin();
        let reads = async {
            // Each piece is taken in time; the next one takes the handler long.
            for _ in 0..10 {
                tokio::time::sleep(PATIENCE / 2).await;
                taken.end();
                tokio::time::sleep(PATIENCE * 3).await;
                taken.begin();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = unread.for_too_long(PATIENCE) => {}
            () = reads => {}
        }
        // Ten pieces, and after the last one nothing for as long as is waited.
        assert_eq!(began.elapsed().as_secs(), (PATIENCE * 35 + PATIENCE).as_secs());
        drop(taken);
        assert!(unread.for_too_long(PATIENCE).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_nothing_is_ever_taken_is_noticed() {
        let (unread, began) = (Unread::default(), Instant::now());
        let _given = unread.begin();
        tokio::time::timeout(PATIENCE * 2, unread.for_too_long(PATIENCE)).await.unwrap();
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
