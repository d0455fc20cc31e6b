//! In-memory doubles of the ports, for tests of the flows. They keep the promises of the ports in the plainest way: exact scans over maps.
//!
//! Doubles can be told to fail, which the real adapters cannot be.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    model::{
        Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Embedded, Legs, Point, Scored, Similarity, SparseVector,
    },
    ports::{
        Clock, EmbedError, Embedder, Epoch, Kind, ModelIdentity, Only, Page, Put, Record, Records, Scan, Search,
        StoreError, Swap, VectorStore,
    },
};

/// Looks until a condition holds: the one place in which a test of the flows waits.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    let looking = async {
        looks.tick().await;
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// Generous, because a busy machine is no defect.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that stands until it is set.
pub(crate) struct SetClock(Mutex<(Timestamp, Duration)>);

impl Default for SetClock {
    fn default() -> Self {
        Self(Mutex::new(("2026-11-21T08:00:00Z".parse().unwrap(), Duration::ZERO)))
    }
}

impl SetClock {
    /// Time passes.
    pub(crate) fn advance(&self, by: SignedDuration) {
        self.set(by);
        self.0.lock().unwrap().1 += by.unsigned_abs();
    }

    /// Somebody sets the wall clock to another time.
    pub(crate) fn set(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        now.0 = now.0.checked_add(by).unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn steady(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// What a double answers once it is told to fail.
fn failure(store: &'static str) -> StoreError {
    StoreError::Unreachable { store, address: "nowhere".to_owned(), cause: "told to fail".to_owned() }
}

/// Embeds by counting words: texts that share words are near, others are orthogonal.
#[derive(Clone)]
pub(crate) struct EmbedderDouble {
    identity: ModelIdentity,
}

impl Default for EmbedderDouble {
    fn default() -> Self {
        Self { identity: ModelIdentity { name: "double".to_owned(), dimension: 512 } }
    }
}

impl EmbedderDouble {
    /// Another model.
    pub(crate) fn of(name: &str, dimension: usize) -> Self {
        Self { identity: ModelIdentity { name: name.to_owned(), dimension } }
    }

    fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.identity.dimension];
        for term in crate::lexical::terms(text) {
            vector[term as usize % self.identity.dimension] += 1.0;
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        } else {
            vector[0] = 1.0;
        }
        vector
    }
}

#[async_trait]
impl Embedder for EmbedderDouble {
    fn model(&self) -> &ModelIdentity {
        &self.identity
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn max_tokens(&self) -> usize {
        254
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(self.embed(text))
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| self.embed(text)).collect())
    }
}

/// Embeds as models do whose cosines are all high: what two texts have nothing of in common reaches 0.8.
#[derive(Clone, Default)]
pub(crate) struct HighCosines(EmbedderDouble);

impl HighCosines {
    fn raised(mut vector: Vec<f32>) -> Vec<f32> {
        vector.iter_mut().for_each(|value| *value *= 0.2_f32.sqrt());
        vector.push(0.8_f32.sqrt());
        vector
    }
}

#[async_trait]
impl Embedder for HighCosines {
    fn model(&self) -> &ModelIdentity {
        self.0.model()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(Self::raised(self.0.embed_query(text).await?))
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(self.0.embed_passages(texts).await?.into_iter().map(Self::raised).collect())
    }
}

/// How many calls a store answers still.
struct Life(AtomicI64);

impl Default for Life {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Life {
    fn spend(&self, store: &'static str) -> Result<(), StoreError> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(failure(store)) }
    }
}

#[derive(Default)]
struct Epochs {
    active: Option<Epoch>,
    points: BTreeMap<Epoch, Vec<Point>>,
}

/// A vector store that scans every point.
#[derive(Default)]
pub(crate) struct StoreDouble {
    epochs: Mutex<Epochs>,
    life: Life,
    /// Chunks that were given away.
    given: AtomicUsize,
}

impl StoreDouble {
    /// Every later call fails.
    pub(crate) fn fail(&self) {
        self.die_after(0);
    }

    /// Answers so many calls, and fails at every later one.
    pub(crate) fn die_after(&self, calls: i64) {
        self.life.0.store(calls, Ordering::SeqCst);
    }

