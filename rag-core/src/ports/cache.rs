//! What was computed before and may be used again.
//!
//! A cache may forget anything at any time, and it never fails: whoever finds nothing computes. It is never asked whether something is still true. What may change stands in the key
//! (see [`Changes`](super::Changes)), so an entry that is out of date is one that nobody asks for any more.

use std::sync::Arc;

use async_trait::async_trait;

/// What an entry holds; entries of different kinds never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// Vectors of questions.
    Embedding,
    /// Passages of questions.
    Retrieval,
    /// Answers of providers.
    Response,
}

impl CacheKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Embedding, Self::Retrieval, Self::Response];

    /// The name, as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Retrieval => "retrieval",
            Self::Response => "response",
        }
    }
}

/// Names an entry: a hash of everything that its value depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    kind: CacheKind,
    digest: [u8; 32],
}

impl CacheKey {
    /// The key of these parts, in this order. No two lists of parts have the same key.
    pub fn new(kind: CacheKind, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self { kind, digest: hasher.finalize().into() }
    }

    /// What the entry holds.
    pub fn kind(&self) -> CacheKind {
        self.kind
    }

    /// The hash.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// How much a cache holds in the memory of this process; what it keeps elsewhere is counted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Entries.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Keeps values by key. Bounded in bytes.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value, if it is still there.
    async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>>;

    /// Keeps a value for as long as there is room. One that is too large for the cache is not kept.
    async fn put(&self, key: CacheKey, value: Arc<[u8]>);

    /// How much it holds in this process, once everything that was put is accounted for.
    async fn held(&self) -> Held;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let key = |parts: &[&[u8]]| CacheKey::new(CacheKind::Retrieval, parts);
        assert_eq!(key(&[b"a", b"b"]), key(&[b"a", b"b"]));
        for other in [&[&b"ab"[..], b""][..], &[b"", b"ab"], &[b"ab"], &[b"b", b"a"], &[b"a", b"b", b""]] {
            assert_ne!(key(&[b"a", b"b"]), key(other));
        }
        assert_ne!(key(&[b"a"]), CacheKey::new(CacheKind::Embedding, &[b"a"]));
    }
}
