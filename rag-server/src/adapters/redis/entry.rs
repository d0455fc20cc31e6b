//! How an entry is named in Redis, and what stands around its value. Pure.
//!
//! Guarantees: entries of two owners, of two versions of the program and of two kinds never meet; a value that was damaged, cut off, written by somebody else or put under another name is told from one that was kept here.

use std::sync::Arc;

use crate::ports::CacheKey;

/// Longest value that is sent. The largest that is kept, fifty passages, has a tenth of it; what is longer would hold up the other calls of its connection.
pub(super) const MAX_VALUE_BYTES: usize = 1 << 20;

/// Begins every value, and is another one with every other form of them.
const MAGIC: [u8; 4] = *b"rag1";

/// Bytes of the checksum. Half a hash: it finds what went wrong, and keeps nobody out who may write.
const CHECKSUM_BYTES: usize = 16;

/// What stands before a value.
const HEAD_BYTES: usize = MAGIC.len() + CHECKSUM_BYTES;

/// The names of one owner's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(String);

impl Names {
    /// The names of the entries of this owner, as the configuration calls it. No part of it has a colon.
    pub fn of(owner: &str, owner_id: Option<&str>) -> Self {
        // Another version may compute the same differently, or keep it in another form.
        let version = env!("CARGO_PKG_VERSION");
        Self(format!("ragops:{version}:{owner}:{}", owner_id.unwrap_or_default()))
    }

    /// The name of an entry.
    pub(super) fn entry(&self, key: &CacheKey) -> String {
        format!("{}:{}:{}", self.0, key.kind().as_str(), hex::encode(key.digest()))
    }

    /// The name that no entry has, for a try.
    pub(super) fn trial(&self) -> String {
        format!("{}:trial", self.0)
    }
}

/// The last byte that is asked for: one more than the longest that was sent, by which a longer one is known.
pub(super) const LAST_BYTE: usize = HEAD_BYTES + MAX_VALUE_BYTES;

/// A value with what tells that it is one, and of this name; none where it is too long.
pub(super) fn sealed(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    (value.len() <= MAX_VALUE_BYTES).then(|| [&MAGIC[..], &checksum(name, value), value].concat())
}

/// The value that was kept under this name; none where these bytes are not it.
pub(super) fn opened(name: &str, bytes: &[u8]) -> Option<Arc<[u8]>> {
    let (head, value) = bytes.split_at_checked(HEAD_BYTES)?;
    let expected = [&MAGIC[..], &checksum(name, value)].concat();
    (value.len() <= MAX_VALUE_BYTES && head == expected).then(|| value.into())
}

fn checksum(name: &str, value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(value);
    let mut checksum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ports::CacheKind;

    fn key(kind: CacheKind) -> CacheKey {
        CacheKey::new(kind, &[b"how long?"])
    }

    #[test]
    fn two_owners_two_kinds_and_the_trial_have_names_of_their_own() {
        let owners = [("a/b", None), ("a/b", Some("1")), ("a/b", Some("2")), ("a/c", Some("1")), ("a/b1", None)];
        let names = owners.map(|(owner, id)| Names::of(owner, id));
        let entries = names.iter().flat_map(|names| CacheKind::ALL.map(|kind| names.entry(&key(kind))));
        let mut all: Vec<_> = entries.chain(names.iter().map(Names::trial)).collect();
        assert!(all.iter().all(|name| name.starts_with("ragops:")), "{all:?}");
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_version_of_the_program_is_part_of_a_name() {
        assert_eq!(Names::of("a/b", Some("1")).0, format!("ragops:{}:a/b:1", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_value_comes_back_as_it_was_and_one_that_is_too_long_is_not_sent() {
        for value in [vec![], vec![7; 9], vec![0; MAX_VALUE_BYTES]] {
            let sealed = sealed("a", &value).unwrap();
            assert!(sealed.len() <= LAST_BYTE);
            assert_eq!(opened("a", &sealed).as_deref(), Some(&value[..]));
        }
        assert_eq!(sealed("a", &vec![0; MAX_VALUE_BYTES + 1]), None);
        assert_eq!(opened("a", &vec![0; LAST_BYTE + 1]), None);
    }

    proptest! {
        #[test]
        fn what_was_damaged_cut_off_or_put_elsewhere_is_no_value(
            value in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            elsewhere in "[a-z]{2,9}",
        ) {
            let whole = sealed("a", &value).unwrap();
            let mut damaged = whole.clone();
            damaged[at.index(whole.len())] ^= 1 << bit;
            prop_assert_eq!(opened("a", &damaged), None);
            prop_assert_eq!(opened("a", &whole[..at.index(whole.len())]), None);
            prop_assert_eq!(opened(&elsewhere, &whole), None);
            prop_assert_eq!(opened("a", &value), None);
        }
    }
}
