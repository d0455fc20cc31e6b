//! How often what is remembered was cleared, so that an entry from before a clearing is never found after it, on no replica.
//!
//! An epoch is a number that only grows. Those of an entry are part of its key: whoever clears a cache raises one, and removes nothing.
//! Guarantee: while the epochs are unknown nothing is remembered and nothing recalled, because what was cleared could be among it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::CacheKind;
use crate::model::Tenant;

/// The entries of one kind, of every tenant or of one.
pub type Cleared = (CacheKind, Option<Tenant>);

/// The epochs, as they are known now. Cheap to clone; every clone sees every change.
#[derive(Debug, Clone)]
pub struct CacheEpochs(Arc<RwLock<Option<BTreeMap<Cleared, u64>>>>);

/// Nothing was ever cleared, as where no other process shares the cache.
impl Default for CacheEpochs {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Some(BTreeMap::new()))))
    }
}

impl CacheEpochs {
    /// Epochs that are not known yet.
    pub fn unknown() -> Self {
        Self(Arc::default())
    }

    /// These hold from now on; what is not named was never cleared.
    pub fn hold(&self, epochs: BTreeMap<Cleared, u64>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(epochs);
    }

    /// What belongs to the key of an entry of this kind: the epoch of all tenants' entries and, where it is one tenant's, of that tenant's; none while they are unknown.
    pub fn part(&self, kind: CacheKind, tenant: Option<&Tenant>) -> Option<[u8; 16]> {
        let epochs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let epochs = epochs.as_ref()?;
        let of = |tenant: Option<&Tenant>| epochs.get(&(kind, tenant.cloned())).copied().unwrap_or_default();
        let own = tenant.map_or(0, |tenant| of(Some(tenant)));
        let mut part = [0; 16];
        let (whole, one) = part.split_at_mut(8);
        whole.copy_from_slice(&of(None).to_le_bytes());
        one.copy_from_slice(&own.to_le_bytes());
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> Tenant {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_clearing_changes_the_keys_of_its_kind_and_tenant_and_no_others() {
        let epochs = CacheEpochs::default();
        let (acme, other) = (acme(), Tenant::default());
        let keys = || {
            [
                epochs.part(CacheKind::Retrieval, Some(&acme)),
                epochs.part(CacheKind::Retrieval, Some(&other)),
                epochs.part(CacheKind::Response, Some(&acme)),
                epochs.part(CacheKind::Embedding, None),
            ]
        };
        let changed = |before: &[Option<[u8; 16]>; 4]| {
            let now = keys();
            [0, 1, 2, 3].map(|at| now[at] != before[at])
        };
        let first = keys();
        epochs.hold(BTreeMap::from([((CacheKind::Retrieval, Some(acme.clone())), 3)]));
        assert_eq!(changed(&first), [true, false, false, false]);
        let second = keys();
        epochs.hold(BTreeMap::from([((CacheKind::Retrieval, None), 4), ((CacheKind::Embedding, None), 4)]));
        assert_eq!(changed(&second), [true, true, false, true]);
        assert_ne!(keys()[0], first[0], "an earlier key never comes back");
    }

    #[test]
    fn unknown_epochs_give_no_key_until_they_are_known_also_to_earlier_clones() {
        let epochs = CacheEpochs::unknown();
        let clone = epochs.clone();
        assert_eq!(clone.part(CacheKind::Response, Some(&acme())), None);
        epochs.hold(BTreeMap::new());
        assert!(clone.part(CacheKind::Response, Some(&acme())).is_some());
    }
}
