//! How what a server knows and what the record says come together.
//!
//! A state carries the ids of the writes that led to it, so it is seen which of two goes back to the other. The record decides where it goes back to what a server knows. Where it does not (it was lost, or an older store was put back, and somebody went on from there) the two are joined, so that nothing is lost that somebody still knows.
//! A join is commutative, associative and idempotent: servers that join in any order end in the same state. It knows no removals: a block that was lifted on one of two such ways stands again and can be lifted again, which is the safe way to be wrong.

use std::collections::BTreeMap;

use super::FleetState;

/// Ids of writes that a state carries. A server that is further behind joins instead of taking, which can only keep a block for too long.
const HISTORY: usize = 64;

/// What a look at the record comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// This holds from now on, as the record says.
    Take(FleetState),
    /// This holds, and the record does not say so: it is to be written.
    Restore(FleetState),
}

/// What holds where a server knows one thing and the record says another; none where there is no record. A join becomes a write of this id.
pub fn settled(known: &FleetState, row: Option<FleetState>, id: u64) -> Settled {
    let Some(row) = row else {
        return match known.revision {
            0 => Settled::Take(FleetState::default()),
            _ => Settled::Restore(known.clone()),
        };
    };
    if goes_back_to(&row, known) {
        return Settled::Take(row);
    }
    if goes_back_to(known, &row) {
        return Settled::Restore(known.clone());
    }
    let join = joined(known, &row);
    match says_the_same(&join, &row) {
        true => Settled::Take(row),
        false => Settled::Restore(join.written(id)),
    }
}

/// The state that a decision is made over.
pub fn over(known: &FleetState, row: Option<FleetState>, id: u64) -> FleetState {
    match settled(known, row, id) {
        Settled::Take(state) | Settled::Restore(state) => state,
    }
}

impl FleetState {
    /// The state as the write of this id.
    pub fn written(mut self, id: u64) -> Self {
        self.writes.insert(0, id);
        self.writes.truncate(HISTORY);
        self
    }
}

/// Whether a state is another one, or was made of it.
pub fn goes_back_to(state: &FleetState, other: &FleetState) -> bool {
    other.writes.first().is_none_or(|write| state.writes.contains(write))
}

fn says_the_same(one: &FleetState, other: &FleetState) -> bool {
    let said = |state: &FleetState| FleetState { revision: 0, writes: Vec::new(), ..state.clone() };
    said(one) == said(other)
}

/// Everything that either knows, at a revision above both.
fn joined(one: &FleetState, other: &FleetState) -> FleetState {
    FleetState {
        revision: one.revision.max(other.revision).saturating_add(1),
        writes: alternating(&one.writes, &other.writes),
        read_only: one.read_only.clone().max(other.read_only.clone()),
        resets: latest(&one.resets, &other.resets),
        cleared: latest(&one.cleared, &other.cleared),
        blocks: latest(&one.blocks, &other.blocks),
        denied: latest(&one.denied, &other.denied),
    }
}

/// The ids of two histories in turns, each once, so that the newest of both are kept.
fn alternating(one: &[u64], other: &[u64]) -> Vec<u64> {
    let mut ids = Vec::new();
    for at in 0..one.len().max(other.len()) {
        for id in [one.get(at), other.get(at)].into_iter().flatten() {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
    }
    ids
}

/// Of each name the later value.
fn latest<T: Clone + Ord>(one: &BTreeMap<String, T>, other: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut latest = one.clone();
    for (name, value) in other {
        let kept = latest.entry(name.clone()).or_insert_with(|| value.clone());
        if *value > *kept {
            kept.clone_from(value);
        }
    }
    latest
}

#[cfg(test)]
mod tests;
