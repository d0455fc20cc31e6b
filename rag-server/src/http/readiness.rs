//! What the server still waits for. Ready once is ready until the drain: a store that fails later shows in answers, never by emptying the Service.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// What must be there once before the server is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The embedding model is loaded.
    Model,
    /// The vector store was reached.
    VectorStore,
    /// The records were reached.
    Records,
    /// The corpus fits the configuration.
    Corpus,
    /// What searches read is in memory, as far as there is room. The last one: requests are taken with it.
    Index,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] = [Self::Model, Self::VectorStore, Self::Records, Self::Corpus, Self::Index];

    /// The part in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "the embedding model",
            Self::VectorStore => "the vector store",
            Self::Records => "the records",
            Self::Corpus => "the corpus",
            Self::Index => "the index",
        }
    }
}

#[derive(Debug)]
struct State {
    waiting: BTreeMap<Part, Option<&'static str>>,
    stopping: bool,
}

/// Tells whether requests are taken.
#[derive(Debug)]
pub struct Readiness(RwLock<State>);

impl Default for Readiness {
    fn default() -> Self {
        let waiting = Part::ALL.into_iter().map(|part| (part, None)).collect();
        Self(RwLock::new(State { waiting, stopping: false }))
    }
}

impl Readiness {
    /// This part is there.
    pub fn arrived(&self, part: Part) {
        self.change(|state| {
            state.waiting.remove(&part);
        });
    }

    /// Everything is there.
    pub fn all_arrived(&self) {
        self.change(|state| state.waiting.clear());
    }

    /// Why a part is not there yet, by the class of the cause.
    pub fn held_by(&self, part: Part, cause: &'static str) {
        self.change(|state| {
            state.waiting.insert(part, Some(cause));
        });
    }

    /// The drain begins.
    pub fn stop(&self) {
        self.change(|state| state.stopping = true);
    }

    /// Whether requests are taken.
    pub fn is_ready(&self) -> bool {
        self.read(|state| state.waiting.is_empty() && !state.stopping)
    }

    /// Whether the drain has begun.
    pub fn is_stopping(&self) -> bool {
        self.read(|state| state.stopping)
    }

    /// What is missing, in words; empty when everything is there.
    pub fn waiting_for(&self) -> Vec<String> {
        let words = |(part, cause): (&Part, &Option<&'static str>)| match cause {
            Some(cause) => format!("{} ({})", part.as_str(), cause.replace('_', " ")),
            None => part.as_str().to_owned(),
        };
        self.read(|state| state.waiting.iter().map(words).collect())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_part_arrived_and_no_drain_began() {
        let readiness = Readiness::default();
        assert_eq!(readiness.waiting_for().len(), Part::ALL.len());
        for part in Part::ALL {
            assert!(!readiness.is_ready());
            readiness.held_by(part, "auth_failed");
            readiness.arrived(part);
        }
        assert!(readiness.is_ready());
        readiness.stop();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn what_holds_a_part_is_said() {
        let readiness = Readiness::default();
        for part in [Part::Model, Part::Records, Part::Corpus, Part::Index] {
            readiness.arrived(part);
        }
        readiness.held_by(Part::VectorStore, "auth_failed");
        assert_eq!(readiness.waiting_for(), ["the vector store (auth failed)"]);
    }
}
