//! What the stored corpus was built with, and whose it is.
//!
//! Guarantees: vectors of one model or one sparse encoder are never searched with those of another, and nobody writes into somebody else's corpus. Several servers may start at once on empty stores: they agree on one epoch.
//! An id tells owners apart that have the same name in two Kubernetes clusters. A record of before there were ids has none: the first owner of its name that comes with an id has it from then on.
//! Assumption: the record of an epoch is written before the epoch is activated, so an active epoch without a record has lost it.

pub mod begun;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ingest::chunk,
    lexical,
    ports::{Edition, Embedder, Epoch, Kind, ModelIdentity, Put, Records, StoreError, Swap, VectorStore},
};

/// The epoch that a first start makes.
pub const FIRST: Epoch = Epoch(1);

/// The class of the cause where a corpus is somebody else's, for those who wait for it.
pub const FOREIGN: &str = "belongs_to_another_cluster";

/// The class of the cause where a restore was begun and is not done.
pub const RESTORING: &str = "restore_not_done";

/// Whom a corpus belongs to, or a server works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// As `namespace/name`.
    pub name: String,
    /// What was minted for it once; none where nobody mints, and in records of before there were ids.
    pub id: Option<String>,
}

impl Owner {
    /// Whether both are one. The name decides only where one of them has no id.
    fn is(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(other)) => one == other,
            _ => self.name == other.name,
        }
    }

    /// What makes a server work for it.
    fn setting(&self) -> String {
        match &self.id {
            Some(id) => format!("owner_id = {id:?}"),
            None => format!("owner = {:?}", self.name),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{:?} with the id {id:?}", self.name),
            None => write!(f, "{:?}", self.name),
        }
    }
}

/// What an epoch was built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltWith {
    /// Whose corpus it is, as `namespace/name`.
    pub owner: String,
    /// The id of its owner. Servers of before there were ids read past it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The embedding model of the dense vectors.
    pub model: ModelIdentity,
    /// Version of the sparse encoder.
    pub lexical: String,
    /// Version of the chunker when the epoch was made. Another one is no obstacle: a document's hash includes it, so documents are cut anew when they are ingested again.
    pub chunker: String,
    /// The records of documents that it goes with.
    #[serde(default, skip_serializing_if = "Edition::is_first")]
    pub edition: Edition,
    /// Whether a drill made it, which removes it again: nobody else takes it for a corpus.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
}

impl BuiltWith {
    /// Whose corpus it is.
    pub fn owner(&self) -> Owner {
        Owner { name: self.owner.clone(), id: self.owner_id.clone() }
    }

    /// Whether both are of one owner and were built alike.
    pub fn is_like(&self, other: &Self) -> bool {
        let Self { owner: _, owner_id: _, model, lexical, chunker, edition, drill } = self;
        let here = (model, lexical, chunker, edition, drill);
        let there = (&other.model, &other.lexical, &other.chunker, &other.edition, &other.drill);
        self.owner().is(&other.owner()) && here == there
    }
}

/// Why a corpus is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorpusError {
    /// A store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It belongs to somebody else.
    #[error(
        "the corpus belongs to {found} and this server works for {expected}; name another folder or collection in vector_store, or set {} to take it over",
        .found.setting()
    )]
    Foreign {
        /// Whose it is.
        found: Owner,
        /// Whom this server works for.
        expected: Owner,
    },
    /// Its vectors are of another model.
    #[error(
        "epoch {} holds vectors of {} ({} numbers) and this server embeds with {} ({} numbers); run `rag-server reindex` to embed the stored texts with the new one, name the old one in embedding.previous to do so while questions are answered, or configure the old model",
        .epoch.0, .found.name, .found.dimension, .expected.name, .expected.dimension
    )]
    Model {
        /// Which epoch.
        epoch: Epoch,
        /// The model that it was built with.
        found: ModelIdentity,
        /// The model of this server.
        expected: ModelIdentity,
    },
    /// Its term weights are of another version of the sparse encoder.
    #[error(
        "epoch {} was built with the sparse encoder {found} and this server has {expected}; run `rag-server reindex`, or use the version of rag-server that built it",
        .epoch.0
    )]
    Lexical {
        /// Which epoch.
        epoch: Epoch,
        /// The encoder's version that it was built with.
        found: String,
        /// The encoder's version of this server.
        expected: &'static str,
    },
    /// There are vectors, and no record says of what.
    #[error(
        "the vector store serves epoch {} and the records do not know it; restore the records, or remove the vectors and ingest again",
        .0.0
    )]
    Unrecorded(Epoch),
    /// A restore was begun, and not all of it is there.
    #[error(
        "a restore of snapshot {snapshot} into these stores was begun and is not done; run `rag-server snapshot restore {snapshot}` again, which goes on with it"
    )]
    Restoring {
        /// Of which snapshot.
        snapshot: String,
    },
    /// There are documents, and their vectors are gone.
    #[error(
        "the records list {0} documents and the vector store is empty; restore the vector store, or remove the records and ingest again"
    )]
    VectorsLost(u64),
}

