//! The search in both legs, and their ranking as far as it is read.
//!
//! A leg is searched deeper where what it found is hidden; the ranking is read further where what was read does not decide who gets the places.
//!
//! Guarantee: how many passages are wanted decides how far the ranking is read, and not what it is.

use super::{
    candidates::{Candidates, Reader},
    error::RetrieveError,
    fuse::{self, Fusion},
    overlap, spread,
};
use crate::{
    model::{Hit, Legs, Mode, Scored, SparseVector},
    ports::{Only, Search},
};

/// Hits asked of each leg, whatever is wanted: enough for the fifty passages that may be asked for, when both legs find the same.
pub(super) const DEPTH: usize = 100;
/// Hits asked of each leg at most, however many of them are not committed.
pub(super) const MAX_DEPTH: usize = 2_000;
/// Of the ranking, this many are read beyond twice the passages that are wanted: room for repetitions and neighbours.
const READ_MORE: usize = 10;
/// How much more is searched, or read, where it was not enough.
const GROWTH: usize = 4;

/// What both legs found, and the ranking of it as far as it was read.
pub(super) struct Found {
    pub(super) candidates: Candidates,
    pub(super) ranking: Vec<Hit>,
}

/// How the legs are searched for one question.
pub(super) struct HybridSearch<'a> {
    pub(super) reader: Reader<'a>,
    /// Which legs rank.
    pub(super) mode: Mode,
    /// Whether the store looks at the documents of the asking tenant alone.
    pub(super) tenants: bool,
    pub(super) fusion: Fusion,
    /// How many of the ranking are read at least: those that a reranker is given.
    pub(super) at_least: usize,
}

impl HybridSearch<'_> {
    /// Searches both legs, or the lexical one alone where the question has no vector; deeper when so many hits are hidden that too few are left.
    pub(super) async fn find(
        &self,
        dense: Option<Vec<f32>>,
        (terms, reads_all): (&SparseVector, bool),
    ) -> Result<Found, RetrieveError> {
        let Reader { store, epoch, query, .. } = self.reader;
        let lexical = match self.mode {
            Mode::Hybrid | Mode::Lexical => Some(terms.clone()).filter(|terms| !terms.indices.is_empty()),
            Mode::Dense => None,
        };
        let (wanted, asks_lexical) = (query.top_k, lexical.is_some());
        let only = Only { tenant: self.tenants.then(|| query.tenant.clone()), labels: query.filter.wanted() };
        let mut search = Search { epoch, dense, lexical, limit: DEPTH, only };
        loop {
            let legs = store.search(&search).await.map_err(RetrieveError::Search)?;
            let exhausted = (legs.dense.len() < search.limit, legs.lexical.len() < search.limit || !asks_lexical);
            let found = self.read(legs, reads_all).await?;
            let legs = found.candidates.legs();
            let enough = (exhausted.0 || legs.dense.len() >= wanted) && (exhausted.1 || legs.lexical.len() >= wanted);
            if enough || search.limit == MAX_DEPTH {
                return Ok(found);
            }
            search.limit = search.limit.saturating_mul(GROWTH).min(MAX_DEPTH);
        }
    }

    /// Fuses the legs and reads the best of the ranking, until nothing that was not read can take one of the places; all of it where any hit may hold what decides.
    async fn read(&self, legs: Legs, all: bool) -> Result<Found, RetrieveError> {
        let wanted = self.reader.query.top_k;
        let mut depth = if all { usize::MAX } else { to_read(wanted).max(self.at_least) };
        let mut candidates = Candidates::of(legs, []);
        loop {
            let legs = ranking_legs(candidates.legs(), self.mode);
            // What its document adds lifts none but the first of each leg, which are read in any case, so this reads whatever ranks that high in the end.
            let before = fuse::fuse(&legs, self.fusion, &candidates.documents());
            if candidates.all_visible(self.reader, &before[..depth.min(before.len())]).await? {
                let fused = fuse::fuse(&legs, self.fusion, &candidates.documents());
                let (best, rest) = fused.split_at(depth.min(fused.len()));
                let ranking = candidates.hits(best);
                if self.is_decided(&ranking, rest.first()) {
                    return Ok(Found { candidates, ranking });
                }
            }
            depth = depth.saturating_mul(GROWTH);
        }
    }

    /// Whether the places go to these hits whatever the first one says that was not read.
    fn is_decided(&self, ranking: &[Hit], unread: Option<&Scored>) -> bool {
        let Some(unread) = unread else { return true };
        let passages = spread::spread(overlap::passages(ranking.iter().cloned()), &self.reader.query.text);
        let last = self.reader.query.top_k.checked_sub(1);
        // A surplus repetition counts nothing, and gives way to whatever else there is.
        let is_before = |score: f32| score > 0.0 && score >= unread.score.0;
        last.is_none_or(|last| passages.get(last).is_some_and(|passage| is_before(passage.best.score.0)))
    }
}

/// The legs that rank in this mode.
fn ranking_legs(legs: &Legs, mode: Mode) -> Legs {
    let ranks = |leg: Mode| mode == Mode::Hybrid || mode == leg;
    let dense = if ranks(Mode::Dense) { legs.dense.clone() } else { Vec::new() };
    let lexical = if ranks(Mode::Lexical) { legs.lexical.clone() } else { Vec::new() };
    Legs { dense, lexical }
}

/// How many of the ranking are read for so many passages.
pub(super) fn to_read(wanted: usize) -> usize {
    wanted.saturating_mul(2).saturating_add(READ_MORE)
}
