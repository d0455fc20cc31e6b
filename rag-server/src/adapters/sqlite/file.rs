//! The SQLite file itself: how it is opened, its schema, and what its errors mean.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::STORE;
use crate::ports::StoreError;

/// How long a writer waits for a writer of another process.
const BUSY: Duration = Duration::from_secs(10);

/// Reads are short; more connections than this only cost memory.
const READERS: u32 = 4;

/// Version of the schema, kept in the file; a server refuses a file of a newer one.
const SCHEMA: i64 = 2;

/// The extended code of a failure to make the index of the write-ahead log larger, which is what a full disk is to it.
const SQLITE_IOERR_SHMSIZE: i32 = 4874;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;

/// Makes the folder that the file lies in.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|e| StoreError::Failed {
        store: STORE,
        cause: format!("the folder {} cannot be made: {e}", folder.display()),
    })
}

/// Opens the file: one connection that writes, some that read.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let name = path.display().to_string();
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let writer = connect_writer(&name, options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
    migrate(&name, &writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(BUSY)
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
    Ok((writer, readers))
}

/// The switch to the write-ahead log does not wait for another process that does the same, so it is tried again.
async fn connect_writer(name: &str, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY * 2);
    let mut pause = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(e) if is_busy(&e) && waited < BUSY => {
                tokio::time::sleep(pause).await;
                waited += pause;
                pause = (pause * 2).min(Duration::from_millis(200));
            }
            Err(e) => return Err(error(name, e)),
        }
    }
}

async fn migrate(name: &str, pool: &SqlitePool) -> Result<(), StoreError> {
    let failed = |e| error(name, e);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await.map_err(failed)?;
    if found > SCHEMA {
        let cause = format!("{name} was written by a newer version (schema {found}, this server knows {SCHEMA})");
        return Err(StoreError::Refused { store: STORE, cause });
    }
    if found < SCHEMA {
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS records (
                kind TEXT NOT NULL,
                id TEXT NOT NULL,
                version INTEGER NOT NULL,
                body TEXT NOT NULL,
                PRIMARY KEY (kind, id)
            ) STRICT",
        )
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        // Since schema 2: the highest version that was ever removed.
        let versions = "CREATE TABLE versions (removed INTEGER NOT NULL) STRICT;
            INSERT INTO versions SELECT COALESCE(MAX(version), 0) FROM records";
        sqlx::raw_sql(versions).execute(&mut *transaction).await.map_err(failed)?;
        // Equal to `SCHEMA`; a pragma takes no parameter.
        sqlx::query("PRAGMA user_version = 2").execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// What went wrong, by the class of its cause.
pub(super) fn error(path: &str, error: sqlx::Error) -> StoreError {
    let cause = format!("{path}: {error}");
    if code(&error) == Some(SQLITE_IOERR_SHMSIZE) {
        let cause = format!("{cause}: the index of its log cannot grow; is the disk full?");
        return StoreError::Failed { store: STORE, cause };
    }
    match primary_code(&error) {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => StoreError::Timeout { store: STORE, seconds: BUSY.as_secs() },
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => StoreError::Corrupt { what: path.to_owned(), cause: error.to_string() },
        Some(SQLITE_CANTOPEN) => StoreError::Failed {
            store: STORE,
            cause: format!("{path} cannot be opened; its folder must exist and be writable for this user"),
        },
        Some(_) => StoreError::Failed { store: STORE, cause },
        None if matches!(error, sqlx::Error::PoolTimedOut) => {
            StoreError::Timeout { store: STORE, seconds: BUSY.as_secs() }
        }
        None => StoreError::Failed { store: STORE, cause },
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// The low byte of SQLite's extended result code.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    code(error).map(|code| code & 0xff)
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