/// Makes sure that the stores hold a corpus of `owner` that fits this server, making an empty one on a first start. Returns the active epoch.
pub async fn open(
    store: &dyn VectorStore,
    records: &dyn Records,
    embedder: &dyn Embedder,
    owner: &Owner,
) -> Result<Epoch, CorpusError> {
    let here = built_with(embedder, owner);
    begun::refuse(records).await?;
    match store.active().await? {
        Some(epoch) => check(records, epoch, &here).await,
        None => start(store, records, &here).await,
    }
}

/// What an epoch that is made here and now is built with.
pub fn built_with(embedder: &dyn Embedder, owner: &Owner) -> BuiltWith {
    BuiltWith {
        owner: owner.name.clone(),
        owner_id: owner.id.clone(),
        model: embedder.model().clone(),
        lexical: lexical::VERSION.to_owned(),
        chunker: chunk::VERSION.to_owned(),
        edition: Edition::First,
        drill: false,
    }
}

/// The edition of documents that an epoch goes with: the first where nothing is recorded.
pub async fn edition(records: &dyn Records, epoch: Option<Epoch>) -> Result<Edition, CorpusError> {
    let Some(epoch) = epoch else { return Ok(Edition::First) };
    Ok(recorded(records, epoch).await?.map_or(Edition::First, |built| built.edition))
}

/// What an epoch was built with, if it was ever recorded.
pub async fn recorded(records: &dyn Records, epoch: Epoch) -> Result<Option<BuiltWith>, CorpusError> {
    let record = records.get(Kind::Corpus, &epoch.record_id()).await?;
    record.map(|record| read(epoch, record.body)).transpose()
}

/// Records what an epoch is built with, unless it is recorded already; tells what stands.
pub async fn record(records: &dyn Records, epoch: Epoch, here: &BuiltWith) -> Result<BuiltWith, CorpusError> {
    match records.put_if_absent(Kind::Corpus, &epoch.record_id(), written(epoch, here)?).await? {
        Put::Created(_) => Ok(here.clone()),
        Put::Existing(standing) => read(epoch, standing.body),
    }
}

/// Records that the next epoch, whose number none has that exists, is built like this; tells which one. To be called before anything is written to it.
pub async fn record_next(
    store: &dyn VectorStore,
    records: &dyn Records,
    here: &BuiltWith,
) -> Result<Epoch, CorpusError> {
    let newest = store.epochs().await?.into_iter().max();
    let mut number = newest.map_or(1, |newest| newest.0.saturating_add(1));
    while !record(records, Epoch(number), here).await?.is_like(here) {
        number = number.saturating_add(1);
    }
    Ok(Epoch(number))
}

/// Refuses an epoch of somebody else, and notes the owner's id where none is noted yet. Of two who come at once with different ids, one has it and the other is refused. Tells what stands.
pub async fn adopt(records: &dyn Records, epoch: Epoch, owner: &Owner) -> Result<BuiltWith, CorpusError> {
    let mut record = records.get(Kind::Corpus, &epoch.record_id()).await?;
    loop {
        let Some(standing) = record else { return Err(CorpusError::Unrecorded(epoch)) };
        let found = read(epoch, standing.body)?;
        owned(&found, owner)?;
        if found.owner_id.is_some() || owner.id.is_none() {
            return Ok(found);
        }
        let marked = written(epoch, &BuiltWith { owner_id: owner.id.clone(), ..found })?;
        match records.compare_and_set(Kind::Corpus, &epoch.record_id(), standing.version, marked).await? {
            Swap::Done(done) => return read(epoch, done.body),
            Swap::Conflict(standing) => record = standing,
        }
    }
}

/// Refuses a corpus of somebody else.
pub fn owned(found: &BuiltWith, owner: &Owner) -> Result<(), CorpusError> {
    let found = found.owner();
    if found.is(owner) {
        return Ok(());
    }
    Err(CorpusError::Foreign { found, expected: owner.clone() })
}

async fn start(store: &dyn VectorStore, records: &dyn Records, here: &BuiltWith) -> Result<Epoch, CorpusError> {
    record(records, FIRST, here).await?;
    let standing = adopt(records, FIRST, &here.owner()).await?;
    fits(FIRST, &standing, here)?;
    // Counted before the second look: documents only come once an epoch is active.
    // Of either edition: which one stands is known by the active epoch alone.
    let documents = records.count(Kind::Document).await? + records.count(Kind::SecondDocument).await?;
    if let Some(epoch) = store.active().await? {
        return check(records, epoch, here).await;
    }
    if documents > 0 {
        return Err(CorpusError::VectorsLost(documents));
    }
    store.create_epoch(FIRST, here.model.dimension).await?;
    store.activate(FIRST).await?;
    Ok(FIRST)
}

