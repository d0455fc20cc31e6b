//! Editions: the records of documents that an epoch goes with.
//!
//! There are two, each in kinds of its own. A reindex keeps the edition; a restore over a served corpus fills the other one, and an epoch that goes with it, so that the activation of that epoch is the one switch for chunks and records together.
//! Guarantee: the edition of an epoch never changes. Whoever knows which epoch it searches knows which records it reads, and reads no others.
//! Marks of deletions, jobs, sessions and all else are of no edition: that a document was deleted stays true whatever is restored.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Epoch, Kind, Page, Put, Record, Records, StoreError, Swap, VectorStore};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// The one that every corpus begins with.
    #[default]
    First,
    /// The other one.
    Second,
}

impl Edition {
    /// The kinds of the first one that the second has of its own.
    pub const KINDS: [Kind; 4] = [Kind::Document, Kind::Content, Kind::Claim, Kind::Expiry];

    /// Whether it is the first.
    pub fn is_first(&self) -> bool {
        *self == Self::First
    }

    /// The one that is not this one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// What this edition keeps as records of this kind.
    pub fn kind(self, kind: Kind) -> Kind {
        match (self, kind) {
            (Self::Second, Kind::Document) => Kind::SecondDocument,
            (Self::Second, Kind::Content) => Kind::SecondContent,
            (Self::Second, Kind::Claim) => Kind::SecondClaim,
            (Self::Second, Kind::Expiry) => Kind::SecondExpiry,
            (Self::First | Self::Second, other) => other,
        }
    }
}

/// What the record of an epoch says about its documents. The rest of it is the business of `corpus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
struct Goes {
    #[serde(default)]
    edition: Edition,
    #[serde(default)]
    drill: bool,
}

/// The epochs of a store that hold the same documents as this one: what is written to one of them, or purged, concerns the others. Those of the other edition, and of drills, hold documents of their own.
pub async fn siblings(store: &dyn VectorStore, records: &dyn Records, epoch: Epoch) -> Result<Vec<Epoch>, StoreError> {
    let epochs = store.epochs().await?;
    if epochs.iter().all(|other| *other == epoch) {
        return Ok(epochs);
    }
    let ids: Vec<String> = epochs.iter().chain([&epoch]).map(|epoch| epoch.record_id()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let found = records.get_many(Kind::Corpus, &ids).await?;
    let goes: HashMap<String, Goes> =
        found.into_iter().map(|record| (record.id, Goes::deserialize(record.body).unwrap_or_default())).collect();
    // One of which nothing is recorded was made before there were editions.
    let goes = |epoch: Epoch| goes.get(&epoch.record_id()).copied().unwrap_or_default();
    let own = goes(epoch).edition;
    Ok(epochs
        .into_iter()
        .filter(|other| *other == epoch || goes(*other) == Goes { edition: own, drill: false })
        .collect())
}

/// Records as the flows over one edition see them: its documents are the documents.
pub struct Editions {
    records: Arc<dyn Records>,
    is_second: AtomicBool,
}

impl Editions {
    /// These records, seen by this edition.
    pub fn new(records: Arc<dyn Records>, edition: Edition) -> Self {
        Self { records, is_second: AtomicBool::new(!edition.is_first()) }
    }

    /// Sees another edition from now on.
    pub fn follow(&self, edition: Edition) {
        self.is_second.store(!edition.is_first(), Ordering::SeqCst);
    }

    /// The same records, seen by this edition for good.
    pub fn fixed(&self, edition: Edition) -> Arc<dyn Records> {
        Arc::new(Self::new(Arc::clone(&self.records), edition))
    }

    fn kind(&self, kind: Kind) -> Kind {
        let edition = if self.is_second.load(Ordering::SeqCst) { Edition::Second } else { Edition::First };
        edition.kind(kind)
    }
}

#[async_trait]
impl Records for Editions {
    fn exclusive(&self) -> bool {
        self.records.exclusive()
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.records.get(self.kind(kind), id).await
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        self.records.get_many(self.kind(kind), ids).await
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        self.records.put_if_absent(self.kind(kind), id, body).await
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        self.records.compare_and_set(self.kind(kind), id, expected, body).await
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        self.records.remove(self.kind(kind), id, expected).await
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.records.list(self.kind(kind), prefix, after, limit).await
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.records.count(self.kind(kind)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.records.close().await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doubles::{RecordsDouble, StoreDouble};

    #[tokio::test]
    async fn documents_of_two_editions_never_meet_and_everything_else_is_shared() {
        let records: Arc<dyn Records> = Arc::<RecordsDouble>::default();
        let first = Editions::new(Arc::clone(&records), Edition::First);
        let second = first.fixed(Edition::Second);
        for kind in Kind::ALL {
            first.put_if_absent(kind, "same", json!("first")).await.unwrap();
            let seen = second.get(kind, "same").await.unwrap();
            let is_shared = !Edition::KINDS.contains(&kind);
            assert_eq!(seen.is_some(), is_shared, "{kind:?}");
        }
        second.put_if_absent(Kind::Document, "new", json!("second")).await.unwrap();
        assert_eq!((first.count(Kind::Document).await, second.count(Kind::Document).await), (Ok(1), Ok(2)));
        first.follow(Edition::Second);
        assert_eq!(first.get(Kind::Document, "new").await.unwrap().unwrap().body, "second");
    }

    #[tokio::test]
    async fn siblings_are_the_epochs_of_the_same_edition_and_never_those_of_drills() {
        let (store, records) = (StoreDouble::default(), RecordsDouble::default());
        let bodies =
            [json!({}), json!({}), json!({ "edition": "second" }), json!({ "edition": "first", "drill": true })];
        for (number, body) in (1..).zip(bodies) {
            store.create_epoch(Epoch(number), 1).await.unwrap();
            records.put_if_absent(Kind::Corpus, &Epoch(number).record_id(), body).await.unwrap();
        }
        store.create_epoch(Epoch(5), 1).await.unwrap();
        let of = async |epoch| siblings(&store, &records, Epoch(epoch)).await.unwrap();
        assert_eq!(of(1).await, [Epoch(1), Epoch(2), Epoch(5)], "of the last nothing is recorded");
        assert_eq!(of(3).await, [Epoch(3)]);
        assert_eq!(of(9).await, [Epoch(1), Epoch(2), Epoch(5)]);
    }
}
