//! Any adapter, with somebody who sees what became of each call, and a span for it. A call that was given up by its caller says nothing about the part, and neither does one that was never made.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tracing::Instrument;

use crate::{
    model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded, Legs, Point},
    ports::{
        EmbedError, Embedder, EmbedderDecorator, Epoch, Index, Kind, Page, Put, Record, Records, RerankError, Reranker,
        Scan, Search, Sight, StoreError, Swap, VectorStore,
    },
    spans,
};

/// A part under this sight.
pub struct Watched<T: ?Sized> {
    inner: Arc<T>,
    sight: Arc<Sight>,
}

impl<T: ?Sized> Watched<T> {
    /// The part, with each of its calls told to `sight`.
    pub fn new(inner: Arc<T>, sight: Arc<Sight>) -> Self {
        Self { inner, sight }
    }

    async fn see<A, E: Tells>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<A, E>> + Send,
    ) -> Result<A, E> {
        let span = spans::call(self.sight.name(), operation);
        let began = Instant::now();
        let result = call.instrument(span.clone()).await;
        if !matches!(result.as_ref().map_err(Tells::tells), Err(Told::Nothing)) {
            self.sight.took(began.elapsed());
        }
        match result.as_ref().map_err(Tells::tells) {
            Ok(_) | Err(Told::Answered) => self.sight.answered(Timestamp::now()),
            Err(Told::Failed(cause)) => {
                spans::failed(&span, cause);
                self.sight.failed(cause, Timestamp::now());
            }
            Err(Told::Nothing) => {}
        }
        result
    }
}

/// What an error tells of the part that was called.
enum Told {
    /// It is there, and did not do this.
    Answered,
    /// It did not answer, for a reason of this class.
    Failed(&'static str),
    /// It was not called.
    Nothing,
}

/// Tells it.
trait Tells {
    fn tells(&self) -> Told;
}

impl Tells for StoreError {
    fn tells(&self) -> Told {
        match self {
            Self::Unreachable { .. }
            | Self::AuthFailed { .. }
            | Self::NoKey { .. }
            | Self::Timeout { .. }
            | Self::RateLimited { .. }
            | Self::InUse { .. }
            | Self::Failed { .. } => Told::Failed(self.cause()),
            Self::Corrupt { .. } | Self::Refused { .. } => Told::Answered,
        }
    }
}

impl Tells for EmbedError {
    fn tells(&self) -> Told {
        match self {
            Self::Unavailable { failure, .. } if failure.was_not_asked() => Told::Nothing,
            Self::Unavailable { failure, .. } => Told::Failed(failure.as_str()),
            Self::Broken { .. } => Told::Failed("failed"),
            Self::Model { .. } | Self::Refused { .. } => Told::Answered,
            Self::Overloaded | Self::Stopping => Told::Nothing,
        }
    }
}

impl Tells for RerankError {
    fn tells(&self) -> Told {
        match self {
            Self::Unreachable { .. } => Told::Failed("unreachable"),
            Self::Refused { .. } => Told::Failed("refused"),
            Self::Garbled { .. } => Told::Failed("garbage"),
            Self::NoKey { .. } => Told::Failed("auth_failed"),
            Self::LeftAlone { .. } | Self::NotAdmitted { .. } => Told::Nothing,
        }
    }
}

#[async_trait]
impl VectorStore for Watched<dyn VectorStore> {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        self.see("active", self.inner.active()).await
    }

    async fn create_epoch(&self, epoch: Epoch, dimension: usize) -> Result<(), StoreError> {
        self.see("create_epoch", self.inner.create_epoch(epoch, dimension)).await
    }

