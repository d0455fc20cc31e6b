//! Records in a Postgres database, for any number of servers.
//!
//! Each operation is one statement, which is a transaction of its own: the database decides between racing writers. A write is on the leader's disk when it returns (`synchronous_commit`; the server's `fsync` must be on), and on its synchronous standbys where there are some.
//! Flow of a call: a connection that answers, one statement, both by one deadline. What is given up may still be done by the server, until the same time after it began.
//! Caveat: a pooler between must keep a session to one client and pass on `options`; one that hands out connections for each transaction does neither.

mod failure;
mod follow;
mod pool;
mod start;
mod target;

use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use self::{failure::Asked, pool::Pool};
pub use self::{pool::Connections, target::PostgresSettings};
use crate::ports::{Kind, Page, Put, Record, Records, StoreError, Swap};

const STORE: &str = "the records";

/// Bytes that an id may have: what every adapter can keep.
const MAX_ID_BYTES: usize = 1024;

/// Ids that one statement asks for: their records have to fit into memory twice.
const IDS_PER_STATEMENT: usize = 512;

/// Each further attempt needs somebody who removed the record in between.
const PUT_ATTEMPTS: usize = 16;

const GET: &str = "SELECT id, version, body FROM ragops_records WHERE kind = $1 AND id = $2";

const GET_MANY: &str = "SELECT id, version, body FROM ragops_records WHERE kind = $1 AND id = ANY($2)";

/// The slot is read under a lock that a removal in the same slot waits for and is waited for by: what the statement saw when it began may be too old.
const PUT: &str = "WITH slot AS MATERIALIZED (SELECT removed FROM ragops_slots WHERE slot = $4 FOR SHARE)
    INSERT INTO ragops_records (kind, id, version, body) SELECT $1, $2, slot.removed + 1, $3 FROM slot
    ON CONFLICT (kind, id) DO NOTHING RETURNING version";

const COMPARE_AND_SET: &str = "UPDATE ragops_records SET version = version + 1, body = $4
    WHERE kind = $1 AND id = $2 AND version = $3 RETURNING version";

/// The slot is locked before the record, as a put does it, so that neither waits for the other in a circle.
const REMOVE: &str = "WITH slot AS MATERIALIZED (SELECT slot FROM ragops_slots WHERE slot = $4 FOR UPDATE),
    gone AS (DELETE FROM ragops_records AS record USING slot
        WHERE record.kind = $1 AND record.id = $2 AND record.version = $3
        RETURNING record.id, record.version, record.body),
    raised AS (UPDATE ragops_slots AS raised SET removed = GREATEST(raised.removed, gone.version) FROM gone
        WHERE raised.slot = $4)
    SELECT id, version, body FROM gone";

const LIST: &str = "SELECT id, version, body FROM ragops_records WHERE kind = $1 AND id >= $2 AND id > $3
    AND ($4::text IS NULL OR id < $4) ORDER BY id LIMIT $5";

const COUNT: &str = "SELECT count(*) FROM ragops_records WHERE kind = $1";

/// Records in a Postgres database.
pub struct PostgresRecords {
    pool: Pool,
}

impl PostgresRecords {
    /// Reaches the server, and makes or updates its tables; any number of servers may do so at once.
    pub async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        Ok(Self { pool: Pool::reach(settings).await? })
    }

    /// How many connections there are, and may be.
    pub fn connections(&self) -> Connections {
        self.pool.connections()
    }

    async fn rows(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let (address, deadline) = self.pool.asked();
        let asked = Asked { address: &address, deadline };
        let until = Instant::now() + deadline;
        let call = async {
            let mut lease = self.pool.lease(until).await?;
            let rows = query.fetch_all(lease.connection()).await.map_err(|error| asked.failed(&error))?;
            lease.give_back();
            Ok(rows)
        };
        pool::within(until, || asked.late(), call).await
    }

    async fn records(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<Record>, StoreError> {
        self.rows(query).await?.iter().map(record).collect()
    }

    async fn find(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.records(sqlx::query(GET).bind(kind.as_str()).bind(id)).await?.pop())
    }
}