async fn check(records: &dyn Records, epoch: Epoch, here: &BuiltWith) -> Result<Epoch, CorpusError> {
    let found = adopt(records, epoch, &here.owner()).await?;
    fits(epoch, &found, here)?;
    if found.lexical != here.lexical {
        tracing::info!(
            found = found.lexical,
            here = here.lexical,
            "the corpus was built with an older sparse encoder, which is searched, too; run `rag-server reindex` for the better ranking of the new one"
        );
    }
    if found.chunker != here.chunker {
        tracing::info!(
            found = found.chunker,
            here = here.chunker,
            "documents were cut by another version of the chunker; each is cut anew when it is ingested again"
        );
    }
    Ok(epoch)
}

/// Whether the vectors of a corpus may be searched here; nothing is said about the chunker, see [`BuiltWith`].
fn fits(epoch: Epoch, found: &BuiltWith, here: &BuiltWith) -> Result<(), CorpusError> {
    if found.model != here.model {
        return Err(CorpusError::Model { epoch, found: found.model.clone(), expected: here.model.clone() });
    }
    if !lexical::READABLE.contains(&found.lexical.as_str()) {
        return Err(CorpusError::Lexical { epoch, found: found.lexical.clone(), expected: lexical::VERSION });
    }
    Ok(())
}

fn written(epoch: Epoch, built: &BuiltWith) -> Result<serde_json::Value, CorpusError> {
    serde_json::to_value(built).map_err(|e| corrupt(epoch, &e))
}

/// What the body of its record says that an epoch is built with.
pub fn read(epoch: Epoch, body: serde_json::Value) -> Result<BuiltWith, CorpusError> {
    serde_json::from_value(body).map_err(|e| corrupt(epoch, &e))
}