    async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.see("activate", self.inner.activate(epoch)).await
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        self.see("epochs", self.inner.epochs()).await
    }

    async fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.see("drop_epoch", self.inner.drop_epoch(epoch)).await
    }

    async fn upsert(&self, epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError> {
        self.see("upsert", self.inner.upsert(epoch, points)).await
    }

    async fn purge(&self, epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        self.see("purge", self.inner.purge(epoch, document, version)).await
    }

    async fn relabel(&self, epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        self.see("relabel", self.inner.relabel(epoch, document, labels)).await
    }

    async fn embedded(&self, epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        self.see("embedded", self.inner.embedded(epoch, ids)).await
    }

    async fn search(&self, search: &Search) -> Result<Legs, StoreError> {
        self.see("search", self.inner.search(search)).await
    }

    async fn chunks(&self, epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        self.see("chunks", self.inner.chunks(epoch, ids)).await
    }

    async fn scan(&self, epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        self.see("scan", self.inner.scan(epoch, after, limit)).await
    }

    async fn count(&self, epoch: Epoch) -> Result<u64, StoreError> {
        self.see("count", self.inner.count(epoch)).await
    }

    async fn index(&self, epoch: Epoch) -> Result<Option<Index>, StoreError> {
        self.see("index", self.inner.index(epoch)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[async_trait]
impl Records for Watched<dyn Records> {
    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.see("get", self.inner.get(kind, id)).await
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        self.see("get_many", self.inner.get_many(kind, ids)).await
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        self.see("put_if_absent", self.inner.put_if_absent(kind, id, body)).await
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        self.see("compare_and_set", self.inner.compare_and_set(kind, id, expected, body)).await
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        self.see("remove", self.inner.remove(kind, id, expected)).await
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.see("list", self.inner.list(kind, prefix, after, limit)).await
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.see("count", self.inner.count(kind)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[async_trait]
impl EmbedderDecorator for Watched<dyn Embedder> {
    fn inner(&self) -> &dyn Embedder {
        &*self.inner
    }

    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.see("embed_query", self.inner.embed_query(text)).await
    }

    async fn around_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.see("embed_passages", self.inner.embed_passages(texts)).await
    }

    async fn around_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.see("embed_texts", self.inner.embed_texts(texts)).await
    }
}

#[async_trait]
impl Reranker for Watched<dyn Reranker> {
    async fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
        self.see("rerank", self.inner.rerank(question, texts)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        ports::ProviderFailure,
    };

    fn cause(sight: &Sight) -> Option<String> {
        sight.last_seen().and_then(|health| health.cause)
    }

    #[tokio::test]
    async fn a_store_that_stops_answering_is_seen_by_the_next_call_and_one_that_refuses_answers() {
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        let (stores, lists) = (Sight::new("vector store"), Sight::new("records"));
        let watched = Watched::new(Arc::clone(&store) as Arc<dyn VectorStore>, Arc::clone(&stores));
        let listed = Watched::new(Arc::clone(&records) as Arc<dyn Records>, Arc::clone(&lists));
        assert!(stores.last_seen().is_none() && lists.last_seen().is_none());
        watched.active().await.unwrap();
        listed.count(Kind::Document).await.unwrap();
        assert!(stores.last_seen().unwrap().reachable && lists.last_seen().unwrap().reachable);
        store.fail();
        records.fail();
        assert!(watched.search(&Search::default()).await.is_err() && listed.get(Kind::Job, "a").await.is_err());
        assert_eq!((cause(&stores).as_deref(), cause(&lists).as_deref()), (Some("unreachable"), Some("unreachable")));
        let refused = async { Err::<(), _>(StoreError::Refused { store: "a store", cause: "nonsense".to_owned() }) };
        assert!(watched.see("search", refused).await.is_err());
        assert!(stores.last_seen().unwrap().reachable);
    }

    #[tokio::test]
    async fn only_a_call_that_was_made_says_how_an_embedder_is() {
        let sight = Sight::new("embedding model");
        let embedder: Arc<dyn Embedder> = Arc::new(EmbedderDouble::default());
        let watched = Watched::new(embedder, Arc::clone(&sight));
        assert_eq!(
            watched.see("embed_query", async { Err::<(), _>(EmbedError::Overloaded) }).await,
            Err(EmbedError::Overloaded)
        );
        assert_eq!(sight.last_seen(), None);
        let away = EmbedError::Unavailable {
            model: "m".to_owned(),
            failure: ProviderFailure::AuthFailed,
            cause: String::new(),
            retry_after_seconds: None,
        };
        assert!(watched.see("embed_query", async { Err::<(), _>(away) }).await.is_err());
        assert_eq!(cause(&sight).as_deref(), Some("auth_failed"));
        watched.embed_query("anything").await.unwrap();
        assert_eq!(cause(&sight), None);
    }
}
