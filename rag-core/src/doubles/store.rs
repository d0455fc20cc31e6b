//! The vector store.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;

use super::life::Life;
use crate::{
    model::{
        Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Embedded, Legs, Point, Scored, Similarity, SparseVector,
    },
    ports::{Epoch, Only, Scan, Search, StoreError, VectorStore},
};

#[derive(Default)]
struct Epochs {
    active: Option<Epoch>,
    points: BTreeMap<Epoch, Vec<Point>>,
}

/// A vector store that scans every point.
#[derive(Default)]
pub struct StoreDouble {
    epochs: Mutex<Epochs>,
    life: Life,
    /// Chunks that were given away.
    given: AtomicUsize,
}

impl StoreDouble {
    /// Every later call fails.
    pub fn fail(&self) {
        self.die_after(0);
    }

    /// Answers so many calls, and fails at every later one.
    pub fn die_after(&self, calls: i64) {
        self.life.lasts(calls);
    }

    /// Whether a call failed since it was told to.
    pub fn failed(&self) -> bool {
        self.life.is_over()
    }

    /// How many chunks were given away so far.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    fn epochs(&self) -> Result<MutexGuard<'_, Epochs>, StoreError> {
        self.life.spend("the vector store")?;
        Ok(self.epochs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn no_epoch() -> StoreError {
    StoreError::Refused { store: "the vector store", cause: "the epoch does not exist".to_owned() }
}

/// One page of these chunks.
pub fn page<'a>(chunks: impl Iterator<Item = &'a Chunk>, after: Option<ChunkId>, limit: usize) -> Scan {
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
