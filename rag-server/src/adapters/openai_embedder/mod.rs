//! An embedder behind any API of OpenAI's shape.
//!
//! The vectors' length is checked against the configuration before the first question is taken. Passages go in batches, a few at a time; what may pass is tried again, as long as the provider asks and not for longer
//! than a call may take; whoever calls may give up earlier by dropping the future.
//! Caveat: the model's tokenizer is not here, so tokens are estimated from bytes, on the careful side.

mod call;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

pub use self::call::Pauses;
use self::call::{Endpoint, Purpose};
use crate::ports::{EmbedError, Embedder, ModelIdentity, NoToll, Toll};

/// Texts of one request; every provider takes as many.
const BATCH_TEXTS: usize = 64;

/// Requests with passages at a time: more would only meet the provider's rate limit sooner.
const REQUESTS: usize = 4;

/// Bytes that count as a token: English has four and more, and a letter of three bytes is at most one or two tokens.
const BYTES_PER_TOKEN: usize = 3;

/// Estimated tokens of a passage: about as much text as the local model reads, and below the limit of small models.
const MAX_TOKENS: usize = 384;

/// What the provider is asked, to see that it answers and how long its vectors are.
const PROBE: &str = "probe";

/// Where the provider is and what is expected of it.
#[derive(Debug, Clone)]
pub struct OpenAiSettings {
    /// Its base address, such as `https://api.example.com/v1`.
    pub base_url: String,
    /// The model's name.
    pub model: String,
    /// Length of its vectors.
    pub dimensions: usize,
    /// File with the API key; read at each call.
    pub api_key_file: Option<PathBuf>,
    /// Pauses between tries.
    pub pauses: Pauses,
}

/// Why the provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The first call failed.
    #[error("{0}")]
    Call(#[source] EmbedError),
    /// Its vectors have another length.
    #[error(
        "embedding.openai.dimensions is {configured} and vectors of {model} have {found}; set dimensions = {found}, or name a model that can be shortened"
    )]
    Dimensions {
        /// The model.
        model: String,
        /// What is configured.
        configured: usize,
        /// What came.
        found: usize,
    },
}

/// The embedder.
pub struct OpenAiEmbedder {
    identity: ModelIdentity,
    endpoint: Endpoint,
}

impl OpenAiEmbedder {
    /// A provider without a price and a limit.
    pub async fn open(settings: OpenAiSettings) -> Result<Self, ProviderError> {
        Self::behind(Arc::new(NoToll), settings).await
    }

    /// Makes the first call, which finds out whether the provider shortens vectors itself or has to be told. Each request passes this toll.
    pub async fn behind(toll: Arc<dyn Toll>, settings: OpenAiSettings) -> Result<Self, ProviderError> {
        let (model, configured) = (settings.model.clone(), settings.dimensions);
        let identity = ModelIdentity { name: model.clone(), dimension: configured };
        let mut endpoint = Endpoint::new(settings, toll).map_err(ProviderError::Call)?;
        let found = length(&endpoint).await.map_err(ProviderError::Call)?;
        if found != configured {
            endpoint.shorten_to(configured);
            match length(&endpoint).await {
                Ok(shortened) if shortened == configured => {}
                // A model that cannot be shortened refuses the wish, or ignores it.
                Err(error) if !error.is_final() => return Err(ProviderError::Call(error)),
                Ok(_) | Err(_) => return Err(ProviderError::Dimensions { model, configured, found }),
            }
        }
        Ok(Self { identity, endpoint })
    }

    async fn vectors(&self, texts: &[String], purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let vectors = self.endpoint.embed(texts, purpose).await?;
        match vectors.iter().find(|vector| vector.len() != self.identity.dimension) {
            Some(vector) => {
                let (found, expected) = (vector.len(), self.identity.dimension);
                Err(self.endpoint.broken(format!("a vector has {found} numbers instead of {expected}")))
            }
            None => vectors.into_iter().map(|vector| self.unit(vector)).collect(),
        }
    }

    /// The vector at length 1, as the port promises; not every provider does.
    fn unit(&self, mut vector: Vec<f32>) -> Result<Vec<f32>, EmbedError> {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(self.endpoint.broken("a vector has no direction".to_owned()));
        }
        vector.iter_mut().for_each(|value| *value /= length);
        Ok(vector)
    }
}

async fn length(endpoint: &Endpoint) -> Result<usize, EmbedError> {
    let vectors = endpoint.embed(&[PROBE.to_owned()], Purpose::Probe).await?;
    Ok(vectors.first().map_or(0, Vec::len))
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn model(&self) -> &ModelIdentity {
        &self.identity
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(BYTES_PER_TOKEN)
    }

    fn max_tokens(&self) -> usize {
        MAX_TOKENS
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let mut vectors = self.vectors(&[readable(text)], Purpose::Question).await?;
        vectors.pop().ok_or_else(|| self.endpoint.broken("no vector came".to_owned()))
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(|text| readable(text)).collect();
        let batches: Vec<Vec<String>> = texts.chunks(BATCH_TEXTS).map(<[String]>::to_vec).collect();
        let calls = batches.into_iter().map(|batch| async move { self.vectors(&batch, Purpose::Passages).await });
        let batches: Vec<_> = stream::iter(calls).buffered(REQUESTS).try_collect().await?;
        Ok(batches.into_iter().flatten().collect())
    }
}

/// The text as the provider will take it: cut where a model of this kind would cut, and never empty.
fn readable(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TOKENS * BYTES_PER_TOKEN);
    match text.get(..end) {
        Some("") | None => " ".to_owned(),
        Some(text) => text.to_owned(),
    }
}
