//! A cache in the memory of this process, bounded in bytes. What is used least often goes first.

use std::sync::Arc;

use async_trait::async_trait;
use moka::future::Cache as Moka;

use crate::ports::{Cache, CacheKey, Held};

/// What an entry takes besides its value: the key, the counters of the cache and the allocator's share.
const ENTRY_BYTES: usize = 256;

/// The cache.
pub struct MemoryCache(Moka<CacheKey, Arc<[u8]>>);

impl MemoryCache {
    /// A cache that holds this many bytes; with 0 it holds nothing.
    pub fn new(max_bytes: u64) -> Self {
        let weigh = |_: &CacheKey, value: &Arc<[u8]>| u32::try_from(value.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        Self(Moka::builder().max_capacity(max_bytes).weigher(weigh).build())
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
        self.0.get(key).await
    }

    async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
        self.0.insert(key, value).await;
    }

    async fn held(&self) -> Held {
        self.0.run_pending_tasks().await;
        Held { entries: self.0.entry_count(), bytes: self.0.weighted_size() }
    }
}
