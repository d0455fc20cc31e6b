//! Remembers results that depend on the corpus, exactly: a result is used again only while nothing changed that it depends on.
//!
//! A cache may outlive the program that filled it, so each entry says by which version of its type it was written. One of another version is as good as absent, also where it could be read.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use tokio::time::timeout;

use super::{Cache, CacheEpochs, CacheKey, CacheKind, Changes};
use crate::model::Tenant;

/// How long the look at the corpus may take that a cached result needs. It is one small record, read in milliseconds; where it takes longer the store stands still, and whoever asks is to learn it from the search before the time of the request is over.
const LOOK: Duration = Duration::from_secs(1);

/// What may be kept.
pub trait Kept: Serialize + DeserializeOwned {
    /// Raised with every change of what its fields are called, hold or mean.
    const VERSION: u32;
}

/// An entry.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// The version of the body's type.
    v: u32,
    body: T,
}

/// A cache together with what makes its entries void.
#[derive(Clone)]
pub struct Memory {
    cache: Arc<dyn Cache>,
    changes: Changes,
    epochs: CacheEpochs,
    scope: Arc<[u8]>,
}

/// Names a result, as of one state of the corpus. To be made before the result is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(CacheKey);

impl Memory {
    /// Remembers in `cache`. Entries belong to this `scope`, the configuration, and are void once `changes` counts on.
    pub fn new(cache: Arc<dyn Cache>, changes: Changes, scope: Vec<u8>) -> Self {
        Self { cache, changes, epochs: CacheEpochs::default(), scope: scope.into() }
    }

    /// Recalls nothing that was kept in an earlier one of these epochs.
    pub fn clearing(self, epochs: CacheEpochs) -> Self {
        Self { epochs, ..self }
    }

    /// The key of what a tenant asks for by these parts; none while the state of the corpus or the cache's epochs are unknown, and then nothing is remembered.
    pub async fn key(&self, kind: CacheKind, tenant: &Tenant, parts: &[&[u8]]) -> Option<Key> {
        let state = match timeout(LOOK, self.changes.state()).await {
            Ok(Ok(state)) => state.to_bytes(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the state of the corpus is unknown; nothing is taken from the cache");
                return None;
            }
            Err(_) => {
                tracing::debug!("the state of the corpus was not told in {LOOK:?}; nothing is taken from the cache");
                return None;
            }
        };
        let parts: Vec<&[u8]> = [&state[..]].into_iter().chain(parts.iter().copied()).collect();
        self.lasting_key(kind, tenant, &parts)
    }

    /// The key of what depends on these parts alone, and not on anything else of the corpus; none while the cache's epochs are unknown.
    pub fn lasting_key(&self, kind: CacheKind, tenant: &Tenant, parts: &[&[u8]]) -> Option<Key> {
        let epochs = self.epochs.part(kind, Some(tenant))?;
        let all: Vec<&[u8]> = [&self.scope[..], &epochs].into_iter().chain(parts.iter().copied()).collect();
        Some(Key(CacheKey::new(kind, &all)))
    }

    /// The result that was kept under the key. What cannot be read, or is of another version, is as good as absent.
    pub async fn recall<T: Kept>(&self, key: Key) -> Option<T> {
        let Envelope { v, body } = serde_json::from_slice(&self.cache.get(&key.0).await?).ok()?;
        (v == T::VERSION).then_some(body)
    }

