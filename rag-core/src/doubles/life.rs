//! How a store, or an archive, is told to fail.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::ports::StoreError;

/// How many calls one answers still.
pub(super) struct Life(AtomicI64);

impl Default for Life {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Life {
    /// Answers so many calls from now on.
    pub(super) fn lasts(&self, calls: i64) {
        self.0.store(calls, Ordering::SeqCst);
    }

    /// Whether a call was not answered.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    /// Counts a call; says whether it is answered.
    pub(super) fn answers(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 0
    }

    pub(super) fn spend(&self, store: &'static str) -> Result<(), StoreError> {
        if self.answers() { Ok(()) } else { Err(failure(store)) }
    }
}

/// What a double answers once it is told to fail.
pub(super) fn failure(store: &'static str) -> StoreError {
    StoreError::Unreachable { store, address: "nowhere".to_owned(), cause: "told to fail".to_owned() }
}
