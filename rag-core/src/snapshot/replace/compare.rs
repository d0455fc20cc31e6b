//! Compares the documents that stand with those of a snapshot, both in the order of their names.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ingest,
    ports::{Kind, Record, Records, StoreError, stands},
    snapshot::cursor::Cursor,
};

/// Documents, by what a restore does to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Those that come back.
    pub added: u64,
    /// Those that become what they were.
    pub changed: u64,
    /// Those that go.
    pub removed: u64,
    /// Those that are the same.
    pub unchanged: u64,
}

/// Goes through both.
pub(super) struct Comparing<'r> {
    standing: Cursor<'r>,
    difference: Difference,
    /// From when on nobody was to write.
    closed: Option<Timestamp>,
    late: u64,
}

impl<'r> Comparing<'r> {
    /// Compares with the documents of these records.
    pub(super) fn new(standing: &'r dyn Records) -> Self {
        let standing = Cursor::new(standing, Kind::Document);
        Self { standing, difference: Difference::default(), closed: None, late: 0 }
    }

    /// The same, and counts what was written since a time.
    pub(super) fn noticing(standing: &'r dyn Records, closed: Timestamp) -> Self {
        Self { closed: Some(closed), ..Self::new(standing) }
    }

    /// The next document of the snapshot.
    pub(super) async fn see(&mut self, id: &str, body: &Value) -> Result<(), StoreError> {
        while let Some(standing) = self.next(Some(id)).await? {
            self.notice(&standing);
            if standing.id == id {
                match standing.body == *body {
                    true => self.difference.unchanged += 1,
                    false => self.difference.changed += 1,
                }
                return Ok(());
            }
            self.difference.removed += 1;
        }
        self.difference.added += 1;
        Ok(())
    }

    /// What it came to, once all documents of the snapshot were seen; and how many were written since the time that counts.
    pub(super) async fn end(mut self) -> Result<(Difference, u64), StoreError> {
        while let Some(standing) = self.next(None).await? {
            self.notice(&standing);
            self.difference.removed += 1;
        }
        Ok((self.difference, self.late))
    }

    /// Counts what was deleted since the time that counts.
    pub(super) async fn see_deletions(&mut self, records: &dyn Records) -> Result<(), StoreError> {
        let mut marks = Cursor::new(records, Kind::Deletion);
        while let Some(mark) = marks.next().await? {
            let at = ingest::deleted_at(&mark)?;
            self.late += u64::from(self.closed.is_some_and(|closed| at > closed));
        }
        Ok(())
    }

    /// The next one that stands, up to this name where there is one; places are passed over.
    async fn next(&mut self, last: Option<&str>) -> Result<Option<Record>, StoreError> {
        while let Some(record) = self.standing.peek().await? {
            if last.is_some_and(|last| record.id.as_str() > last) {
                break;
            }
            if let Some(record) = self.standing.take().filter(stands) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn notice(&mut self, record: &Record) {
        let written = record.body["updated_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let is_late = self.closed.zip(written).is_some_and(|(closed, written)| written > closed);
        self.late += u64::from(is_late);
    }
}
