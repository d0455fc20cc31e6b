//! How often each value of a credential was accepted since the process began, and when last.
//!
//! Guarantee: the uses are those of the value and not of its generation. A value keeps them when the next one takes its place, and when its file is away for a moment, so that an old key that was used never looks like one that nobody used.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use super::Credential;

/// How often a value was accepted, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uses {
    /// How often.
    pub count: u64,
    /// When last; none before the first time.
    pub last: Option<Timestamp>,
}

/// The uses of every value that was used, by the credential's name and the value's fingerprint.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<HashMap<(String, String), Uses>>);

impl Used {
    /// It was accepted.
    pub(super) fn note(&self, credential: &Credential, now: Timestamp) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uses = used.entry(place(credential)).or_default();
        *uses = Uses { count: uses.count.saturating_add(1), last: Some(now) };
    }

    /// How often it was, and when last.
    pub(super) fn of(&self, credential: &Credential) -> Uses {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&place(credential)).copied().unwrap_or_default()
    }
}

fn place(credential: &Credential) -> (String, String) {
    (credential.name.clone(), credential.fingerprint())
}