    /// Keeps a result.
    pub async fn keep<T: Kept>(&self, key: Key, result: &T) {
        // What cannot be written is computed again.
        if let Ok(bytes) = serde_json::to_vec(&Envelope { v: T::VERSION, body: result }) {
            self.cache.put(key.0, bytes.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::{doubles::RecordsDouble, ports::Held};

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

        async fn held(&self) -> Held {
            let entries = self.0.lock().unwrap();
            Held { entries: entries.len() as u64, bytes: entries.values().map(|value| value.len() as u64).sum() }
        }
    }

    impl Kept for String {
        const VERSION: u32 = 1;
    }

    /// The same text, as a later program would keep it.
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Later(String);

    impl Kept for Later {
        const VERSION: u32 = 2;
    }

    fn seven() -> String {
        "seven days".to_owned()
    }

    async fn recalled(memory: &Memory, question: &str) -> Option<String> {
        memory.recall(memory.key(CacheKind::Retrieval, &Tenant::default(), &[question.as_bytes()]).await?).await
    }

    #[tokio::test]
    async fn a_result_is_recalled_until_the_corpus_changes() {
        let (cache, changes) = (Arc::<CacheDouble>::default(), Changes::alone());
        let memory = Memory::new(cache, changes.clone(), b"config".to_vec());
        let key = memory.key(CacheKind::Retrieval, &Tenant::default(), &[b"how long?"]).await.unwrap();
        memory.keep(key, &seven()).await;
        assert_eq!(recalled(&memory, "how long?").await.as_deref(), Some("seven days"));
        assert_eq!(recalled(&memory, "how often?").await, None);
        changes.note().await.unwrap();
        assert_eq!(recalled(&memory, "how long?").await, None);
        // What was computed before the change and kept after it stays with the state that it saw.
        memory.keep(key, &seven()).await;
        assert_eq!(recalled(&memory, "how long?").await, None);
    }

    #[tokio::test]
    async fn what_one_process_found_is_not_recalled_by_another_that_counts_from_the_start() {
        let cache = Arc::<CacheDouble>::default();
        let (lost, begun_anew) = (Arc::<RecordsDouble>::default(), Arc::<RecordsDouble>::default());
        for [before, after] in
            [[Changes::alone(), Changes::alone()], [Changes::shared(lost as _), Changes::shared(begun_anew as _)]]
        {
            let of = |changes: &Changes| Memory::new(Arc::clone(&cache) as _, changes.clone(), b"config".to_vec());
            before.note().await.unwrap();
            let key = of(&before).key(CacheKind::Retrieval, &Tenant::default(), &[b"how long?"]).await.unwrap();
            of(&before).keep(key, &seven()).await;
            assert_eq!(recalled(&of(&before), "how long?").await.as_deref(), Some("seven days"));
            after.note().await.unwrap();
            assert_eq!(recalled(&of(&after), "how long?").await, None, "it is of another history");
        }
    }

    #[tokio::test]
    async fn what_does_not_depend_on_the_corpus_outlives_its_changes_and_needs_no_look_at_it() {
        let records = Arc::<RecordsDouble>::default();
        let changes = Changes::shared(Arc::clone(&records) as _);
        let memory = Memory::new(Arc::<CacheDouble>::default(), changes.clone(), b"config".to_vec());
        let key = |question: &[u8]| memory.lasting_key(CacheKind::Response, &Tenant::default(), &[question]).unwrap();
        memory.keep(key(b"how long?"), &seven()).await;
        changes.note().await.unwrap();
        records.fail();
        assert_eq!(memory.recall::<String>(key(b"how long?")).await.as_deref(), Some("seven days"));
        assert_eq!(memory.recall::<String>(key(b"how often?")).await, None);
    }

    #[tokio::test]
    async fn another_configuration_recalls_nothing_of_this_one() {
        let (cache, changes) = (Arc::<CacheDouble>::default(), Changes::alone());
        let memory = |scope: &[u8]| Memory::new(Arc::clone(&cache) as _, changes.clone(), scope.to_vec());
        let key = memory(b"top_k = 5").key(CacheKind::Retrieval, &Tenant::default(), &[b"how long?"]).await.unwrap();
        memory(b"top_k = 5").keep(key, &seven()).await;
        assert_eq!(recalled(&memory(b"top_k = 6"), "how long?").await, None);
        assert_eq!(recalled(&memory(b"top_k = 5"), "how long?").await.as_deref(), Some("seven days"));
    }

    #[tokio::test]
    async fn nothing_is_recalled_while_the_state_of_the_corpus_is_unknown() {
        let records = Arc::<RecordsDouble>::default();
        let changes = Changes::shared(Arc::clone(&records) as _);
        let memory = Memory::new(Arc::<CacheDouble>::default(), changes, Vec::new());
        let key = memory.key(CacheKind::Retrieval, &Tenant::default(), &[b"a"]).await.unwrap();
        memory.keep(key, &"b".to_owned()).await;
        assert_eq!(recalled(&memory, "a").await.as_deref(), Some("b"));
        records.fail();
        assert_eq!(recalled(&memory, "a").await, None);
    }

    #[tokio::test]
    async fn an_entry_of_another_version_is_absent_although_it_could_be_read() {
        let memory = Memory::new(Arc::<CacheDouble>::default(), Changes::alone(), Vec::new());
        let key = memory.lasting_key(CacheKind::Retrieval, &Tenant::default(), &[b"how long?"]).unwrap();
        memory.keep(key, &seven()).await;
        assert!(memory.recall::<Later>(key).await.is_none());
        memory.keep(key, &Later(seven())).await;
        assert!(memory.recall::<String>(key).await.is_none());
        assert!(memory.recall::<Later>(key).await.is_some());
    }

    #[tokio::test]
    async fn what_was_cleared_is_never_recalled_and_is_computed_anew_while_it_is_unknown_what_was() {
        let epochs = CacheEpochs::default();
        let memory = Memory::new(Arc::<CacheDouble>::default(), Changes::alone(), Vec::new()).clearing(epochs.clone());
        let acme: Tenant = "acme".parse().unwrap();
        let key = async |tenant: &Tenant| memory.key(CacheKind::Retrieval, tenant, &[b"how long?"]).await.unwrap();
        let late = key(&acme).await;
        for tenant in [&acme, &Tenant::default()] {
            memory.keep(key(tenant).await, &seven()).await;
        }
        epochs.hold([((CacheKind::Retrieval, Some(acme.clone())), 1)].into());
        assert_eq!(memory.recall::<String>(key(&acme).await).await, None);
        assert_eq!(memory.recall::<String>(key(&Tenant::default()).await).await, Some(seven()));
        // What was computed before the clearing and is kept after it stays where nobody asks for it.
        memory.keep(late, &seven()).await;
        assert_eq!(memory.recall::<String>(key(&acme).await).await, None);
        let unknown = memory.clone().clearing(CacheEpochs::unknown());
        assert!(unknown.key(CacheKind::Retrieval, &acme, &[b"how long?"]).await.is_none());
    }
}
