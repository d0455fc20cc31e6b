//! That a restore into these stores was begun and is not done: until it is, nobody serves the half of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CorpusError;
use crate::ports::{Change, Epoch, Kind, Put, Records, StoreError, update};

/// Id of the record.
const RECORD: &str = "restore";

/// A restore that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Of which snapshot.
    pub snapshot: String,
    /// Into which epoch.
    pub epoch: Epoch,
}

/// What was begun, if anything was.
pub async fn standing(records: &dyn Records) -> Result<Option<Begun>, StoreError> {
    records.get(Kind::Corpus, RECORD).await?.map(|record| read(record.body)).transpose()
}

/// Refuses stores that hold the half of a restore.
pub async fn refuse(records: &dyn Records) -> Result<(), CorpusError> {
    let begun = standing(records).await?;
    begun.map_or(Ok(()), |Begun { snapshot, .. }| Err(CorpusError::Restoring { snapshot }))
}

/// Marks what is begun, unless something is marked already; tells what stands.
pub async fn put(records: &dyn Records, begun: Begun) -> Result<Begun, StoreError> {
    let body = serde_json::to_value(&begun).map_err(|e| corrupt(&e))?;
    match records.put_if_absent(Kind::Corpus, RECORD, body).await? {
        Put::Created(_) => Ok(begun),
        Put::Existing(standing) => read(standing.body),
    }
}

/// Removes the mark, once everything is there.
pub async fn remove(records: &dyn Records) -> Result<(), StoreError> {
    update(records, Kind::Corpus, RECORD, |_| Ok(Change::Remove(()))).await
}

fn read(body: Value) -> Result<Begun, StoreError> {
    serde_json::from_value(body).map_err(|e| corrupt(&e))
}

fn corrupt(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: "the mark of a restore".to_owned(), cause: error.to_string() }
}