    /// How many chunks were given away so far.
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    fn epochs(&self) -> Result<std::sync::MutexGuard<'_, Epochs>, StoreError> {
        self.life.spend("the vector store")?;
        Ok(self.epochs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn no_epoch() -> StoreError {
    StoreError::Refused { store: "the vector store", cause: "the epoch does not exist".to_owned() }
}

/// One page of these chunks.
pub(crate) fn page<'a>(chunks: impl Iterator<Item = &'a Chunk>, after: Option<ChunkId>, limit: usize) -> Scan {
    let held = |chunk: &Chunk| ChunkPlace {
        id: chunk.id,
        document: chunk.document.clone(),
        version: chunk.version.clone(),
        ordinal: chunk.ordinal,
    };
    let mut held: Vec<ChunkPlace> = chunks.filter(|chunk| Some(chunk.id) > after).map(held).collect();
    held.sort_unstable_by_key(|held| held.id);
    let more = held.len() > limit;
    held.truncate(limit);
    let next = held.last().filter(|_| more).map(|held| held.id);
    Scan { held, next }
}

fn ranked(points: &[Point], limit: usize, score: impl Fn(&Point) -> f32) -> Vec<Scored> {
    let mut hits: Vec<_> =
        points.iter().map(|point| Scored { chunk: point.chunk.id, score: Similarity(score(point)) }).collect();
    hits.sort_by(|a, b| Similarity::best_first(a.score, b.score).then_with(|| a.chunk.cmp(&b.chunk)));
    hits.truncate(limit);
    hits
}

fn is_looked_at(point: &Point, only: &Only) -> bool {
    only.tenant.as_ref().is_none_or(|tenant| point.chunk.document.tenant() == *tenant)
        && only.labels.iter().all(|any| any.iter().any(|label| point.labels.contains(label)))
}

fn bm25(points: &[Point], query: &SparseVector, point: &Point) -> f32 {
    let holding = |term: &u32| points.iter().filter(|p| p.sparse.indices.contains(term)).count() as f32;
    let idf = |term: &u32| (1.0 + (points.len() as f32 - holding(term) + 0.5) / (holding(term) + 0.5)).ln();
    let weight = |term: &u32| point.sparse.indices.iter().position(|i| i == term).map(|at| point.sparse.values[at]);
    query.indices.iter().filter_map(|term| Some(weight(term)? * idf(term))).sum()
}

#[async_trait]
impl VectorStore for StoreDouble {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        Ok(self.epochs()?.active)
    }

    async fn create_epoch(&self, epoch: Epoch, _dimension: usize) -> Result<(), StoreError> {
        self.epochs()?.points.entry(epoch).or_default();
        Ok(())
    }

    async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.epochs()?.active = Some(epoch);
        Ok(())
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(self.epochs()?.points.keys().copied().collect())
    }

