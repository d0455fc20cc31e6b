//! What the stored corpus was built with, and whose it is.
//!
//! Guarantees: vectors of one model or one sparse encoder are never searched with those of another, and nobody writes into somebody else's corpus. Several servers may start at once on empty stores: they agree on one epoch.
//! Assumption: the record of an epoch is written before the epoch is activated, so an active epoch without a record has lost it.

use serde::{Deserialize, Serialize};

use crate::{
    ingest::chunk,
    lexical,
    ports::{Embedder, Epoch, Kind, ModelIdentity, Put, Records, StoreError, VectorStore},
};

/// The epoch that a first start makes.
const FIRST: Epoch = Epoch(1);

/// What an epoch was built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltWith {
    /// Whose corpus it is, as `namespace/name`.
    pub owner: String,
    /// The embedding model of the dense vectors.
    pub model: ModelIdentity,
    /// Version of the sparse encoder.
    pub lexical: String,
    /// Version of the chunker when the epoch was made. Another one is no obstacle: a document's hash includes it, so documents are cut anew when they are ingested again.
    pub chunker: String,
}

/// Why a corpus is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorpusError {
    /// A store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It belongs to somebody else.
    #[error(
        "the corpus belongs to {found:?} and this server works for {expected:?}; name another folder or collection in vector_store, or set owner = {found:?} to take it over"
    )]
    Foreign {
        /// Whose it is.
        found: String,
        /// Whom this server works for.
        expected: String,
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
    owner: &str,
) -> Result<Epoch, CorpusError> {
    let here = built_with(embedder, owner);
    match store.active().await? {
        Some(epoch) => check(records, epoch, &here).await,
        None => start(store, records, &here).await,
    }
}

/// What an epoch that is made here and now is built with.
pub fn built_with(embedder: &dyn Embedder, owner: &str) -> BuiltWith {
    BuiltWith {
        owner: owner.to_owned(),
        model: embedder.model().clone(),
        lexical: lexical::VERSION.to_owned(),
        chunker: chunk::VERSION.to_owned(),
    }
}

/// What an epoch was built with, if it was ever recorded.
pub async fn recorded(records: &dyn Records, epoch: Epoch) -> Result<Option<BuiltWith>, CorpusError> {
    let record = records.get(Kind::Corpus, &epoch.record_id()).await?;
    record.map(|record| read(epoch, record.body)).transpose()
}

/// Records what an epoch is built with, unless it is recorded already; tells what stands.
pub async fn record(records: &dyn Records, epoch: Epoch, here: &BuiltWith) -> Result<BuiltWith, CorpusError> {
    let body = serde_json::to_value(here).map_err(|e| corrupt(epoch, &e))?;
    match records.put_if_absent(Kind::Corpus, &epoch.record_id(), body).await? {
        Put::Created(_) => Ok(here.clone()),
        Put::Existing(standing) => read(epoch, standing.body),
    }
}

/// Refuses a corpus of somebody else.
pub fn owned(found: &BuiltWith, owner: &str) -> Result<(), CorpusError> {
    if found.owner == owner {
        return Ok(());
    }
    Err(CorpusError::Foreign { found: found.owner.clone(), expected: owner.to_owned() })
}

async fn start(store: &dyn VectorStore, records: &dyn Records, here: &BuiltWith) -> Result<Epoch, CorpusError> {
    let standing = record(records, FIRST, here).await?;
    fits(FIRST, &standing, here)?;
    // Counted before the second look: documents only come once an epoch is active.
    let documents = records.count(Kind::Document).await?;
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
    let found = recorded(records, epoch).await?.ok_or(CorpusError::Unrecorded(epoch))?;
    fits(epoch, &found, here)?;
    if found.lexical != here.lexical {
        tracing::info!(
            found = found.lexical,
            here = here.lexical,
            "the corpus was built with an older sparse encoder, which is searched, too; ingest into an empty folder or collection for the better ranking of the new one"
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

/// Whether a corpus may be served; nothing is said about the chunker, see [`BuiltWith`].
fn fits(epoch: Epoch, found: &BuiltWith, here: &BuiltWith) -> Result<(), CorpusError> {
    owned(found, &here.owner)?;
    if found.model != here.model {
        return Err(CorpusError::Model { epoch, found: found.model.clone(), expected: here.model.clone() });
    }
    if !lexical::READABLE.contains(&found.lexical.as_str()) {
        return Err(CorpusError::Lexical { epoch, found: found.lexical.clone(), expected: lexical::VERSION });
    }
    Ok(())
}

fn read(epoch: Epoch, body: serde_json::Value) -> Result<BuiltWith, CorpusError> {
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
            model: stores.embedder.model().clone(),
            lexical: lexical::VERSION.to_owned(),
            chunker: chunk::VERSION.to_owned(),
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
    async fn a_corpus_of_the_encoder_without_pairs_is_served() {
        assert_eq!(Stores::altered("lexical", json!("english-1")).await.open("local").await, Ok(FIRST));
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
