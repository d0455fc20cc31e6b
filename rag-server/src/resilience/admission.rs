//! Who is let in: a bounded number of requests, a bounded number of bytes that all their bodies may hold together, and one evaluation.
//!
//! Nobody waits here. Whoever finds no room is told to come back, so that a queue never hides an overload.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for requests and for their bodies.
#[derive(Debug, Clone)]
pub struct Admission {
    room: usize,
    requests: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
    evaluations: Arc<Semaphore>,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Admission {
    /// Room for this many requests and bytes.
    pub fn new(requests: usize, body_bytes: usize) -> Self {
        let room = |wanted: usize| Arc::new(Semaphore::new(wanted.min(Semaphore::MAX_PERMITS)));
        Self {
            room: requests.min(Semaphore::MAX_PERMITS),
            requests: room(requests),
            body_bytes: room(body_bytes),
            evaluations: room(1),
        }
    }

    /// Room for one request, if there is any.
    pub fn request(&self) -> Option<Permit> {
        Arc::clone(&self.requests).try_acquire_owned().ok().map(Permit)
    }

    /// Requests that have room now.
    pub fn in_flight(&self) -> usize {
        self.room - self.requests.available_permits()
    }

    /// Room for an evaluation, which asks question after question: two at once would crowd out people.
    pub fn evaluation(&self) -> Option<Permit> {
        Arc::clone(&self.evaluations).try_acquire_owned().ok().map(Permit)
    }

    /// Room for a body of this size, if there is any.
    pub fn body(&self, bytes: usize) -> Option<Permit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.body_bytes).try_acquire_many_owned(bytes).ok().map(Permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_comes_back() {
        let admission = Admission::new(1, 10);
        let first = admission.request();
        assert!(first.is_some());
        assert!(admission.request().is_none());
        assert_eq!(admission.in_flight(), 1);
        drop(first);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.request().is_some());

        let body = admission.body(7);
        assert!(body.is_some());
        assert!(admission.body(4).is_none());
        assert!(admission.body(3).is_some());
        drop(body);
        assert!(admission.body(10).is_some());
        assert!(admission.body(11).is_none());
    }
}