#[async_trait]
impl Records for PostgresRecords {
    fn exclusive(&self) -> bool {
        false
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.find(kind, id).await
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            found.extend(self.records(sqlx::query(GET_MANY).bind(kind.as_str()).bind(ids)).await?);
        }
        Ok(found)
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        check_id(id)?;
        let text = body.to_string();
        // The record in the way may be removed before it is read: then the turn is ours again.
        for _ in 0..PUT_ATTEMPTS {
            let put = sqlx::query(PUT).bind(kind.as_str()).bind(id).bind(&text).bind(slot(kind, id));
            if let Some(row) = self.rows(put).await?.first() {
                return Ok(Put::Created(Record { id: id.to_owned(), version: version(id, row)?, body }));
            }
            if let Some(record) = self.find(kind, id).await? {
                return Ok(Put::Existing(record));
            }
        }
        Err(StoreError::Failed { store: STORE, cause: format!("the record {id} changes too often to be written") })
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        check_id(id)?;
        let query = sqlx::query(COMPARE_AND_SET).bind(kind.as_str()).bind(id);
        let rows = self.rows(query.bind(stored(expected)).bind(body.to_string())).await?;
        match rows.first() {
            Some(row) => Ok(Swap::Done(Record { id: id.to_owned(), version: version(id, row)?, body })),
            None => self.find(kind, id).await.map(Swap::Conflict),
        }
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        check_id(id)?;
        let query = sqlx::query(REMOVE).bind(kind.as_str()).bind(id).bind(stored(expected)).bind(slot(kind, id));
        match self.records(query).await?.pop() {
            Some(gone) => Ok(Swap::Done(gone)),
            None => self.find(kind, id).await.map(Swap::Conflict),
        }
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let query = sqlx::query(LIST)
            .bind(kind.as_str())
            .bind(prefix)
            .bind(after.unwrap_or_default())
            .bind(above(prefix))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
        let mut records = self.records(query).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { records, next })
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let rows = self.rows(sqlx::query(COUNT).bind(kind.as_str())).await?;
        let count = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0));
        let count = count.map_err(|error| StoreError::Failed { store: STORE, cause: error.to_string() })?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.pool.close().await;
        Ok(())
    }
}

fn record(row: &PgRow) -> Result<Record, StoreError> {
    let unreadable = |what: String| move |cause: String| StoreError::Corrupt { what, cause };
    let some = unreadable("a record in Postgres".to_owned());
    let id: String = row.try_get("id").map_err(|error| some(error.to_string()))?;
    let version = version(&id, row)?;
    let corrupt = unreadable(format!("the record {id} in Postgres"));
    let body = row.try_get::<&str, _>("body").map_err(|error| error.to_string());
    let body = body.and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
    Ok(Record { version, body: body.map_err(corrupt)?, id })
}

fn version(id: &str, row: &PgRow) -> Result<u64, StoreError> {
    let version = row.try_get::<i64, _>("version").map_err(|error| error.to_string());
    let version = version.and_then(|version| u64::try_from(version).map_err(|error| error.to_string()));
    version.map_err(|cause| StoreError::Corrupt { what: format!("the record {id} in Postgres"), cause })
}

/// A version as it is stored; one that is too large for that is never stored, and none is below 1.
fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

/// Which row remembers the removals of this id. Stored rows depend on it: it never changes.
fn slot(kind: Kind, id: &str) -> i16 {
    let mut hash = blake3::Hasher::new();
    hash.update(kind.as_str().as_bytes()).update(&[0]).update(id.as_bytes());
    hash.finalize().as_bytes()[0].into()
}

/// The first text above all that begin with the prefix, in byte order; none where nothing is above them.
fn above(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // Not every number is a letter: there is a gap, and an end.
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

fn check_id(id: &str) -> Result<(), StoreError> {
    let refused = |cause| Err(StoreError::Refused { store: STORE, cause });
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return refused(format!("a record's id has {} bytes; 1 to {MAX_ID_BYTES} are allowed", id.len()));
    }
    if id.contains('\0') {
        return refused("a record's id has a NUL, which Postgres cannot keep".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slot_never_changes() {
        let slots = [(Kind::Document, "a"), (Kind::Claim, "a"), (Kind::Lease, "日本")].map(|(kind, id)| slot(kind, id));
        assert_eq!(slots, [175, 17, 188]);
    }

    #[test]
    fn nothing_is_above_the_last_letter() {
        assert_eq!(above(""), None);
        assert_eq!(above("\u{10ffff}"), None);
        assert_eq!(above("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(above("\u{d7ff}").as_deref(), Some("\u{e000}"));
    }

    proptest! {
        #[test]
        fn a_text_is_between_a_prefix_and_what_is_above_it_if_it_begins_with_the_prefix(prefix in ".{0,4}", text in ".{0,6}", with in any::<bool>()) {
            let text = if with { format!("{prefix}{text}") } else { text };
            let between = text >= prefix && above(&prefix).is_none_or(|above| text < above);
            prop_assert_eq!(between, text.starts_with(&prefix));
        }
    }
}
