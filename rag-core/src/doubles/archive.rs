//! The archive.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::life::Life;
use crate::ports::{Archive, ArchiveError, Object};

/// What it says where it is.
const PLACE: &str = "memory";

/// An archive in a map.
#[derive(Default)]
pub struct ArchiveDouble {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    life: Life,
}

impl ArchiveDouble {
    /// Answers so many calls, and fails at every later one.
    pub fn die_after(&self, calls: i64) {
        self.life.lasts(calls);
    }

    /// What it holds, to be looked at or spoiled.
    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spend(&self) -> Result<MutexGuard<'_, BTreeMap<String, Vec<u8>>>, ArchiveError> {
        if self.life.answers() {
            return Ok(self.objects());
        }
        Err(ArchiveError::Unreachable { place: PLACE.to_owned(), cause: "told to fail".to_owned() })
    }
}

#[async_trait]
impl Archive for ArchiveDouble {
    async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        let mut objects = self.spend()?;
        let is_new = !objects.contains_key(name);
        objects.entry(name.to_owned()).or_insert(bytes);
        Ok(is_new)
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.spend()?.get(name).cloned())
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        Ok(self.spend()?.get(name).map(|bytes| bytes.len() as u64))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Object>, ArchiveError> {
        let objects = self.spend()?;
        let below = objects.iter().filter(|(name, _)| name.starts_with(folder));
        Ok(below.map(|(name, bytes)| Object { name: name.clone(), bytes: bytes.len() as u64 }).collect())
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.spend()?.remove(name);
        Ok(())
    }

    fn place(&self) -> &str {
        PLACE
    }
}
