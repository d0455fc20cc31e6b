//! The store together with its log: a write is checked, logged, synced, then made, and only then acknowledged.
//! A write that nobody waits for is acknowledged once it is logged and becomes visible a moment later, in order.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::log::Log;
use super::mutation::Mutation;
use super::refusal::Refusal;
use super::store::Store;

/// The store at work.
#[derive(Debug)]
pub(crate) struct Database {
    store: RwLock<Store>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    log: Log,
    /// Logged and acknowledged, not visible yet.
    pending: VecDeque<Mutation>,
}

impl Database {
    /// Opens the storage folder and replays its log.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut store = Store::default();
        let log = Log::open(folder, |mutation| make(&mut store, &mutation))?;
        Ok(Self { store: RwLock::new(store), writer: Mutex::new(Writer { log, pending: VecDeque::new() }) })
    }

    /// Asks the store something.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&Store) -> T) -> T {
        ask(&self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether writes can still be kept.
    pub(crate) fn is_sound(&self) -> bool {
        self.writer().log.is_sound()
    }

    /// Carries a write out and returns the number of its operation; none for a write that is still to be made.
    pub(crate) fn write(&self, mutation: Mutation, wait: bool) -> Result<Option<u64>, Refusal> {
        let mut writer = self.writer();
        if wait {
            self.settle_all(&mut writer);
        }
        let step = self.read(|store| store.check(&mutation))?;
        let failed = |e: io::Error| Refusal::Storage(format!("the log cannot be written: {e}"));
        if wait {
            writer.log.append(mutation).map_err(failed)?;
            Ok(Some(self.change(|store| store.take(step))))
        } else {
            writer.log.append(mutation.clone()).map_err(failed)?;
            writer.pending.push_back(mutation);
            Ok(None)
        }
    }

    /// Makes the writes that nobody waited for.
    pub(crate) fn settle(&self) {
        let mut writer = self.writer();
        self.settle_all(&mut writer);
    }

    fn settle_all(&self, writer: &mut Writer) {
        for mutation in writer.pending.drain(..) {
            self.change(|store| make(store, &mutation));
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        change(&mut self.store.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes a logged mutation. One that nobody waited for may have become impossible by a write before it; then it is
/// skipped, now and at every replay alike.
fn make(store: &mut Store, mutation: &Mutation) {
    match store.check(mutation) {
        Ok(step) => {
            store.take(step);
        }
        Err(refusal) => tracing::warn!(?refusal, "an acknowledged write was skipped"),
    }
}
