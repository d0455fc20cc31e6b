//! The embedding model.

use async_trait::async_trait;

use crate::ports::{EmbedError, Embedder, EmbedderDecorator, ModelIdentity, ProviderFailure};

/// Embeds by counting words: texts that share words are near, others are orthogonal.
#[derive(Clone)]
pub struct EmbedderDouble {
    identity: ModelIdentity,
}

impl Default for EmbedderDouble {
    fn default() -> Self {
        Self { identity: ModelIdentity { name: "double".to_owned(), dimension: 512 } }
    }
}

impl EmbedderDouble {
    /// Another model.
    pub fn of(name: &str, dimension: usize) -> Self {
        Self { identity: ModelIdentity { name: name.to_owned(), dimension } }
    }

    fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.identity.dimension];
        for term in crate::lexical::terms(text) {
            vector[term as usize % self.identity.dimension] += 1.0;
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        } else {
            vector[0] = 1.0;
        }
        vector
    }
}

#[async_trait]
impl Embedder for EmbedderDouble {
    fn model(&self) -> &ModelIdentity {
        &self.identity
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn max_tokens(&self) -> usize {
        254
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(self.embed(text))
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|text| self.embed(text)).collect())
    }
}

/// Embeds as models do whose cosines are all high: what two texts have nothing of in common reaches 0.8.
#[derive(Clone, Default)]
pub struct HighCosines(EmbedderDouble);

impl HighCosines {
    fn raised(mut vector: Vec<f32>) -> Vec<f32> {
        vector.iter_mut().for_each(|value| *value *= 0.2_f32.sqrt());
        vector.push(0.8_f32.sqrt());
        vector
    }
}

#[async_trait]
impl EmbedderDecorator for HighCosines {
    fn inner(&self) -> &dyn Embedder {
        &self.0
    }

    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(Self::raised(self.0.embed_query(text).await?))
    }

    async fn around_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(self.0.embed_passages(texts).await?.into_iter().map(Self::raised).collect())
    }

    async fn around_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.around_passages(texts).await
    }
}

/// A model whose provider is not asked any more, because the budget is spent.
#[derive(Clone, Default)]
pub struct OverBudget(EmbedderDouble);

impl OverBudget {
    fn refused() -> EmbedError {
        EmbedError::Unavailable {
            model: "double".to_owned(),
            failure: ProviderFailure::OverBudget,
            cause: "the budget is spent".to_owned(),
            retry_after_seconds: Some(60),
        }
    }
}

#[async_trait]
impl EmbedderDecorator for OverBudget {
    fn inner(&self) -> &dyn Embedder {
        &self.0
    }

    async fn around_query(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
        Err(Self::refused())
    }

    async fn around_passages(&self, _: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Err(Self::refused())
    }

    async fn around_texts(&self, _: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Err(Self::refused())
    }
}
