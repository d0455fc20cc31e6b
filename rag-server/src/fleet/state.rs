//! What holds for all servers of a corpus.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::Tenant,
    ports::{CacheKind, Cleared},
};

/// What holds for all servers of a corpus. Each part says at which revision it was decided; of two decisions about the same thing the later one holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetState {
    /// Grows with each change; 0 before there was one.
    pub revision: u64,
    /// The ids of the writes that led to it, the latest first.
    pub writes: Vec<u64>,
    /// Whether writes are refused.
    pub read_only: ReadOnly,
    /// At which revision each service was trusted again, by its name.
    pub resets: BTreeMap<String, u64>,
    /// At which revision entries of a cache were cleared: `KIND` for all tenants, `KIND/TENANT` for one.
    pub cleared: BTreeMap<String, u64>,
    /// Who is kept out, by its subject.
    pub blocks: BTreeMap<String, Block>,
    /// Fingerprints of credentials that open nothing any more.
    pub denied: BTreeMap<String, Denial>,
}

/// Whether writes are refused because an administrator said so. The order is that of decisions, and of two at the same revision the one that refuses is the later one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOnly {
    /// When it was decided, as a revision.
    pub revision: u64,
    /// Whether they are.
    pub on: bool,
    /// Who decided it.
    pub by: String,
    /// When; none before anybody did.
    pub at: Option<Timestamp>,
}

/// Why and for how long a caller is kept out. The order is that of decisions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// When it was decided, as a revision.
    pub revision: u64,
    /// Why; the caller is told.
    pub reason: String,
    /// Until when; none until it is lifted.
    pub until: Option<Timestamp>,
    /// Who decided it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// When a fingerprint was denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// As a revision.
    pub revision: u64,
    /// As a time.
    pub at: Timestamp,
}

impl Block {
    /// Whether it still keeps its caller out.
    pub fn stands(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl FleetState {
    /// What keeps this subject out now.
    pub fn block(&self, subject: &str, now: Timestamp) -> Option<&Block> {
        self.blocks.get(subject).filter(|block| block.stands(now))
    }

    /// Everybody who is kept out now.
    pub fn standing_blocks(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Block)> {
        self.blocks.iter().filter(move |(_, block)| block.stands(now))
    }

    /// The epochs of the caches. A kind that only a newer server knows is none of this one's.
    pub fn cache_epochs(&self) -> BTreeMap<Cleared, u64> {
        self.cleared.iter().filter_map(|(name, revision)| Some((cleared(name)?, *revision))).collect()
    }
}

/// The name under which a clearing is kept. The default tenant's name is empty.
pub(super) fn cleared_name(kind: CacheKind, tenant: Option<&Tenant>) -> String {
    tenant.map_or_else(|| kind.as_str().to_owned(), |tenant| format!("{}/{}", kind.as_str(), tenant.as_str()))
}

fn cleared(name: &str) -> Option<Cleared> {
    let (kind, tenant) = name.split_once('/').map_or((name, None), |(kind, tenant)| (kind, Some(tenant)));
    let kind = CacheKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let tenant = match tenant {
        Some("") => Some(Tenant::default()),
        Some(name) => Some(name.parse().ok()?),
        None => None,
    };
    Some((kind, tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_at_its_time_and_not_before() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let block = |until| Block { revision: 1, reason: String::new(), until, by: String::new(), at: at(0) };
        let blocks = [("a".to_owned(), block(Some(at(10)))), ("b".to_owned(), block(None))].into();
        let state = FleetState { blocks, ..FleetState::default() };
        assert!(state.block("a", at(9)).is_some() && state.block("a", at(10)).is_none());
        assert!(state.block("b", at(1_000_000)).is_some() && state.block("c", at(0)).is_none());
        assert_eq!(state.standing_blocks(at(10)).map(|(subject, _)| subject.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_clearing_is_kept_under_a_name_that_reads_back() {
        let acme: Tenant = "acme".parse().unwrap();
        for kind in CacheKind::ALL {
            for tenant in [None, Some(Tenant::default()), Some(acme.clone())] {
                assert_eq!(cleared(&cleared_name(kind, tenant.as_ref())), Some((kind, tenant)));
            }
        }
        for unknown in ["novelty", "novelty/acme", "retrieval/NO", ""] {
            assert_eq!(cleared(unknown), None, "{unknown}");
        }
    }
}
