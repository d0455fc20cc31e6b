//! Records as payload points of the collection `NAME-records`.
//!
//! Flow of a write: one conditional upsert that carries a token of its own, then a read that looks for the token. The server decides between racing writers; the token tells each of them whether it won, also when its answer was lost.
//! A record keeps the tokens of its latest writes, so that a winner still finds itself after others have written over it. A removed record stays as a hidden mark for a while, for the same reason.
//! Versions go on from the mark, and where it was swept away from the floor: a number that no swept mark is above, because it is raised before the sweep. A put reads it after it found no mark.
//! Caveats: a writer that is overtaken by more writes than are remembered, before it reads back, is told that the outcome is unknown. There are no transactions: a put that stands still for longer than marks are kept, between
//! its look and its write, while its record comes and goes, may give a version below one that was used meanwhile; that it gives the very same one is one chance in 65,536.

mod listing;
mod order;
mod stored;
mod sweep;

use async_trait::async_trait;
use jiff::Timestamp;
use qdrant_client::qdrant::{
    CountPoints, CreateCollectionBuilder, FieldType, Filter, GetPoints, PointId, ReadConsistency, UpdateMode,
    UpsertPoints,
};
use serde_json::Value;
use tokio::sync::OnceCell;

use self::{
    stored::{KIND, ORDER, REMOVED_AT, Standing, Stored, Token, VERSION, WITHIN, WRITER, floor_id, point_id},
    sweep::Sweeper,
};
use super::{
    STORE,
    client::Client,
    condition,
    connection::{QdrantConnection, Repeat},
    failure::Failure,
    indexes,
    layout::{Layout, read_consistency, strong},
};
use crate::ports::{Kind, Page, Put, Record, Records, StoreError, Swap};

/// Bytes that an id may have: what every adapter can keep.
const MAX_ID_BYTES: usize = 1024;

/// Records in one answer; each may have a megabyte.
const RECORDS_PER_REQUEST: usize = 32;

/// Tries of a put while others write and remove the same record under it.
const PUT_ATTEMPTS: usize = 16;

/// Records in a Qdrant server.
pub struct QdrantRecords {
    connection: QdrantConnection,
    collection: String,
    layout: Layout,
    /// How it is read, once it is known to be there.
    ready: OnceCell<Option<ReadConsistency>>,
    sweeper: Sweeper,
}

impl QdrantRecords {
    /// Keeps the records beside the corpus of this alias, in a collection that is made by this layout.
    pub fn new(connection: QdrantConnection, collection: &str, layout: Layout) -> Self {
        let collection = format!("{collection}-records");
        Self { connection, collection, layout, ready: OnceCell::new(), sweeper: Sweeper::default() }
    }

    /// Makes the collection with the first call, so that a server that starts before the store only waits; says how it is read.
    async fn ensure(&self) -> Result<Option<ReadConsistency>, Failure> {
        let indexed = [
            (KIND, FieldType::Keyword),
            (WRITER, FieldType::Keyword),
            (WITHIN, FieldType::Keyword),
            (ORDER, FieldType::Integer),
            (VERSION, FieldType::Integer),
            (REMOVED_AT, FieldType::Integer),
        ];
        let made = || async {
            let wanted = CreateCollectionBuilder::new(self.collection.clone()).build();
            let info = indexes::ensure(&self.connection, wanted, &self.layout, &indexed).await?;
            Ok(info.config.as_ref().and_then(read_consistency))
        };
        self.ready.get_or_try_init(made).await.copied()
    }

    async fn read(&self, ids: Vec<PointId>) -> Result<Vec<Stored>, StoreError> {
        let request = &GetPoints {
            collection_name: self.collection.clone(),
            ids,
            read_consistency: self.ensure().await?,
            with_payload: Some(true.into()),
            ..GetPoints::default()
        };
        let asked = |client: Client| async move { client.get_points(request.clone()).await };
        let found = self.connection.call(Repeat::Harmless, asked).await?;
        found.result.into_iter().map(|point| Stored::from_point(point.id, point.payload)).collect()
    }

    async fn read_one(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        let found = self.read(vec![point_id(kind, id)]).await?.pop();
        match found {
            Some(stored) if stored.id != id => Err(StoreError::Corrupt {
                what: format!("the record {id}"),
                cause: format!("its point holds the record {}", stored.id),
            }),
            found => Ok(found),
        }
    }

    /// What no swept mark is above.
    async fn floor(&self) -> Result<Option<Stored>, StoreError> {
        Ok(self.read(vec![floor_id()]).await?.pop())
    }

    /// Writes under a condition; whether it held is only known from reading back.
    async fn write(&self, stored: &Stored, condition: Written<'_>) -> Result<(), Failure> {
        let (mode, filter) = match condition {
            Written::IfAbsent => (UpdateMode::InsertOnly, None),
            Written::Over(token) => {
                (UpdateMode::UpdateOnly, Some(Filter::must([condition::is(WRITER, token.as_str())])))
            }
        };
        let request = &UpsertPoints {
            collection_name: self.collection.clone(),
            wait: Some(true),
            points: vec![stored.to_point()],
            ordering: strong(),
            update_filter: filter,
            update_mode: Some(mode as i32),
            ..UpsertPoints::default()
        };
        // Once it was carried out, or another was, its condition holds no more: it may be sent twice, and come late.
        let written = |client: Client| async move { client.upsert_points(request.clone()).await };
        self.connection.write(Repeat::Harmless, written).await
    }

