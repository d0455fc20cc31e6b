//! A file of records that is damaged: found at the start, moved aside under a name with the time, and what can still be read of it taken over into a new one.
//!
//! Guarantees: nothing of the old file is changed or removed; every row that is taken over was read without an error and holds JSON; versions go on above all that were seen.
//! Caveat: what SQLite cannot tell is damaged is not found, such as one letter for another inside a text; its pages have no checksums.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::{
    ConnectOptions, Connection, Row,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{STORE, SqliteRecords, file};
use crate::{
    adapters::lock::{Company, Lock},
    ports::StoreError,
};

/// Rows that are read together.
const ROWS: i64 = 200;
/// What is added to the highest version that was seen, where it cannot be read which ones were removed: more than are given in years.
const MARGIN: i64 = 1 << 40;

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Records.
    pub records: u64,
    /// Whether the whole of the old file could be read.
    pub all: bool,
}

impl SqliteRecords {
    /// What is wrong with the file; none where nothing is, or where there is no file. Reads all of it.
    pub async fn damage(path: &Path) -> Result<Option<String>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let _lock = alone(path)?;
        let name = path.display().to_string();
        let checked = async {
            let mut connection = options(path).connect().await?;
            let said: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(said)
        };
        match checked.await.map_err(|e| file::error(&name, e)) {
            Ok(said) if said == "ok" => Ok(None),
            Ok(said) => Ok(Some(said)),
            Err(StoreError::Corrupt { cause, .. }) => Ok(Some(cause)),
            Err(other) => Err(other),
        }
    }

    /// Moves the file and its log aside; to where.
    pub fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf, StoreError> {
        let _lock = alone(path)?;
        let aside = beside(path, &format!(".damaged-{stamp}"));
        for suffix in ["-wal", "-shm", ""] {
            let (from, to) = (beside(path, suffix), beside(&aside, suffix));
            match std::fs::rename(&from, &to) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                renamed => renamed.map_err(|e| failed(&from, "cannot be moved aside", &e.to_string()))?,
            }
        }
        Ok(aside)
    }

    /// Takes over what can be read of a file that was moved aside; what is here already stays.
    pub async fn salvage(&self, aside: &Path) -> Result<Salvaged, StoreError> {
        let mut salvaged = Salvaged { records: 0, all: true };
        let Ok(mut old) = options(aside).read_only(true).connect().await else { return Ok(Salvaged::default()) };
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(rowid) FROM records").fetch_one(&mut old).await.unwrap_or_default();
        let (mut at, mut step) = (0_i64, 1_i64);
        loop {
            let rows = sqlx::query(
                "SELECT rowid, kind, id, version, body FROM records WHERE rowid > ? ORDER BY rowid LIMIT ?",
            )
            .bind(at)
            .bind(if step > 1 { 1 } else { ROWS })
            .fetch_all(&mut old)
            .await;
            match rows {
                Ok(rows) if rows.is_empty() => break,
                Ok(rows) => {
                    let taken = self.take_over(&rows).await?;
                    salvaged.records += taken;
                    salvaged.all &= taken == rows.len() as u64;
                    at = rows.last().and_then(|row| row.try_get("rowid").ok()).unwrap_or(i64::MAX);
                    step = 1;
                }
                // The rows of a page that cannot be read are stepped over, wider and wider.
                Err(_) => {
                    salvaged.all = false;
                    let Some(next) = at.checked_add(step).filter(|next| last.is_some_and(|last| *next < last)) else {
                        break;
                    };
                    (at, step) = (next, (step * 2).min(ROWS));
                }
            }
        }
        let removed: Option<i64> =
            sqlx::query_scalar("SELECT removed FROM versions").fetch_one(&mut old).await.ok().filter(|_| salvaged.all);
        self.go_on_above(removed).await?;
        Ok(salvaged)
    }

    /// Writes rows that are whole; how many.
    async fn take_over(&self, rows: &[SqliteRow]) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.failed(e))?;
        let mut taken = 0;
        for row in rows {
            let read = || {
                let (kind, id, version) = (row.try_get("kind")?, row.try_get("id")?, row.try_get("version")?);
                Ok::<(String, String, i64, String), sqlx::Error>((kind, id, version, row.try_get("body")?))
            };
            let Ok((kind, id, version, body)) = read() else { continue };
            if serde_json::from_str::<Value>(&body).is_err() {
                continue;
            }
            sqlx::query("INSERT OR IGNORE INTO records (kind, id, version, body) VALUES (?, ?, ?, ?)")
                .bind(kind)
                .bind(id)
                .bind(version)
                .bind(body)
                .execute(&mut *transaction)
                .await
                .map_err(|e| self.failed(e))?;
            taken += 1;
        }
        transaction.commit().await.map_err(|e| self.failed(e))?;
        Ok(taken)
    }

    /// Lets versions go on above all that were ever given.
    async fn go_on_above(&self, removed: Option<i64>) -> Result<(), StoreError> {
        let margin = if removed.is_some() { 0 } else { MARGIN };
        sqlx::query(
            "UPDATE versions SET removed = MAX(removed, ?, (SELECT COALESCE(MAX(version), 0) FROM records) + ?)",
        )
        .bind(removed.unwrap_or_default())
        .bind(margin)
        .execute(&self.writer)
        .await
        .map_err(|e| self.failed(e))?;
        Ok(())
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).create_if_missing(false).disable_statement_logging()
}

/// Nobody else has the file open while this is held.
fn alone(path: &Path) -> Result<Lock, StoreError> {
    let lock = beside(path, ".lock");
    let taken = Lock::take(&lock, Company::None).map_err(|e| failed(&lock, "cannot be locked", &e.to_string()))?;
    taken.ok_or_else(|| StoreError::InUse { path: path.display().to_string() })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(path: &Path, what: &str, cause: &str) -> StoreError {
    StoreError::Failed { store: STORE, cause: format!("{} {what}: {cause}", path.display()) }
}
