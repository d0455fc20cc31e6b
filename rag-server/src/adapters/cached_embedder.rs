//! An embedder that remembers the vectors of questions. Passages are embedded once and are not remembered.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::{Cache, CacheEpochs, CacheKey, CacheKind, EmbedError, Embedder, EmbedderDecorator};

/// The embedder over its memory.
pub struct CachedEmbedder {
    inner: Arc<dyn Embedder>,
    cache: Arc<dyn Cache>,
    epochs: CacheEpochs,
    scope: Vec<u8>,
}

impl CachedEmbedder {
    /// The embedder over this one and this memory, of which nothing is used that was kept in an earlier one of these epochs. Entries belong to this `scope`, where its vectors come from: a cache may outlive the program,
    /// and two services may call two models the same.
    pub fn new(inner: Arc<dyn Embedder>, cache: Arc<dyn Cache>, epochs: CacheEpochs, scope: Vec<u8>) -> Self {
        Self { inner, cache, epochs, scope }
    }

    /// None while the epochs are unknown. Tenants share vectors: one tells nothing but its text, which the asker brings along.
    fn key(&self, text: &str) -> Option<CacheKey> {
        let model = self.inner.model();
        let dimension = model.dimension.to_le_bytes();
        let epoch = self.epochs.part(CacheKind::Embedding, None)?;
        let parts: [&[u8]; 5] = [&epoch, &self.scope, model.name.as_bytes(), &dimension, text.as_bytes()];
        Some(CacheKey::new(CacheKind::Embedding, &parts))
    }
}

#[async_trait]
impl EmbedderDecorator for CachedEmbedder {
    fn inner(&self) -> &dyn Embedder {
        &*self.inner
    }

    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let Some(key) = self.key(text) else { return self.inner.embed_query(text).await };
        let known = self.cache.get(&key).await.and_then(|bytes| vector(&bytes, self.model().dimension));
        if let Some(vector) = known {
            return Ok(vector);
        }
        let vector = self.inner.embed_query(text).await?;
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.cache.put(key, bytes.into()).await;
        Ok(vector)
    }
}

/// A vector of its bytes; none when they are not one, which only a foreign cache could hold.
fn vector(bytes: &[u8], dimension: usize) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    let whole = rest.is_empty() && values.len() == dimension;
    whole.then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{adapters::memory_cache::MemoryCache, doubles::EmbedderDouble};

    /// Counts the questions that reach the model.
    #[derive(Default)]
    struct Asked(EmbedderDouble, AtomicUsize);

    #[async_trait]
    impl EmbedderDecorator for Asked {
        fn inner(&self) -> &dyn Embedder {
            &self.0
        }

        async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            if text == "fail" { Err(EmbedError::Overloaded) } else { self.0.embed_query(text).await }
        }
    }

    #[tokio::test]
    async fn a_question_is_embedded_once_and_a_failure_is_not_remembered() {
        let (asked, epochs) = (Arc::<Asked>::default(), CacheEpochs::default());
        let memory = Arc::new(MemoryCache::new(1 << 20));
        let cached = CachedEmbedder::new(Arc::clone(&asked) as _, memory, epochs.clone(), Vec::new());
        let first = cached.embed_query("how long are snapshots kept").await.unwrap();
        assert_eq!(cached.embed_query("how long are snapshots kept").await.unwrap(), first);
        assert_ne!(cached.embed_query("how long are backups kept").await.unwrap(), first);
        assert_eq!(asked.1.load(Ordering::SeqCst), 2);
        for _ in 0..2 {
            assert_eq!(cached.embed_query("fail").await, Err(EmbedError::Overloaded));
        }
        assert_eq!(asked.1.load(Ordering::SeqCst), 4);
        epochs.hold([((CacheKind::Embedding, None), 1)].into());
        assert_eq!(cached.embed_query("how long are snapshots kept").await.unwrap(), first);
        assert_eq!(asked.1.load(Ordering::SeqCst), 5, "what was cleared is embedded again");
    }

    #[tokio::test]
    async fn a_model_of_the_same_name_elsewhere_has_vectors_of_its_own() {
        let (asked, cache) = (Arc::<Asked>::default(), Arc::new(MemoryCache::new(1 << 20)));
        for scope in ["here", "there"] {
            let cached = CachedEmbedder::new(
                Arc::clone(&asked) as _,
                Arc::clone(&cache) as _,
                CacheEpochs::default(),
                scope.into(),
            );
            for _ in 0..2 {
                cached.embed_query("how long are snapshots kept").await.unwrap();
            }
        }
        assert_eq!(asked.1.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn bytes_that_are_no_vector_of_the_model_are_none() {
        assert_eq!(vector(&1.5_f32.to_le_bytes(), 1), Some(vec![1.5]));
        for (bytes, dimension) in [(&[0_u8; 4][..], 2), (&[0; 5], 1), (&[], 1)] {
            assert_eq!(vector(bytes, dimension), None);
        }
    }
}
