//! Remembers results that depend on the corpus, exactly: a result is used again only while nothing changed that it depends on.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{Cache, CacheKey, CacheKind, Changes};

/// A cache together with what makes its entries void.
#[derive(Clone)]
pub struct Memory {
    cache: Arc<dyn Cache>,
    changes: Changes,
    scope: Arc<[u8]>,
}

/// Names a result, as of one state of the corpus. To be made before the result is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(CacheKey);

impl Memory {
    /// Remembers in `cache`. Entries belong to this `scope`, the configuration, and are void once `changes` counts on.
    pub fn new(cache: Arc<dyn Cache>, changes: Changes, scope: Vec<u8>) -> Self {
        Self { cache, changes, scope: scope.into() }
    }

    /// The key of what is asked for by these parts; none while the state of the corpus is unknown, and then nothing is remembered.
    pub async fn key(&self, kind: CacheKind, parts: &[&[u8]]) -> Option<Key> {
        let count = match self.changes.count().await {
            Ok(count) => count.to_le_bytes(),
            Err(error) => {
                tracing::debug!(%error, "the state of the corpus is unknown; nothing is taken from the cache");
                return None;
            }
        };
        let parts: Vec<&[u8]> = [&count[..]].into_iter().chain(parts.iter().copied()).collect();
        Some(self.lasting_key(kind, &parts))
    }

    /// The key of what depends on these parts alone, and not on anything else of the corpus.
    pub fn lasting_key(&self, kind: CacheKind, parts: &[&[u8]]) -> Key {
        let all: Vec<&[u8]> = [&self.scope[..]].into_iter().chain(parts.iter().copied()).collect();
        Key(CacheKey::new(kind, &all))
    }

    /// The result that was kept under the key. What cannot be read is as good as absent.
    pub async fn recall<T: DeserializeOwned>(&self, key: Key) -> Option<T> {
        serde_json::from_slice(&self.cache.get(&key.0).await?).ok()
    }

    /// Keeps a result.
    pub async fn keep<T: Serialize>(&self, key: Key, result: &T) {
        // What cannot be written is computed again.
        if let Ok(bytes) = serde_json::to_vec(result) {
            self.cache.put(key.0, bytes.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::doubles::RecordsDouble;

    /// A cache that forgets nothing.
    #[derive(Default)]
    struct CacheDouble(Mutex<HashMap<CacheKey, Arc<[u8]>>>);

    #[async_trait]
    impl Cache for CacheDouble {
        async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
            self.0.lock().unwrap().get(key).cloned()
        }

        async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
            self.0.lock().unwrap().insert(key, value);
        }
    }

    async fn recalled(memory: &Memory, question: &str) -> Option<String> {
        memory.recall(memory.key(CacheKind::Retrieval, &[question.as_bytes()]).await?).await
    }

    #[tokio::test]
    async fn a_result_is_recalled_until_the_corpus_changes() {
        let (cache, changes) = (Arc::<CacheDouble>::default(), Changes::alone());
        let memory = Memory::new(cache, changes.clone(), b"config".to_vec());
        let key = memory.key(CacheKind::Retrieval, &[b"how long?"]).await.unwrap();
        memory.keep(key, &"seven days").await;
        assert_eq!(recalled(&memory, "how long?").await.as_deref(), Some("seven days"));
        assert_eq!(recalled(&memory, "how often?").await, None);
        changes.note().await.unwrap();
        assert_eq!(recalled(&memory, "how long?").await, None);
        // What was computed before the change and kept after it stays with the state that it saw.
        memory.keep(key, &"seven days").await;
        assert_eq!(recalled(&memory, "how long?").await, None);
    }

    #[tokio::test]
    async fn what_does_not_depend_on_the_corpus_outlives_its_changes_and_needs_no_look_at_it() {
        let records = Arc::<RecordsDouble>::default();
        let changes = Changes::shared(Arc::clone(&records) as _);
        let memory = Memory::new(Arc::<CacheDouble>::default(), changes.clone(), b"config".to_vec());
        let key = |question: &[u8]| memory.lasting_key(CacheKind::Response, &[question]);
        memory.keep(key(b"how long?"), &"seven days").await;
        changes.note().await.unwrap();
        records.fail();
        assert_eq!(memory.recall::<String>(key(b"how long?")).await.as_deref(), Some("seven days"));
        assert_eq!(memory.recall::<String>(key(b"how often?")).await, None);
    }

    #[tokio::test]
    async fn another_configuration_recalls_nothing_of_this_one() {
        let (cache, changes) = (Arc::<CacheDouble>::default(), Changes::alone());
        let memory = |scope: &[u8]| Memory::new(Arc::clone(&cache) as _, changes.clone(), scope.to_vec());
        let key = memory(b"top_k = 5").key(CacheKind::Retrieval, &[b"how long?"]).await.unwrap();
        memory(b"top_k = 5").keep(key, &"seven days").await;
        assert_eq!(recalled(&memory(b"top_k = 6"), "how long?").await, None);
        assert_eq!(recalled(&memory(b"top_k = 5"), "how long?").await.as_deref(), Some("seven days"));
    }

    #[tokio::test]
    async fn nothing_is_recalled_while_the_state_of_the_corpus_is_unknown() {
        let records = Arc::<RecordsDouble>::default();
        let changes = Changes::shared(Arc::clone(&records) as _);
        let memory = Memory::new(Arc::<CacheDouble>::default(), changes, Vec::new());
        let key = memory.key(CacheKind::Retrieval, &[b"a"]).await.unwrap();
        memory.keep(key, &"b").await;
        assert_eq!(recalled(&memory, "a").await.as_deref(), Some("b"));
        records.fail();
        assert_eq!(recalled(&memory, "a").await, None);
    }
}
