//! Doubles of the ports: a world of stores that can stop answering after any call, a clock that is set, an embedder that can be held.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::super::{DocumentReport, Format, Ingest, Interrupted, Patience, Source};
pub(super) use crate::doubles::SetClock;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, page},
    model::{Chunk, ChunkId, ContentHash, DocumentId, DocumentRecord, Embedded, Legs, Outcome, Point},
    ports::{
        self, EmbedError, Embedder, Epoch, Kind, ModelIdentity, Page, ProviderFailure, Put, Record, Records, Scan,
        Search, StoreError, Swap, VectorStore,
    },
};

/// What happens to the call after the last one that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    /// It never arrives.
    Before,
    /// It is done, and its answer is lost.
    After,
}

/// Both stores of a deployment.
pub(super) struct World {
    pub(super) points: Mutex<BTreeMap<ChunkId, Point>>,
    records: RecordsDouble,
    left: AtomicI64,
    kill: Mutex<Kill>,
    /// Whether nobody but this process can write here.
    alone: AtomicBool,
    /// Calls that wait to be let through, while they are scheduled.
    waiting: Mutex<Option<Vec<tokio::sync::oneshot::Sender<()>>>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            points: Mutex::default(),
            records: RecordsDouble::default(),
            left: AtomicI64::new(i64::MAX),
            kill: Mutex::new(Kill::Before),
            alone: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }
}

impl World {
    /// Answers `calls` more calls and then none.
    pub(super) fn answer(&self, calls: i64, kill: Kill) {
        *self.kill.lock().unwrap() = kill;
        self.left.store(calls, Ordering::SeqCst);
    }

    /// Answers everything again.
    pub(super) fn revive(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Says whether nobody but one process can write here.
    pub(super) fn keep_others_out(&self, alone: bool) {
        self.alone.store(alone, Ordering::SeqCst);
    }

    /// Answers everything for a while; gives what [`World::resume`] takes.
    pub(super) fn pause(&self) -> i64 {
        self.left.swap(i64::MAX, Ordering::SeqCst)
    }

    pub(super) fn resume(&self, left: i64) {
        self.left.store(left, Ordering::SeqCst);
    }

    /// From now on each call waits until it is let through.
    pub(super) fn schedule(&self) {
        *self.waiting.lock().unwrap() = Some(Vec::new());
    }

    /// Lets all calls through.
    pub(super) fn unschedule(&self) {
        *self.waiting.lock().unwrap() = None;
    }

    /// Makes calls that nobody has to let through.
    pub(super) async fn unscheduled<T>(&self, calls: impl Future<Output = T>) -> T {
        let waiting = self.waiting.lock().unwrap().take();
        let done = calls.await;
        *self.waiting.lock().unwrap() = waiting;
        done
    }

    /// How many calls wait; those of tasks that were killed are forgotten.
    pub(super) fn waiting(&self) -> usize {
        let mut waiting = self.waiting.lock().unwrap();
        waiting.as_mut().map_or(0, |waiting| {
            waiting.retain(|call| !call.is_closed());
            waiting.len()
        })
    }

    pub(super) fn let_through(&self, number: usize) {
        if let Some(waiting) = self.waiting.lock().unwrap().as_mut() {
            let _gone = waiting.remove(number).send(());
        }
    }

    async fn turn(&self) {
        let turn = self.waiting.lock().unwrap().as_mut().map(|waiting| {
            let (mine, turn) = tokio::sync::oneshot::channel();
            waiting.push(mine);
            turn
        });
        if let Some(turn) = turn {
            let _let_through = turn.await;
        }
    }

    async fn through<T>(&self, call: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        self.turn().await;
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let dead = StoreError::Refused { store: "the world", cause: "it was killed".to_owned() };
        if left > 0 {
            return call.await;
        }
        if left == 0 && *self.kill.lock().unwrap() == Kill::After {
            call.await?;
        }
        Err(dead)
    }

    /// Everything that a reader could see or that takes room, without times.
    pub(super) async fn state(&self) -> State {
        let mut left = BTreeMap::new();
        for kind in [Kind::Claim, Kind::Waiting, Kind::Pending, Kind::Lease] {
            let page = self.records.list(kind, "", None, usize::MAX).await.unwrap();
            // What the sweep leaves is where the next one goes on.
            let is_left = |record: &Record| (kind, record.id.as_str()) != (Kind::Lease, "sweep");
            left.insert(kind, page.records.iter().filter(|record| is_left(record)).count() as u64);
        }
        let documents = self.standing().await;
        let places = self.records.count(Kind::Document).await.unwrap() - documents.len() as u64;
        left.insert(Kind::Document, places);
        let documents = documents.into_iter().map(|document| {
            let content = document.content().clone();
            (document.id.to_string(), (content, document.title, document.chunks, document.metadata))
        });
        let texts = self
            .points
            .lock()
            .unwrap()
            .values()
            .map(|p| &p.chunk)
            .map(|c| (c.document.to_string(), c.ordinal, c.text.clone()))
            .collect();
        State { documents: documents.collect(), texts, left }
    }

    /// The records of documents that stand.
    pub(super) async fn standing(&self) -> Vec<DocumentRecord> {
        let page = self.records.list(Kind::Document, "", None, usize::MAX).await.unwrap();
        let standing = page.records.into_iter().filter(ports::stands);
        standing.map(|record| serde_json::from_value(record.body).unwrap()).collect()
    }

    /// Documents whose record promises chunks that are not there.
    pub(super) async fn torn(&self) -> Vec<String> {
        let documents = self.standing().await;
        let points = self.points.lock().unwrap();
        let whole = |document: &DocumentRecord| {
            let chunks = points.values().map(|point| &point.chunk);
            let mut stored = chunks.filter(|c| c.document == document.id && c.version == document.version);
            stored.by_ref().count() == document.chunks as usize
        };
        documents.iter().filter(|document| !whole(document)).map(|document| document.id.to_string()).collect()
    }

    pub(super) fn texts(&self, id: &str) -> Vec<String> {
        self.chunks(id).into_iter().map(|chunk| chunk.text).collect()
    }

    /// What filters look at: the labels of a document's chunks, which are the same for all.
    pub(super) fn labels(&self, id: &str) -> std::collections::BTreeSet<Vec<String>> {
        let points = self.points.lock().unwrap();
        points.values().filter(|point| point.chunk.document.as_str() == id).map(|point| point.labels.clone()).collect()
    }

    pub(super) fn chunks(&self, id: &str) -> Vec<Chunk> {
        let points = self.points.lock().unwrap();
        let mut chunks: Vec<_> =
            points.values().map(|point| &point.chunk).filter(|c| c.document.as_str() == id).cloned().collect();
        chunks.sort_by_key(|chunk| chunk.ordinal);
        chunks
    }
}

type Described = (ContentHash, String, u32, BTreeMap<String, String>);

/// What stands in a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) documents: BTreeMap<String, Described>,
    pub(super) texts: std::collections::BTreeSet<(String, u32, String)>,
    pub(super) left: BTreeMap<Kind, u64>,
}