    async fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut epochs = self.epochs()?;
        if epochs.active == Some(epoch) {
            return Err(StoreError::Refused { store: "the vector store", cause: "it is active".to_owned() });
        }
        epochs.points.remove(&epoch);
        Ok(())
    }

    async fn upsert(&self, epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError> {
        let mut epochs = self.epochs()?;
        let stored = epochs.points.get_mut(&epoch).ok_or_else(no_epoch)?;
        for point in points {
            stored.retain(|other| other.chunk.id != point.chunk.id);
            stored.push(point);
        }
        Ok(())
    }

    async fn purge(&self, epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        let mut epochs = self.epochs()?;
        let stored = epochs.points.get_mut(&epoch).ok_or_else(no_epoch)?;
        stored.retain(|point| point.chunk.document != *document || point.chunk.version != *version);
        Ok(())
    }

    async fn relabel(&self, epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        let mut epochs = self.epochs()?;
        let stored = epochs.points.get_mut(&epoch).ok_or_else(no_epoch)?;
        for point in stored.iter_mut().filter(|point| point.chunk.document == *document) {
            point.labels = labels.to_vec();
        }
        Ok(())
    }

    async fn embedded(&self, epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        let epochs = self.epochs()?;
        let stored = epochs.points.get(&epoch).into_iter().flatten().filter(|point| ids.contains(&point.chunk.id));
        let stored = stored.cloned().map(|Point { chunk, dense, labels, .. }| Embedded { chunk, dense, labels });
        let stored: Vec<_> = stored.collect();
        self.given.fetch_add(stored.len(), Ordering::SeqCst);
        Ok(stored)
    }

    async fn search(&self, search: &Search) -> Result<Legs, StoreError> {
        let epochs = self.epochs()?;
        let Some(points) = search.epoch.or(epochs.active).and_then(|epoch| epochs.points.get(&epoch)) else {
            return Ok(Legs::default());
        };
        let cosine = |vector: &Vec<f32>, point: &Point| vector.iter().zip(&point.dense).map(|(a, b)| a * b).sum();
        let looked_at: Vec<Point> = points.iter().filter(|point| is_looked_at(point, &search.only)).cloned().collect();
        let dense = search.dense.as_ref().map(|vector| ranked(&looked_at, search.limit, |point| cosine(vector, point)));
        let lexical = search.lexical.as_ref().map(|terms| {
            let mut hits = ranked(&looked_at, search.limit, |point| bm25(points, terms, point));
            hits.retain(|hit| hit.score.0 > 0.0);
            hits
        });
        Ok(Legs { dense: dense.unwrap_or_default(), lexical: lexical.unwrap_or_default() })
    }

    async fn chunks(&self, epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        let epochs = self.epochs()?;
        let points = epoch.or(epochs.active).and_then(|epoch| epochs.points.get(&epoch)).into_iter().flatten();
        let stored = points.map(|point| &point.chunk).filter(|chunk| ids.contains(&chunk.id));
        let stored: Vec<_> = stored.cloned().collect();
        self.given.fetch_add(stored.len(), Ordering::SeqCst);
        Ok(stored)
    }

    async fn scan(&self, epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        let epochs = self.epochs()?;
        let stored = epochs.points.get(&epoch).ok_or_else(no_epoch)?;
        Ok(page(stored.iter().map(|point| &point.chunk), after, limit))
    }

    async fn count(&self, epoch: Epoch) -> Result<u64, StoreError> {
        Ok(self.epochs()?.points.get(&epoch).map_or(0, |points| points.len() as u64))
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Records in a map.
#[derive(Default)]
pub(crate) struct RecordsDouble {
    records: Mutex<HashMap<Kind, BTreeMap<String, Record>>>,
    /// The highest version that was ever removed.
    removed: AtomicU64,
    life: Life,
    /// The call whose answer is lost, counted from the next one; 0: none.
    lost: AtomicUsize,
    /// Records that were given away.
    given: AtomicUsize,
    /// Whether the answers of writes are held back.
    lingers: watch::Sender<bool>,
}

impl RecordsDouble {
    /// Every later call fails.
    pub(crate) fn fail(&self) {
        self.die_after(0);
    }

    /// Answers so many calls, and fails at every later one.
    pub(crate) fn die_after(&self, calls: i64) {
        self.life.0.store(calls, Ordering::SeqCst);
    }

    /// The call so many from now is done, and its answer is lost.
    pub(crate) fn lose_answer_of(&self, call: usize) {
        self.lost.store(call, Ordering::SeqCst);
    }

    /// Whether a call failed since it was told to.
    pub(crate) fn failed(&self) -> bool {
        self.life.0.load(Ordering::SeqCst) < 0
    }

    /// Writes are done from now on, and not answered.
    pub(crate) fn linger(&self) {
        self.lingers.send_replace(true);
    }

    /// Answers what was held back.
    pub(crate) fn answer(&self) {
        self.lingers.send_replace(false);
    }

    /// How many records were given away so far.
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// Counts what is given away.
    fn give<T>(&self, records: T, count: impl Fn(&T) -> usize) -> T {
        self.given.fetch_add(count(&records), Ordering::SeqCst);
        records
    }

    fn with<T>(&self, kind: Kind, act: impl FnOnce(&mut BTreeMap<String, Record>) -> T) -> Result<T, StoreError> {
        self.life.spend("the record store")?;
        let done = act(self.records.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default());
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |calls| calls.checked_sub(1));
        if lost == Ok(1) { Err(failure("the record store")) } else { Ok(done) }
    }
}

#[async_trait]
impl Records for RecordsDouble {
    fn exclusive(&self) -> bool {
        false
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, StoreError> {
        let found = self.with(kind, |records| records.get(id).cloned())?;
        Ok(self.give(found, |found| usize::from(found.is_some())))
    }

    async fn get_many(&self, kind: Kind, ids: &[&str]) -> Result<Vec<Record>, StoreError> {
        let found = self.with(kind, |records| ids.iter().filter_map(|id| records.get(*id).cloned()).collect())?;
        Ok(self.give(found, Vec::len))
    }

    async fn put_if_absent(&self, kind: Kind, id: &str, body: Value) -> Result<Put, StoreError> {
        self.with(kind, |records| match records.get(id) {
            Some(standing) => Put::Existing(standing.clone()),
            None => {
                let version = self.removed.load(Ordering::SeqCst) + 1;
                let record = Record { id: id.to_owned(), version, body };
                records.insert(id.to_owned(), record.clone());
                Put::Created(record)
            }
        })
    }

    async fn compare_and_set(&self, kind: Kind, id: &str, expected: u64, body: Value) -> Result<Swap, StoreError> {
        let swapped = self.with(kind, |records| match records.get_mut(id) {
            Some(record) if record.version == expected => {
                *record = Record { id: id.to_owned(), version: expected + 1, body };
                Swap::Done(record.clone())
            }
            standing => Swap::Conflict(standing.cloned()),
        });
        let mut lingers = self.lingers.subscribe();
        // The sender lives as long as this double.
        let _answered = lingers.wait_for(|lingers| !lingers).await.is_ok();
        swapped
    }

    async fn remove(&self, kind: Kind, id: &str, expected: u64) -> Result<Swap, StoreError> {
        self.with(kind, |records| match records.remove(id) {
            Some(record) if record.version == expected => {
                self.removed.fetch_max(expected, Ordering::SeqCst);
                Swap::Done(record)
            }
            Some(record) => {
                records.insert(id.to_owned(), record.clone());
                Swap::Conflict(Some(record))
            }
            None => Swap::Conflict(None),
        })
    }

    async fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let page = self.with(kind, |records| {
            let wanted = |id: &str| id.starts_with(prefix) && after.is_none_or(|after| id > after);
            let mut found: Vec<_> = records.values().filter(|record| wanted(&record.id)).cloned().collect();
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|record| record.id.clone());
            Page { records: found, next }
        })?;
        Ok(self.give(page, |page| page.records.len()))
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        self.with(kind, |records| records.len() as u64)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