fn corrupt(epoch: Epoch, error: &serde_json::Error) -> CorpusError {
    StoreError::Corrupt { what: format!("the record of epoch {}", epoch.0), cause: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doubles::{EmbedderDouble, RecordsDouble, StoreDouble};

    #[derive(Default)]
    struct Stores {
        store: StoreDouble,
        records: RecordsDouble,
        embedder: EmbedderDouble,
    }

    impl Stores {
        async fn open(&self, owner: &str) -> Result<Epoch, CorpusError> {
            self.open_for(&Owner { name: owner.to_owned(), id: None }).await
        }

        async fn open_for(&self, owner: &Owner) -> Result<Epoch, CorpusError> {
            open(&self.store, &self.records, &self.embedder, owner).await
        }

        async fn opened() -> Self {
            let stores = Self::default();
            assert_eq!(stores.open("local").await, Ok(FIRST));
            stores
        }

        /// Changes one field of the first epoch's record.
        async fn altered(field: &str, value: serde_json::Value) -> Self {
            let stores = Self::opened().await;
            let record = stores.records.get(Kind::Corpus, "e1").await.unwrap().unwrap();
            let mut body = record.body;
            body[field] = value;
            stores.records.compare_and_set(Kind::Corpus, "e1", record.version, body).await.unwrap();
            stores
        }
    }

    #[tokio::test]
    async fn a_first_start_makes_and_records_an_epoch_and_later_starts_find_it() {
        let stores = Stores::opened().await;
        assert_eq!(stores.store.active().await, Ok(Some(FIRST)));
        assert_eq!(stores.open("local").await, Ok(FIRST));
        assert_eq!(stores.records.count(Kind::Corpus).await, Ok(1));
    }

    #[tokio::test]
    async fn servers_that_start_at_once_agree() {
        let stores = Stores::default();
        let all = futures::future::join_all((0..3).map(|_| stores.open("local"))).await;
        assert_eq!(all, [Ok(FIRST), Ok(FIRST), Ok(FIRST)]);
    }

    #[tokio::test]
    async fn a_start_that_was_cut_short_is_taken_up_again() {
        let stores = Stores::default();
        let body = serde_json::to_value(BuiltWith {
            owner: "local".to_owned(),
            owner_id: None,
            model: stores.embedder.model().clone(),
            lexical: lexical::VERSION.to_owned(),
            chunker: chunk::VERSION.to_owned(),
            edition: Edition::First,
            drill: false,
        });
        stores.records.put_if_absent(Kind::Corpus, "e1", body.unwrap()).await.unwrap();
        assert_eq!(stores.open("local").await, Ok(FIRST));
        assert_eq!(stores.store.active().await, Ok(Some(FIRST)));
    }

    #[tokio::test]
    async fn somebody_elses_corpus_is_refused_with_both_names() {
        let stores = Stores::opened().await;
        let refused = stores.open("team-a/handbook").await.unwrap_err().to_string();
        assert!(refused.contains("\"local\"") && refused.contains("\"team-a/handbook\""), "{refused}");
    }

    fn minted(id: &str) -> Owner {
        Owner { name: "team-a/handbook".to_owned(), id: Some(id.to_owned()) }
    }

    #[tokio::test]
    async fn of_two_clusters_of_one_name_the_second_is_refused_with_what_would_take_the_corpus_over() {
        let stores = Stores::default();
        assert_eq!(stores.open_for(&minted("one")).await, Ok(FIRST));
        let refused = stores.open_for(&minted("other")).await.unwrap_err();
        assert_eq!(refused, CorpusError::Foreign { found: minted("one"), expected: minted("other") });
        let said = refused.to_string();
        assert!(said.contains("the id \"one\"") && said.contains("set owner_id = \"one\""), "{said}");
        assert_eq!(stores.open_for(&minted("one")).await, Ok(FIRST));
    }

    #[tokio::test]
    async fn of_two_clusters_that_start_at_once_on_empty_stores_one_has_the_corpus() {
        let stores = Stores::default();
        let (one, other) = (minted("one"), minted("other"));
        let (first, second) = futures::future::join(stores.open_for(&one), stores.open_for(&other)).await;
        assert_eq!([&first, &second].into_iter().filter(|opened| opened.is_ok()).count(), 1, "{first:?} {second:?}");
    }

    #[tokio::test]
    async fn a_corpus_of_before_there_were_ids_is_adopted_by_its_name_and_has_the_id_from_then_on() {
        let stores = Stores::default();
        let (before, one, other) = (Owner { id: None, ..minted("") }, minted("one"), minted("other"));
        assert_eq!(stores.open_for(&before).await, Ok(FIRST));
        let namesake = Owner { name: "team-b/handbook".to_owned(), ..minted("one") };
        assert!(matches!(stores.open_for(&namesake).await, Err(CorpusError::Foreign { .. })));
        let (first, second) = futures::future::join(stores.open_for(&one), stores.open_for(&other)).await;
        assert_eq!([&first, &second].into_iter().filter(|opened| opened.is_ok()).count(), 1, "{first:?} {second:?}");
        let has = recorded(&stores.records, FIRST).await.unwrap().unwrap().owner();
        assert!([&one, &other].contains(&&has), "{has}");
        // A revision that was frozen without an id is gone back to, and takes nothing away.
        assert_eq!(stores.open_for(&before).await, Ok(FIRST));
        assert_eq!(recorded(&stores.records, FIRST).await.unwrap().unwrap().owner(), has);
    }

    #[tokio::test]
    async fn the_id_is_its_owner_under_another_name_too() {
        let stores = Stores::default();
        assert_eq!(stores.open_for(&minted("one")).await, Ok(FIRST));
        let moved = Owner { name: "team-b/handbook".to_owned(), ..minted("one") };
        assert_eq!(stores.open_for(&moved).await, Ok(FIRST));
    }

    #[tokio::test]
    async fn vectors_of_another_model_or_encoder_are_refused() {
        let stores = Stores::altered("model", json!({ "name": "other", "dimension": 768 })).await;
        let refused = stores.open("local").await.unwrap_err();
        assert!(matches!(&refused, CorpusError::Model { found, .. } if found.dimension == 768), "{refused}");
        let stores = Stores::altered("lexical", json!("older-0")).await;
        let refused = stores.open("local").await.unwrap_err().to_string();
        assert!(refused.contains("older-0") && refused.contains(lexical::VERSION), "{refused}");
    }

    #[tokio::test]
    async fn a_corpus_of_an_older_encoder_is_served() {
        for version in ["english-1", "english-2"] {
            assert_eq!(Stores::altered("lexical", json!(version)).await.open("local").await, Ok(FIRST));
        }
    }

    #[tokio::test]
    async fn another_chunker_is_no_obstacle() {
        assert_eq!(Stores::altered("chunker", json!("older-0")).await.open("local").await, Ok(FIRST));
    }

    #[tokio::test]
    async fn vectors_without_records_and_records_without_vectors_are_refused() {
        let stores = Stores::default();
        stores.store.create_epoch(Epoch(3), 512).await.unwrap();
        stores.store.activate(Epoch(3)).await.unwrap();
        assert_eq!(stores.open("local").await, Err(CorpusError::Unrecorded(Epoch(3))));
        let stores = Stores::default();
        stores.records.put_if_absent(Kind::Document, "a", json!({})).await.unwrap();
        assert_eq!(stores.open("local").await, Err(CorpusError::VectorsLost(1)));
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_a_store_error_to_wait_for() {
        let stores = Stores::opened().await;
        stores.store.fail();
        assert!(matches!(stores.open("local").await, Err(CorpusError::Store(e)) if e.is_transient()));
    }
}