#[async_trait]
impl VectorStore for World {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        Ok(Some(Epoch(1)))
    }

    async fn create_epoch(&self, _epoch: Epoch, _dimension: usize) -> Result<(), StoreError> {
        Ok(())
    }

    async fn activate(&self, _epoch: Epoch) -> Result<(), StoreError> {
        Ok(())
    }

    async fn upsert(&self, _epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError> {
        self.through(async {
            self.points.lock().unwrap().extend(points.into_iter().map(|point| (point.chunk.id, point)));
            Ok(())
        })
        .await
    }

    async fn purge(&self, _epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        self.through(async {
            let kept = |chunk: &Chunk| chunk.document != *document || chunk.version != *version;
            self.points.lock().unwrap().retain(|_, point| kept(&point.chunk));
            Ok(())
        })
        .await
    }

    async fn relabel(&self, _epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        self.through(async {
            let mut points = self.points.lock().unwrap();
            for point in points.values_mut().filter(|point| point.chunk.document == *document) {
                point.labels = labels.to_vec();
            }
            Ok(())
        })
        .await
    }

    async fn embedded(&self, _epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        self.through(async {
            let points = self.points.lock().unwrap();
            let stored = ids.iter().filter_map(|id| points.get(id)).cloned();
            Ok(stored.map(|Point { chunk, dense, labels, .. }| Embedded { chunk, dense, labels }).collect())
        })
        .await
    }

    async fn search(&self, _search: &Search) -> Result<Legs, StoreError> {
        Ok(Legs::default())
    }

    async fn chunks(&self, _epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        self.through(async {
            let points = self.points.lock().unwrap();
            Ok(ids.iter().filter_map(|id| points.get(id)).map(|point| point.chunk.clone()).collect())
        })
        .await
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(vec![Epoch(1)])
    }

    async fn drop_epoch(&self, _epoch: Epoch) -> Result<(), StoreError> {
        Ok(())
    }

    async fn scan(&self, _epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        self.through(async {
            let points = self.points.lock().unwrap();
            Ok(page(points.values().map(|point| &point.chunk), after, limit))
        })
        .await
    }

    async fn count(&self, _epoch: Epoch) -> Result<u64, StoreError> {
        Ok(self.points.lock().unwrap().len() as u64)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Records for World {
    fn exclusive(&self) -> bool {
        self.alone.load(Ordering::SeqCst)
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        self.through(self.records.get(kind, id)).await
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        self.through(self.records.get_many(kind, ids)).await
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        self.through(self.records.put_if_absent(kind, id, body)).await
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        self.through(self.records.compare_and_set(kind, id, expected, body)).await
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        self.through(self.records.remove(kind, id, expected)).await
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.through(self.records.list(kind, prefix, after, limit)).await
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.through(self.records.count(kind)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Embeds once it is let; fails on passages that hold a word, and on everything while its provider is down.
#[derive(Default)]
pub(super) struct HeldEmbedder {
    pub(super) inner: EmbedderDouble,
    pub(super) hold: Option<(tokio::sync::Semaphore, tokio::sync::Notify)>,
    pub(super) chokes_on: Option<&'static str>,
    /// Its provider breaks down on texts that hold it.
    pub(super) breaks_on: Option<&'static str>,
    /// The program breaks down on texts that hold it.
    pub(super) panics_on: Option<&'static str>,
    /// It is held only on texts that hold this.
    pub(super) held_on: Option<&'static str>,
    pub(super) is_down: AtomicBool,
    /// How often it was asked for passages.
    pub(super) calls: AtomicI64,
}

#[async_trait]
impl Embedder for HeldEmbedder {
    fn model(&self) -> &ModelIdentity {
        self.inner.model()
    }

    fn count_tokens(&self, text: &str) -> usize {
        assert!(!self.panics_on.is_some_and(|word| text.contains(word)), "it breaks down");
        self.inner.count_tokens(text)
    }

    fn max_tokens(&self) -> usize {
        60
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.inner.embed_query(text).await
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let holds = |word: &str| texts.iter().any(|text| text.contains(word));
        if let Some((permits, reached)) = &self.hold
            && self.held_on.is_none_or(holds)
        {
            reached.notify_one();
            permits.acquire().await.unwrap().forget();
        }
        if self.is_down.load(Ordering::SeqCst) || self.breaks_on.is_some_and(holds) {
            return Err(EmbedError::Unavailable {
                model: "double".to_owned(),
                failure: ProviderFailure::Failed,
                cause: "status 500".to_owned(),
                retry_after_seconds: None,
            });
        }
        if self.chokes_on.is_some_and(holds) {
            return Err(EmbedError::Model { model: "double".to_owned(), cause: "it chokes".to_owned() });
        }
        self.inner.embed_passages(texts).await
    }
}

/// A new world with one replica.
pub(super) fn world() -> (Arc<World>, Arc<SetClock>, Ingest) {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    (world, clock, flow)
}

/// A replica over a world.
pub(super) fn replica(world: &Arc<World>, clock: &Arc<SetClock>) -> Ingest {
    replica_with(world, clock, Arc::default())
}

pub(super) fn replica_with(world: &Arc<World>, clock: &Arc<SetClock>, embedder: Arc<HeldEmbedder>) -> Ingest {
    let (store, records) = (Arc::clone(world), Arc::clone(world));
    let patience = Patience { attempts: 2, first: Duration::from_millis(1), poll: Duration::from_millis(2) };
    Ingest::new(store, records, embedder, Arc::<SetClock>::clone(clock), Epoch(1)).patience(patience)
}

pub(super) fn markdown(id: &str, text: &str) -> Source {
    Source::text(id.parse().unwrap(), Format::Markdown, text)
}

/// A text of several chunks.
pub(super) fn long(word: &str) -> String {
    format!("# About {word}\n\n{}", format!("The {word} is explained in this sentence of ten words.\n\n").repeat(16))
}

/// Ingests and gives the reports by name.
pub(super) async fn ingest(
    ingest: &Ingest,
    sources: Vec<Source>,
) -> (BTreeMap<String, Result<Outcome, String>>, Result<(), Interrupted>) {
    let mut reports = BTreeMap::new();
    let ended = ingest
        .ingest_all(sources, &CancellationToken::new(), &mut |report: DocumentReport| {
            let before = reports.insert(report.name.clone(), report.result.map_err(|e| e.class().to_owned()));
            assert!(before.is_none(), "{} is reported twice", report.name);
        })
        .await;
    (reports, ended)
}
