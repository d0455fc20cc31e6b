//! One decision, and what it makes of a state. Every list is bounded, so that the record stays far below a megabyte.

use jiff::Timestamp;

use super::state::{Block, Denial, FleetState, ReadOnly, cleared_name};
use crate::{model::Tenant, ports::CacheKind};

/// Callers that are kept out at once. Who wants to keep out more takes their keys.
pub const MAX_BLOCKS: usize = 256;
/// Denied fingerprints that are kept. When another comes the oldest goes: its key was long since taken from the files.
pub const MAX_DENIED: usize = 1024;
/// Services whose breakers are remembered to be reset; a configuration names at most eleven.
const MAX_RESETS: usize = 64;
/// Tenants whose entries of one kind are remembered to be cleared. One more clears those of all.
const MAX_CLEARED: usize = 256;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes are refused, or taken again.
    ReadOnly(bool),
    /// This service is trusted again.
    Reset(String),
    /// Entries of these kinds are void, of all tenants or of one.
    Clear {
        /// Which kinds.
        kinds: Vec<CacheKind>,
        /// Whose; of all without it.
        tenant: Option<Tenant>,
    },
    /// This subject is kept out.
    Block {
        /// Who.
        subject: String,
        /// Why.
        reason: String,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// This subject is let in again.
    Lift(String),
    /// The credential with this fingerprint opens nothing any more.
    Deny(String),
}

/// There is no room for another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_BLOCKS} clients are blocked already; lift a block first, or take a client's key away")]
pub struct Full;

impl FleetState {
    /// The state after this decision; none where it changes nothing. Blocks that are over go with it.
    pub fn changed(&self, change: &Change, by: &str, now: Timestamp) -> Result<Option<Self>, Full> {
        let mut next = self.clone();
        next.revision = self.revision.saturating_add(1);
        next.blocks.retain(|_, block| block.stands(now));
        let revision = next.revision;
        match change {
            Change::ReadOnly(on) if *on == self.read_only.on => return Ok(None),
            Change::ReadOnly(on) => {
                next.read_only = ReadOnly { revision, on: *on, by: by.to_owned(), at: Some(now) };
            }
            Change::Reset(service) => {
                next.resets.insert(service.clone(), revision);
                drop_oldest(&mut next.resets, MAX_RESETS, |at| *at);
            }
            Change::Clear { kinds, tenant } => {
                kinds.iter().for_each(|kind| next.clear(*kind, tenant.as_ref()));
            }
            Change::Block { subject, reason, until } => {
                if next.blocks.len() >= MAX_BLOCKS && !next.blocks.contains_key(subject) {
                    return Err(Full);
                }
                let block = Block { revision, reason: reason.clone(), until: *until, by: by.to_owned(), at: now };
                next.blocks.insert(subject.clone(), block);
            }
            Change::Lift(subject) => {
                if next.blocks.remove(subject).is_none() {
                    return Ok(None);
                }
            }
            Change::Deny(fingerprint) if self.denied.contains_key(fingerprint) => return Ok(None),
            Change::Deny(fingerprint) => {
                next.denied.insert(fingerprint.clone(), Denial { revision, at: now });
                drop_oldest(&mut next.denied, MAX_DENIED, |denial| denial.revision);
            }
        }
        Ok(Some(next))
    }

    fn clear(&mut self, kind: CacheKind, tenant: Option<&Tenant>) {
        let of_tenants = cleared_name(kind, Some(&Tenant::default()));
        let tenants = self.cleared.keys().filter(|name| name.starts_with(&of_tenants)).count();
        let name = cleared_name(kind, tenant);
        // One epoch for all says the same as one for each, and more.
        let is_whole = tenant.is_none() || (tenants >= MAX_CLEARED && !self.cleared.contains_key(&name));
        if is_whole {
            self.cleared.retain(|name, _| !name.starts_with(&of_tenants));
        }
        let name = if is_whole { cleared_name(kind, None) } else { name };
        self.cleared.insert(name, self.revision);
    }
}

