//! Records in one SQLite file.
//!
//! Guarantees: a write is on the disk when it returns (write-ahead log, `synchronous=FULL`), so neither `kill -9` nor a power loss takes it back; several processes may use the file at once.
//! Caveat: the file must lie on a local disk; SQLite's locks do not hold on network file systems.

mod file;
mod salvage;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool, sqlite::SqliteRow};

use crate::{
    adapters::lock::{Company, Lock},
    ports::{Kind, Page, Put, Record, Records, StoreError, Swap},
};

pub use self::salvage::Salvaged;

const STORE: &str = "the records";

/// Bytes that an id may have: what every adapter can keep.
const MAX_ID_BYTES: usize = 1024;

/// SQLite takes 32,766 parameters in one statement; fewer keep the statement cache useful.
const IDS_PER_STATEMENT: usize = 512;

/// Records in a SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteRecords {
    path: String,
    /// One connection, so that writers of this process queue up instead of finding the file busy.
    writer: SqlitePool,
    readers: SqlitePool,
    /// `FILE.lock`, which tells the processes that use the file of each other.
    lock: Arc<Lock>,
}

impl SqliteRecords {
    /// Opens the file, or makes it; several processes may do so at once. Refused while one has it for itself.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_in(path, Company::Same).await
    }

    /// Opens the file, or makes it, for this process alone. Refused while another one has it open.
    pub async fn open_alone(path: &Path) -> Result<Self, StoreError> {
        Self::open_in(path, Company::None).await
    }

    async fn open_in(path: &Path, company: Company) -> Result<Self, StoreError> {
        file::make_folder(path)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let lock = Lock::take(&beside, company).map_err(|e| StoreError::Failed {
            store: STORE,
            cause: format!("{} cannot be locked: {e}", beside.display()),
        })?;
        let lock = lock.ok_or_else(|| StoreError::InUse { path: path.display().to_string() })?;
        let (writer, readers) = file::open(path).await?;
        Ok(Self { path: path.display().to_string(), writer, readers, lock: Arc::new(lock) })
    }

    async fn find(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        let row = sqlx::query("SELECT id, version, body FROM records WHERE kind = ? AND id = ?")
            .bind(kind.as_str())
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(|e| self.failed(e))?;
        row.map(|row| self.record(&row)).transpose()
    }

    fn record(&self, row: &SqliteRow) -> Result<Record, StoreError> {
        let (id, version, body): (String, i64, String) = (
            row.try_get("id").map_err(|e| self.failed(e))?,
            row.try_get("version").map_err(|e| self.failed(e))?,
            row.try_get("body").map_err(|e| self.failed(e))?,
        );
        let corrupt = |cause: String| StoreError::Corrupt { what: format!("the record {id} in {}", self.path), cause };
        let version = u64::try_from(version).map_err(|e| corrupt(e.to_string()))?;
        let body = serde_json::from_str(&body).map_err(|e| corrupt(e.to_string()))?;
        Ok(Record { id, version, body })
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        file::error(&self.path, error)
    }
}

#[async_trait]
impl Records for SqliteRecords {
    fn exclusive(&self) -> bool {
        self.lock.is_exclusive()
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.find(kind, id).await
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT id, version, body FROM records WHERE kind = ");
            query.push_bind(kind.as_str()).push(" AND id IN (");
            let mut list = query.separated(", ");
            // Filled up with repetitions, so that few different statements are compiled.
            for id in ids.iter().cycle().take(ids.len().next_power_of_two()) {
                list.push_bind(*id);
            }
            query.push(")");
            let rows = query.build().fetch_all(&self.readers).await.map_err(|e| self.failed(e))?;
            for row in &rows {
                found.push(self.record(row)?);
            }
        }
        Ok(found)
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        check_id(id)?;
        let text = body.to_string();
        // The record in the way may be removed before it is read: then the turn is ours again.
        loop {
            // To the end, and not to its first row: the statement commits as it ends, and only then it is known that there was room for it.
            let inserted: Vec<i64> = sqlx::query_scalar(
                "INSERT INTO records (kind, id, version, body) SELECT ?, ?, removed + 1, ? FROM versions WHERE true
                ON CONFLICT (kind, id) DO NOTHING RETURNING version",
            )
            .bind(kind.as_str())
            .bind(id)
            .bind(&text)
            .fetch_all(&self.writer)
            .await
            .map_err(|e| self.failed(e))?;
            if let Some(version) = inserted.first() {
                return Ok(Put::Created(Record { id: id.to_owned(), version: version.unsigned_abs(), body }));
            }
            if let Some(record) = self.find(kind, id).await? {
                return Ok(Put::Existing(record));
            }
        }
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        check_id(id)?;
        let updated =
            sqlx::query("UPDATE records SET version = version + 1, body = ? WHERE kind = ? AND id = ? AND version = ?")
                .bind(body.to_string())
                .bind(kind.as_str())
                .bind(id)
                .bind(stored(expected))
                .execute(&self.writer)
                .await
                .map_err(|e| self.failed(e))?;
        if updated.rows_affected() == 1 {
            return Ok(Swap::Done(Record { id: id.to_owned(), version: expected + 1, body }));
        }
        self.find(kind, id).await.map(Swap::Conflict)
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        // One transaction: what is returned is what was removed, also when somebody writes the same id anew.
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.failed(e))?;
        let row = sqlx::query("SELECT id, version, body FROM records WHERE kind = ? AND id = ?")
            .bind(kind.as_str())
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|e| self.failed(e))?;
        let record = row.map(|row| self.record(&row)).transpose()?;
        let Some(record) = record.as_ref().filter(|record| record.version == expected) else {
            return Ok(Swap::Conflict(record));
        };
        sqlx::query("DELETE FROM records WHERE kind = ? AND id = ?")
            .bind(kind.as_str())
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(|e| self.failed(e))?;
        sqlx::query("UPDATE versions SET removed = MAX(removed, ?)")
            .bind(stored(expected))
            .execute(&mut *transaction)
            .await
            .map_err(|e| self.failed(e))?;
        transaction.commit().await.map_err(|e| self.failed(e))?;
        Ok(Swap::Done(record.clone()))
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        // In byte order all ids with a prefix stand together, from the prefix itself on.
        let rows = sqlx::query(
            "SELECT id, version, body FROM records WHERE kind = ? AND id >= ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(kind.as_str())
        .bind(prefix)
        .bind(after.unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .fetch_all(&self.readers)
        .await
        .map_err(|e| self.failed(e))?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            let record = self.record(row)?;
            if !record.id.starts_with(prefix) {
                break;
            }
            records.push(record);
        }
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { records, next })
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM records WHERE kind = ?")
            .bind(kind.as_str())
            .fetch_one(&self.readers)
            .await
            .map_err(|e| self.failed(e))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.writer.close().await;
        self.lock.let_go();
        Ok(())
    }
}

/// Versions never reach what SQLite cannot hold; a larger one matches nothing.
fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

fn check_id(id: &str) -> Result<(), StoreError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        let cause = format!("a record's id has {} bytes; 1 to {MAX_ID_BYTES} are allowed", id.len());
        return Err(StoreError::Refused { store: STORE, cause });
    }
    Ok(())
}
