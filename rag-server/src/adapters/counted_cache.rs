//! Counts what is asked of a cache, and what it had.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{Cache, CacheKey, CacheKind, Held};

type Count = dyn Fn(CacheKind, bool) + Send + Sync;

/// The cache, with somebody who counts.
pub struct CountedCache {
    inner: Arc<dyn Cache>,
    count: Box<Count>,
}

impl CountedCache {
    /// Calls `count` with the kind of each entry that is asked for, and whether it was there.
    pub fn new(inner: Arc<dyn Cache>, count: impl Fn(CacheKind, bool) + Send + Sync + 'static) -> Self {
        Self { inner, count: Box::new(count) }
    }
}

#[async_trait]
impl Cache for CountedCache {
    async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
        let found = self.inner.get(key).await;
        (self.count)(key.kind(), found.is_some());
        found
    }

    async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
        self.inner.put(key, value).await;
    }

    async fn held(&self) -> Held {
        self.inner.held().await
    }
}
