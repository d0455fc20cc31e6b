//! What both legs found, and the texts of those hits that matter.
//!
//! A leg finds a hundred hits and an answer shows five, so most texts are never needed. Read are the first of each leg, which decide whether the question may be answered and which
//! documents both legs found, and of the fused ranking as many as it takes to show enough.
//!
//! Guarantees: whatever is read was visible at that moment. A hit that turns out not to be visible is dropped from its leg, and the ranking is made anew without it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{error::RetrieveError, visible};
use crate::{
    model::{Chunk, ChunkId, DocumentId, Hit, Legs, Query, Scored},
    ports::{Clock, Epoch, Records, VectorStore},
};

/// Hits of each leg that are always read, so that their documents are known when the legs are fused.
pub(super) const HEADS: usize = 20;
/// Hits of each leg whose words count as evidence. Whoever holds most of a question's terms stands at the top of the lexical leg.
const WORDED: usize = 10;

/// Where hits are read, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) store: &'a dyn VectorStore,
    pub(super) epoch: Option<Epoch>,
    pub(super) records: &'a dyn Records,
    pub(super) query: &'a Query,
    pub(super) clock: &'a dyn Clock,
}

/// The hits of both legs, and the chunks of those that were read.
pub(super) struct Candidates {
    legs: Legs,
    chunks: HashMap<ChunkId, Chunk>,
    until: Option<Timestamp>,
}

impl Candidates {
    /// These hits, of which these are read.
    pub(super) fn of(legs: Legs, chunks: impl IntoIterator<Item = Chunk>) -> Self {
        Self { legs, chunks: chunks.into_iter().map(|chunk| (chunk.id, chunk)).collect(), until: None }
    }

    /// When the first of the documents expires that were read; none where none does.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The hits of both legs; none that was read and is hidden.
    pub(super) fn legs(&self) -> &Legs {
        &self.legs
    }

    /// How many hits the leg has that found more.
    pub(super) fn found(&self) -> u64 {
        self.legs.dense.len().max(self.legs.lexical.len()) as u64
    }

    /// The best cosine of the dense leg.
    pub(super) fn best_cosine(&self) -> Option<f32> {
        self.legs.dense.iter().map(|hit| hit.score.0).filter(|score| score.is_finite()).reduce(f32::max)
    }

    /// The first chunks of each leg, whose words count.
    pub(super) fn worded(&self) -> impl Iterator<Item = &Chunk> {
        self.firsts(WORDED).filter_map(|id| self.chunks.get(&id))
    }

    /// The documents of the first hits of each leg, once those are read: the same ones however much more was.
    pub(super) fn documents(&self) -> HashMap<ChunkId, &DocumentId> {
        self.firsts(HEADS).filter_map(|id| Some((id, &self.chunks.get(&id)?.document))).collect()
    }

    /// Every chunk that was read.
    pub(super) fn read(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.values()
    }

    fn firsts(&self, count: usize) -> impl Iterator<Item = ChunkId> {
        self.legs.lexical.iter().take(count).chain(self.legs.dense.iter().take(count)).map(|hit| hit.chunk)
    }

    /// Reads the first of each leg and these; false when some of them were hidden, and are gone from their legs now.
    pub(super) async fn all_visible(&mut self, reader: Reader<'_>, best: &[Scored]) -> Result<bool, RetrieveError> {
        let wanted: BTreeSet<ChunkId> = self.firsts(HEADS).chain(best.iter().map(|hit| hit.chunk)).collect();
        let unread: Vec<ChunkId> = wanted.into_iter().filter(|id| !self.chunks.contains_key(id)).collect();
        if unread.is_empty() {
            return Ok(true);
        }
        let found = reader.store.chunks(reader.epoch, &unread).await.map_err(RetrieveError::Search)?;
        let shown = visible::visible(reader.records, reader.query, found, reader.clock.now());
        let shown = shown.await.map_err(RetrieveError::Records)?;
        self.until = self.until.into_iter().chain(shown.until).min();
        self.chunks.extend(shown.chunks.into_iter().map(|chunk| (chunk.id, chunk)));
        let hidden: BTreeSet<ChunkId> = unread.into_iter().filter(|id| !self.chunks.contains_key(id)).collect();
        for leg in [&mut self.legs.dense, &mut self.legs.lexical] {
            leg.retain(|hit| !hidden.contains(&hit.chunk));
        }
        Ok(hidden.is_empty())
    }

    /// These hits with their chunks, those that were read.
    pub(super) fn hits(&self, best: &[Scored]) -> Vec<Hit> {
        let hit = |scored: &Scored| Some(Hit { chunk: self.chunks.get(&scored.chunk)?.clone(), score: scored.score });
        best.iter().filter_map(hit).collect()
    }
}
