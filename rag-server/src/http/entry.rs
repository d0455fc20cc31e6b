//! The place of a request: which class it is of, and when it takes a place there.
//!
//! Guarantee: a client that sends its request slowly holds no place meanwhile. Whoever finds its class full is refused at once, and counted.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{Extensions, Method};

use super::{
    error::{Code, Problem},
    mcp,
    state::Api,
};
use crate::resilience::{Arriving, Class, Full, Place};

/// The class of a request, by its method and the path or the route; none for what only calls other routes.
pub(super) fn class_of(method: &Method, path: &str) -> Option<Class> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let mut segments = path.split('/').skip(1);
    Some(match (segments.next().unwrap_or_default(), segments.next().unwrap_or_default()) {
        ("query" | "search", _) | ("v1", "chat") => Class::Questions,
        ("v1", "embeddings" | "rerank") => Class::Texts,
        ("ingest" | "prune", _) => Class::Ingests,
        ("documents", _) if !reads => Class::Ingests,
        ("ops" | "admin", _) => Class::Admin,
        _ if path == mcp::PATH => return None,
        _ => Class::Records,
    })
}

/// A request on its way to a place of its class, and then with it. The place is given back when the last copy is dropped or it is told to leave.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    class: Class,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Arriving(#[expect(dead_code, reason = "counts until it is dropped")] Arriving),
    Entered(#[expect(dead_code, reason = "is held until it is dropped")] Place),
    Left,
}

impl Entry {
    /// Of a request whose body has yet to come; refused while its class is full.
    pub(super) fn begin(api: &Api, class: Class) -> Result<Self, Problem> {
        api.admission.may_enter(class).map_err(|full| refused(api, full))?;
        Ok(Self { class, state: Arc::new(Mutex::new(State::Arriving(api.admission.arrive()))) })
    }

    /// Takes the place; once it has one, nothing more.
    pub(super) fn enter(&self, api: &Api) -> Result<(), Problem> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Arriving(_)) {
            *state = State::Entered(api.enter(self.class)?);
        }
        Ok(())
    }

    /// Gives the place back, whoever still has a copy.
    pub(super) fn leave(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Left;
    }
}

/// The body of a request is there: it takes its place.
pub(super) fn arrived(api: &Api, extensions: &Extensions) -> Result<(), Problem> {
    extensions.get::<Entry>().map_or(Ok(()), |entry| entry.enter(api))
}

impl Api {
    /// A place in a class, or the problem that says when to come again.
    pub(super) fn enter(&self, class: Class) -> Result<Place, Problem> {
        self.admission.enter(class).map_err(|full| refused(self, full))
    }
}

fn refused(api: &Api, Full { class, retry_after }: Full) -> Problem {
    api.metrics.doors.shed.with_label_values(&[class.as_str()]).inc();
    let detail = match class {
        Class::Questions => "too many questions are being answered; try again",
        Class::Streams => "too many answers are being streamed; try again, or ask without \"stream\"",
        Class::Ingests => "too many documents are coming in at once; try again",
        Class::Texts => "too many texts are being embedded or ranked; try again",
        Class::Records => "too much is being looked up at once; try again",
        Class::Admin => "too much is asked about the server at once; try again",
    };
    Problem::new(Code::Overloaded, detail).retry_after(retry_after)
}
