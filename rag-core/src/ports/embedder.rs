//! Text to vectors.

use async_trait::async_trait;

/// What must be equal for two vectors to be comparable; stored with a collection and checked at start.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModelIdentity {
    /// The model's name.
    pub name: String,
    /// Length of its vectors.
    pub dimension: usize,
}

/// Why a text was not embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The model failed on this input.
    #[error("the embedding model {model} failed: {cause}")]
    Model {
        /// The model's name.
        model: String,
        /// What it said.
        cause: String,
    },
    /// The provider refused the text itself, such as one that is too long or that its filter does not let pass; another text may be taken.
    #[error("the provider of the embedding model {model} refused the text: {cause}")]
    Refused {
        /// The model's name.
        model: String,
        /// What it said.
        cause: String,
    },
    /// The provider of the model does something that neither another try nor another text changes.
    #[error("the provider of the embedding model {model} cannot be used: {cause}")]
    Broken {
        /// The model's name.
        model: String,
        /// What it did.
        cause: String,
    },
    /// The provider of the model is not available; another try may succeed, now or once somebody has done something.
    #[error("the provider of the embedding model {model} is not available ({}): {cause}", .failure.as_str())]
    Unavailable {
        /// The model's name.
        model: String,
        /// The class of the failure.
        failure: ProviderFailure,
        /// What it said.
        cause: String,
        /// Seconds after which it wants to be asked again.
        retry_after_seconds: Option<u64>,
    },
    /// Too many requests wait already; the caller should say so with Retry-After.
    #[error("the embedding queue is full; try again in a second")]
    Overloaded,
    /// The process is stopping.
    #[error("the embedder is stopping")]
    Stopping,
}

/// Why a provider did not answer, classed by what a person would do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderFailure {
    /// No connection.
    Unreachable,
    /// The key was refused.
    AuthFailed,
    /// It asks to be left alone for a while.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// It failed by itself.
    Failed,
    /// It was not asked, because it failed too often.
    LeftAlone,
    /// It was not asked, because the budget is spent.
    OverBudget,
    /// It was not asked, because it is not known what is left of the budget or of its rate limit.
    Unaccounted,
    /// It was not asked, because it would be over the rate limit that all servers share.
    LimitKept,
}

impl ProviderFailure {
    /// Whether the provider was not asked at all, so that nothing is said of it.
    pub fn was_not_asked(self) -> bool {
        match self {
            Self::LeftAlone | Self::OverBudget | Self::Unaccounted | Self::LimitKept => true,
            Self::Unreachable | Self::AuthFailed | Self::RateLimited | Self::Timeout | Self::Failed => false,
        }
    }

    /// The class, as a metric label: a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::AuthFailed => "auth_failed",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::LeftAlone => "left_alone",
            Self::OverBudget => "over_budget",
            Self::Unaccounted => "unaccounted",
            Self::LimitKept => "rate_limit_kept",
        }
    }
}

impl EmbedError {
    /// Whether the texts themselves may be the reason, so that it may go well with others meanwhile.
    pub fn may_be_the_texts(&self) -> bool {
        match self {
            Self::Model { .. } | Self::Refused { .. } | Self::Broken { .. } => true,
            Self::Unavailable { failure, .. } => match failure {
                // A provider that breaks down on a text closes the connection, or says nothing in time.
                ProviderFailure::Unreachable | ProviderFailure::Timeout | ProviderFailure::Failed => true,
                ProviderFailure::AuthFailed
                | ProviderFailure::RateLimited
                | ProviderFailure::LeftAlone
                | ProviderFailure::OverBudget
                | ProviderFailure::Unaccounted
                | ProviderFailure::LimitKept => false,
            },
            Self::Overloaded | Self::Stopping => false,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { failure, .. } => match failure {
                ProviderFailure::Unreachable
                | ProviderFailure::RateLimited
                | ProviderFailure::Timeout
                | ProviderFailure::Failed
                | ProviderFailure::LeftAlone
                | ProviderFailure::OverBudget
                | ProviderFailure::Unaccounted
                | ProviderFailure::LimitKept => true,
                ProviderFailure::AuthFailed => false,
            },
            Self::Overloaded => true,
            Self::Model { .. } | Self::Refused { .. } | Self::Broken { .. } | Self::Stopping => false,
        }
    }

    /// Whether it is the answer to these texts, which would be given again.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Model { .. } | Self::Refused { .. } | Self::Broken { .. } => true,
            Self::Unavailable { .. } | Self::Overloaded | Self::Stopping => false,
        }
    }
}

/// Turns texts into vectors of length 1. Texts longer than the model's limit are cut by the model's own tokenizer.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Which model this is.
    fn model(&self) -> &ModelIdentity;

    /// Tokens of a text by the model's own tokenizer, without the two special ones. Not cut.
    fn count_tokens(&self, text: &str) -> usize;

    /// Tokens that a passage may have before it would be cut.
    fn max_tokens(&self) -> usize;

    /// Embeds a question. Concurrent questions share batches.
    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError>;

    /// Embeds passages, in their order. Gives way to questions.
    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Embeds texts that somebody sent for their vectors alone, as passages are. Where texts wait for each other, these and the passages of documents take turns.
    async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed_passages(texts).await
    }
}

/// An embedder around another one, which says only what it does otherwise: everything else is forwarded as what it is.
#[async_trait]
pub trait EmbedderDecorator: Send + Sync {
    /// The embedder that it is around.
    fn inner(&self) -> &dyn Embedder;

    /// What it makes of a question.
    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.inner().embed_query(text).await
    }

    /// What it makes of passages.
    async fn around_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.inner().embed_passages(texts).await
    }

    /// What it makes of texts that somebody sent for their vectors alone. They stay that, so that they take turns with the passages of documents.
    async fn around_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.inner().embed_texts(texts).await
    }
}

#[async_trait]
impl<D: EmbedderDecorator> Embedder for D {
    fn model(&self) -> &ModelIdentity {
        self.inner().model()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.inner().count_tokens(text)
    }

    fn max_tokens(&self) -> usize {
        self.inner().max_tokens()
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.around_query(text).await
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.around_passages(texts).await
    }

    async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.around_texts(texts).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each kind of text with a vector of its own.
    struct Kinds(ModelIdentity);

    #[async_trait]
    impl Embedder for Kinds {
        fn model(&self) -> &ModelIdentity {
            &self.0
        }

        fn count_tokens(&self, text: &str) -> usize {
            text.len()
        }

        fn max_tokens(&self) -> usize {
            7
        }

        async fn embed_query(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
            Ok(vec![1.0])
        }

        async fn embed_passages(&self, _: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(vec![vec![2.0]])
        }

        async fn embed_texts(&self, _: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
            Ok(vec![vec![3.0]])
        }
    }

    /// Changes nothing.
    struct Bare(Kinds);

    impl EmbedderDecorator for Bare {
        fn inner(&self) -> &dyn Embedder {
            &self.0
        }
    }

    #[tokio::test]
    async fn a_decorator_that_says_nothing_forwards_everything_as_what_it_is() {
        let model = ModelIdentity { name: "kinds".to_owned(), dimension: 1 };
        let bare = Bare(Kinds(model.clone()));
        assert_eq!((bare.model(), bare.count_tokens("four"), bare.max_tokens()), (&model, 4, 7));
        assert_eq!(bare.embed_query("a").await, Ok(vec![1.0]));
        assert_eq!(bare.embed_passages(vec!["a".to_owned()]).await, Ok(vec![vec![2.0]]));
        assert_eq!(bare.embed_texts(vec!["a".to_owned()]).await, Ok(vec![vec![3.0]]));
    }
}
