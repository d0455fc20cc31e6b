//! The records.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use super::life::{Life, failure};
use crate::ports::{Kind, Page, Put, Record, Records, StoreError, Swap};

/// Records in a map.
#[derive(Default)]
pub struct RecordsDouble {
    records: Mutex<HashMap<Kind, BTreeMap<String, Record>>>,
    /// The highest version that was ever removed.
    removed: AtomicU64,
    life: Life,
    /// The call whose answer is lost, counted from the next one; 0: none.
    lost: AtomicUsize,
    /// Records that were given away.
    given: AtomicUsize,
    /// Whether the answers of writes are held back.
    lingers: watch::Sender<bool>,
}

impl RecordsDouble {
    /// Every later call fails.
    pub fn fail(&self) {
        self.die_after(0);
    }

    /// Answers so many calls, and fails at every later one.
    pub fn die_after(&self, calls: i64) {
        self.life.lasts(calls);
    }

    /// The call so many from now is done, and its answer is lost.
    pub fn lose_answer_of(&self, call: usize) {
        self.lost.store(call, Ordering::SeqCst);
    }

    /// Whether a call failed since it was told to.
    pub fn failed(&self) -> bool {
        self.life.is_over()
    }

    /// Writes are done from now on, and not answered.
    pub fn linger(&self) {
        self.lingers.send_replace(true);
    }

    /// Answers what was held back.
    pub fn answer(&self) {
        self.lingers.send_replace(false);
    }

    /// How many records were given away so far.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// Counts what is given away.
    fn give<T>(&self, records: T, count: impl Fn(&T) -> usize) -> T {
        self.given.fetch_add(count(&records), Ordering::SeqCst);
        records
    }

    fn with<T>(&self, kind: Kind, act: impl FnOnce(&mut BTreeMap<String, Record>) -> T) -> Result<T, StoreError> {
        self.life.spend("the record store")?;
        let done = act(self.records.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default());
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |calls| calls.checked_sub(1));
        if lost == Ok(1) { Err(failure("the record store")) } else { Ok(done) }
    }
}

#[async_trait]
impl Records for RecordsDouble {
    fn exclusive(&self) -> bool {
        false
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        let found = self.with(kind, |records| records.get(id).cloned())?;
        Ok(self.give(found, |found| usize::from(found.is_some())))
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        let found = self.with(kind, |records| ids.iter().filter_map(|id| records.get(*id).cloned()).collect())?;
        Ok(self.give(found, Vec::len))
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        self.with(kind, |records| match records.get(id) {
            Some(standing) => Put::Existing(standing.clone()),
            None => {
                let version = self.removed.load(Ordering::SeqCst) + 1;
                let record = Record { id: id.to_owned(), version, body };
                records.insert(id.to_owned(), record.clone());
                Put::Created(record)
            }
        })
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        let swapped = self.with(kind, |records| match records.get_mut(id) {
            Some(record) if record.version == expected => {
                *record = Record { id: id.to_owned(), version: expected + 1, body };
                Swap::Done(record.clone())
            }
            standing => Swap::Conflict(standing.cloned()),
        });
        let mut lingers = self.lingers.subscribe();
        // The sender lives as long as this double.
        let _answered = lingers.wait_for(|lingers| !lingers).await.is_ok();
        swapped
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        self.with(kind, |records| match records.remove(id) {
            Some(record) if record.version == expected => {
                self.removed.fetch_max(expected, Ordering::SeqCst);
                Swap::Done(record)
            }
            Some(record) => {
                records.insert(id.to_owned(), record.clone());
                Swap::Conflict(Some(record))
            }
            None => Swap::Conflict(None),
        })
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let page = self.with(kind, |records| {
            let wanted = |id: &str| id.starts_with(prefix) && after.is_none_or(|after| id > after);
            let mut found: Vec<_> = records.values().filter(|record| wanted(&record.id)).cloned().collect();
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|record| record.id.clone());
            Page { records: found, next }
        })?;
        Ok(self.give(page, |page| page.records.len()))
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.with(kind, |records| records.len() as u64)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