    /// Replaces what stands by what follows it, unless somebody was faster.
    async fn swap(&self, standing: &Stored, next: &Stored) -> Result<Swapped, StoreError> {
        let written = self.write(next, Written::Over(&standing.writer)).await;
        let found = self.read(vec![next.point.clone()]).await?.pop();
        match found {
            Some(found) if found.holds(&next.writer) => Ok(Swapped::Won),
            // Not ours although the write failed: it may still be on its way, so nothing is claimed.
            found => match written {
                Err(failure) => Err(failure.into()),
                Ok(()) if found.as_ref().is_some_and(|found| found.may_have_forgotten(next)) => Err(unknown(&next.id)),
                Ok(()) => Ok(Swapped::Lost(found)),
            },
        }
    }
}

/// What a listing reads from, and how.
struct Reads<'a> {
    connection: &'a QdrantConnection,
    collection: &'a str,
    consistency: Option<ReadConsistency>,
}

/// What must stand there for a write to be made.
enum Written<'a> {
    IfAbsent,
    Over(&'a Token),
}

enum Swapped {
    Won,
    Lost(Option<Stored>),
}

#[async_trait]
impl Records for QdrantRecords {
    fn exclusive(&self) -> bool {
        false
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        live(self.read_one(kind, id).await?)
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(RECORDS_PER_REQUEST) {
            let found = self.read(ids.iter().map(|id| point_id(kind, id)).collect()).await?;
            for stored in found {
                records.extend(stored.into_record()?);
            }
        }
        Ok(records)
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        check_id(id)?;
        let mut tries: Vec<Stored> = Vec::new();
        let mut written = Ok(());
        for _ in 0..PUT_ATTEMPTS {
            let found = self.read_one(kind, id).await?;
            let ours = found.as_ref().and_then(|found| tries.iter().find(|write| found.holds(&write.writer)));
            if let Some(ours) = ours {
                return Ok(Put::Created(Record { id: id.to_owned(), version: ours.version, body }));
            }
            match found.map(Stored::standing).transpose()? {
                Some(Standing::Live(record)) => return Ok(Put::Existing(record)),
                Some(Standing::Removed(mark)) => {
                    let again = mark.again(kind, &body);
                    written = self.write(&again, Written::Over(&mark.writer)).await;
                    tries.push(again);
                }
                None => {
                    written?;
                    // Read after the look that found nothing: whatever mark there was is below it.
                    let floor = self.floor().await?.map_or(0, |floor| floor.version);
                    let first = Stored::first(kind, id, &body, floor);
                    written = self.write(&first, Written::IfAbsent).await;
                    tries.push(first);
                }
            }
        }
        written?;
        Err(StoreError::Failed { store: STORE, cause: format!("the record {id} changes too often to be written") })
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        check_id(id)?;
        let standing = match self.read_one(kind, id).await? {
            Some(standing) if standing.is_live_at(expected) => standing,
            other => return live(other).map(Swap::Conflict),
        };
        let next = standing.next(&body);
        let done = Record { id: id.to_owned(), version: next.version, body };
        Ok(match self.swap(&standing, &next).await? {
            Swapped::Won => Swap::Done(done),
            Swapped::Lost(other) => Swap::Conflict(live(other)?),
        })
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        check_id(id)?;
        let standing = match self.read_one(kind, id).await? {
            Some(standing) if standing.is_live_at(expected) => standing,
            other => return live(other).map(Swap::Conflict),
        };
        let now = Timestamp::now();
        let swapped = self.swap(&standing, &standing.removed(now)).await?;
        self.sweep(now).await;
        Ok(match swapped {
            Swapped::Won => live(Some(standing))?.map_or(Swap::Conflict(None), Swap::Done),
            Swapped::Lost(other) => Swap::Conflict(live(other)?),
        })
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let consistency = self.ensure().await?;
        let reads = Reads { connection: &self.connection, collection: &self.collection, consistency };
        let (ids, next) = listing::ids(&reads, kind, (prefix, after), limit).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut records = self.get_many(kind, &ids).await?;
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(Page { records, next })
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let request = &CountPoints {
            collection_name: self.collection.clone(),
            read_consistency: self.ensure().await?,
            filter: Some(Filter::must([condition::is(KIND, kind.as_str())])),
            exact: Some(true),
            ..CountPoints::default()
        };
        let asked = |client: Client| async move { client.count(request.clone()).await };
        let counted = self.connection.call(Repeat::Harmless, asked).await?;
        Ok(counted.result.map_or(0, |result| result.count))
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The record that stands there, if one does.
fn live(stored: Option<Stored>) -> Result<Option<Record>, StoreError> {
    stored.map_or(Ok(None), Stored::into_record)
}

fn check_id(id: &str) -> Result<(), StoreError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        let cause = format!("a record's id has {} bytes; 1 to {MAX_ID_BYTES} are allowed", id.len());
        return Err(StoreError::Refused { store: STORE, cause });
    }
    Ok(())
}

fn unknown(id: &str) -> StoreError {
    let cause = format!("the record {id} was written over so often that the outcome of a write is unknown; read it");
    StoreError::Failed { store: STORE, cause }
}
