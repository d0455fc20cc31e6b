//! Who is let in: a bounded number of requests, a bounded number of bytes that all their bodies may hold together, and one evaluation.
//!
//! Nobody waits here. Whoever finds no room is told to come back, so that a queue never hides an overload.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a large body brings. Each kind has room of its own, so that whoever may only read never keeps documents out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// Documents, which come to stay.
    Documents,
    /// Texts to compute something of, once.
    Texts,
}

/// Room for requests and for their bodies.
#[derive(Debug, Clone)]
pub struct Admission {
    room: usize,
    requests: Arc<Semaphore>,
    documents: Arc<Semaphore>,
    texts: Arc<Semaphore>,
    evaluations: Arc<Semaphore>,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Holds more room of the same kind.
    pub fn join(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

impl Admission {
    /// Room for this many requests, and for bodies of this many bytes; for those of texts half as many.
    pub fn new(requests: usize, body_bytes: usize) -> Self {
        let room = |wanted: usize| Arc::new(Semaphore::new(wanted.min(Semaphore::MAX_PERMITS)));
        Self {
            room: requests.min(Semaphore::MAX_PERMITS),
            requests: room(requests),
            documents: room(body_bytes),
            texts: room(body_bytes / 2),
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

    /// Room for so many bytes of a body, if there is any.
    pub fn body(&self, kind: Bodies, bytes: usize) -> Option<Permit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(self.bodies(kind)).try_acquire_many_owned(bytes).ok().map(Permit)
    }

    /// Bytes of such bodies for which there is room now.
    pub fn free(&self, kind: Bodies) -> usize {
        self.bodies(kind).available_permits()
    }

    fn bodies(&self, kind: Bodies) -> &Arc<Semaphore> {
        match kind {
            Bodies::Documents => &self.documents,
            Bodies::Texts => &self.texts,
        }
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

        let mut body = admission.body(Bodies::Documents, 5).unwrap();
        body.join(admission.body(Bodies::Documents, 2).unwrap());
        assert_eq!(admission.free(Bodies::Documents), 3);
        assert!(admission.body(Bodies::Documents, 4).is_none());
        assert!(admission.body(Bodies::Documents, 3).is_some());
        drop(body);
        assert!(admission.body(Bodies::Documents, 10).is_some());
        assert!(admission.body(Bodies::Documents, 11).is_none());
    }

    #[test]
    fn texts_leave_documents_their_room_and_documents_leave_texts_theirs() {
        let admission = Admission::new(1, 10);
        let texts = admission.body(Bodies::Texts, 5);
        assert!(texts.is_some() && admission.body(Bodies::Texts, 1).is_none());
        let documents = admission.body(Bodies::Documents, 10);
        drop(texts);
        assert!(documents.is_some() && admission.body(Bodies::Texts, 5).is_some());
    }
}