fn drop_oldest<T>(kept: &mut std::collections::BTreeMap<String, T>, most: usize, revision: impl Fn(&T) -> u64) {
    while kept.len() > most {
        let oldest = kept.iter().min_by_key(|(_, value)| revision(value)).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            kept.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(state: &FleetState, change: &Change, second: i64) -> FleetState {
        state.changed(change, "admin", at(second)).unwrap().unwrap()
    }

    fn block(subject: &str, until: Option<i64>) -> Change {
        Change::Block { subject: subject.to_owned(), reason: "floods".to_owned(), until: until.map(at) }
    }

    #[test]
    fn every_decision_raises_the_revision_and_one_that_changes_nothing_is_none() {
        let start = FleetState::default();
        let on = after(&start, &Change::ReadOnly(true), 1);
        assert_eq!((on.revision, on.read_only.on, on.read_only.at), (1, true, Some(at(1))));
        assert_eq!(on.changed(&Change::ReadOnly(true), "admin", at(2)), Ok(None));
        assert_eq!(start.changed(&Change::Lift("a".to_owned()), "admin", at(2)), Ok(None));
        let denied = after(&on, &Change::Deny("0123456789ab".to_owned()), 3);
        assert_eq!(denied.revision, 2);
        assert_eq!(denied.changed(&Change::Deny("0123456789ab".to_owned()), "operator", at(4)), Ok(None));
        let again = after(&after(&denied, &Change::Reset("far".to_owned()), 5), &Change::Reset("far".to_owned()), 6);
        assert_eq!(again.resets["far"], 4, "each reset is one of its own");
    }

    #[test]
    fn blocks_are_bounded_and_those_that_are_over_make_room() {
        let mut state = FleetState::default();
        for n in 0..MAX_BLOCKS {
            state = after(&state, &block(&format!("c{n}"), Some(100)), 1);
        }
        assert_eq!(state.changed(&block("one-more", None), "admin", at(2)), Err(Full));
        let again = after(&state, &block("c0", None), 2);
        assert_eq!((again.blocks.len(), again.blocks["c0"].until), (MAX_BLOCKS, None), "one that stands is replaced");
        let later = after(&again, &block("one-more", None), 100);
        assert_eq!(later.blocks.keys().map(String::as_str).collect::<Vec<_>>(), ["c0", "one-more"]);
    }

    #[test]
    fn of_too_many_denials_and_resets_the_oldest_go() {
        let mut state = FleetState::default();
        for n in 0..=MAX_DENIED {
            state = after(&state, &Change::Deny(format!("{n:012x}")), 1);
        }
        assert_eq!(state.denied.len(), MAX_DENIED);
        assert!(
            !state.denied.contains_key(&format!("{:012x}", 0)) && state.denied.contains_key(&format!("{:012x}", 1))
        );
        for n in 0..=MAX_RESETS {
            state = after(&state, &Change::Reset(n.to_string()), 1);
        }
        assert!(state.resets.len() == MAX_RESETS && !state.resets.contains_key("0"));
    }

    #[test]
    fn clearing_for_too_many_tenants_clears_for_all_and_no_epoch_ever_falls() {
        let clear = |tenant: Option<&str>| Change::Clear {
            kinds: vec![CacheKind::Retrieval],
            tenant: tenant.map(|name| name.parse().unwrap()),
        };
        let mut state = FleetState::default();
        for n in 0..=MAX_CLEARED {
            state = after(&state, &clear(Some(&format!("t{n}"))), 1);
            let epochs = state.cache_epochs();
            let newest = epochs.values().max().copied();
            assert_eq!(newest, Some(state.revision));
        }
        assert_eq!(state.cleared, [("retrieval".to_owned(), state.revision)].into());
        let one = after(&state, &clear(Some("t0")), 1);
        assert_eq!(one.cleared.len(), 2);
        assert_eq!(after(&one, &clear(None), 1).cleared, [("retrieval".to_owned(), one.revision + 1)].into());
    }
}
