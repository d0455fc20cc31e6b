//! Removes documents, and lets a removal win over everything that was accepted before it.
//!
//! Flow: leave a mark -> remove the record -> purge its chunks in every epoch. What is accepted is told the mark that stands then, and whoever writes it looks at the mark again once it knows the
//! version of the document's record: another mark means that the document was deleted in between. A deletion after that look changes the record, and the commit fails.
//! Guarantee: a document that was accepted before a deletion is never visible after the deletion was acknowledged, however long it waited and wherever it was written. What is accepted
//! afterwards is written as ever.
//! Assumption: a run from the command line works through what it looks at together within a day.
//! Marks are removed once nothing can be waiting that was accepted before them, and no snapshot is kept any more that may be older, see `retention`.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ingest, claim::standing_of, json};
use crate::{
    model::{ContentHash, DocumentId},
    ports::{Kind, Put, Record, StoreError, Swap},
};

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There was no such document.
    Unknown,
}

/// Names a deletion of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Mark(String);

#[derive(Serialize, Deserialize)]
struct Body {
    mark: Mark,
    at: Timestamp,
}

impl Ingest {
    /// Removes a document: at once for every reader, then from the store, in every epoch. Whoever writes it just now, or has it waiting, commits nothing.
    pub async fn delete(&self, id: &DocumentId) -> Result<Deleted, StoreError> {
        self.mark_deleted(id).await?;
        // Held or not: whoever finds the claim after a crash purges what is not purged. If another writer has it, that one's claim answers for what stands.
        let mut claim = self.claim(id, None).await?;
        let mut gone = Vec::new();
        let mut standing = self.patiently(|| self.records.get(Kind::Document, id.key())).await?;
        while let Some(record) = standing {
            let document = standing_of(&record)?;
            if let (Some(claim), Some(document)) = (&mut claim, &document) {
                claim.dirty = true;
                self.answer_for(claim, &document.version).await?;
            }
            gone.extend(document);
            standing = match self.patiently(|| self.records.remove(Kind::Document, id.key(), record.version)).await? {
                Swap::Done(_) => None,
                Swap::Conflict(other) => other,
            };
        }
        // Before anything else can fail: cached answers still show it. Also when it was gone already: whoever removed it may have died
        // before saying so.
        self.note_change().await?;
        for document in &gone {
            self.forget(document.content(), id).await?;
            if let Some(at) = document.expires_at {
                self.forget_expiry(id, at).await?;
            }
        }
        let released = match claim {
            Some(claim) => self.release(claim).await?,
            None => false,
        };
        if !released {
            let dead: Vec<ContentHash> = gone.iter().map(|document| document.version.clone()).collect();
            self.purge(id, &dead).await?;
        }
        Ok(if gone.is_empty() { Deleted::Unknown } else { Deleted::Gone })
    }

    async fn mark_deleted(&self, id: &DocumentId) -> Result<(), StoreError> {
        let mark = Mark(uuid::Uuid::new_v4().simple().to_string());
        let body = json(&Body { mark, at: self.clock.now() })?;
        loop {
            let put = self.patiently(|| self.records.put_if_absent(Kind::Deletion, id.key(), body.clone())).await?;
            let Put::Existing(older) = put else { return Ok(()) };
            let swap = || self.records.compare_and_set(Kind::Deletion, id.key(), older.version, body.clone());
            match self.patiently(swap).await? {
                // A mark that came after our look counts for both.
                Swap::Done(_) | Swap::Conflict(Some(_)) => return Ok(()),
                Swap::Conflict(None) => {}
            }
        }
    }

    /// The marks that stand for documents, by their keys: what is accepted now was accepted after them.
    pub(super) async fn marks(&self, ids: &[&str]) -> Result<HashMap<String, Mark>, StoreError> {
        let records = self.patiently(|| self.records.get_many(Kind::Deletion, ids)).await?;
        records.into_iter().map(|record| Ok((record.id.clone(), read(&record.id, record.body)?.mark))).collect()
    }

    /// Whether a document was deleted after the deletion that had been the latest, if any, when it was accepted. To be asked once the version of its record is known.
    pub(super) async fn was_deleted_since(&self, id: &DocumentId, accepted: Option<&Mark>) -> Result<bool, StoreError> {
        let latest = self.marks(&[id.key()]).await?.remove(id.key());
        // A mark goes only when nothing is left that was accepted before it.
        Ok(latest.is_some_and(|latest| Some(&latest) != accepted))
    }
}

/// When the document was deleted that a mark is about.
pub(crate) fn deleted_at(mark: &Record) -> Result<Timestamp, StoreError> {
    Ok(read(&mark.id, mark.body.clone())?.at)
}

fn read(id: &str, body: serde_json::Value) -> Result<Body, StoreError> {
    serde_json::from_value(body)
        .map_err(|e| StoreError::Corrupt { what: format!("the deletion of document {id}"), cause: e.to_string() })
}
