//! Services that are not asked while they fail: each behind its breaker.
//!
//! An embedder is guarded where questions are asked: they are refused at once while it is known to fail, instead of waiting for its tries. Passages pass by. Who ingests waits for a service that is down anyway, and one document that a service chokes on must not keep anybody from asking.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    ports::{EmbedError, Embedder, EmbedderDecorator, ProviderFailure, RerankError, Reranker},
    resilience::{Guard, Verdict},
};

/// An embedder behind a breaker.
pub struct GuardedEmbedder {
    inner: Arc<dyn Embedder>,
    guard: Arc<Guard>,
}

impl GuardedEmbedder {
    /// The embedder behind this breaker.
    pub fn new(inner: Arc<dyn Embedder>, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }

    fn left_alone(&self, wait: Duration) -> EmbedError {
        EmbedError::Unavailable {
            model: self.model().name.clone(),
            failure: ProviderFailure::LeftAlone,
            cause: "it failed too often".to_owned(),
            retry_after_seconds: Some(seconds(wait)),
        }
    }
}

#[async_trait]
impl EmbedderDecorator for GuardedEmbedder {
    fn inner(&self) -> &dyn Embedder {
        &*self.inner
    }

    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let pass = self.guard.admit().map_err(|wait| self.left_alone(wait))?;
        let embedded = self.inner.embed_query(text).await;
        pass.judge(match &embedded {
            Ok(_) => Verdict::Success,
            Err(error) => embedder_verdict(error),
        });
        embedded
    }
}

/// What a failure says about the service: a rate limit is no illness, and a refused text may be its sender's fault.
fn embedder_verdict(error: &EmbedError) -> Verdict {
    match error {
        EmbedError::Unavailable { failure, .. } => match failure {
            ProviderFailure::Unreachable
            | ProviderFailure::AuthFailed
            | ProviderFailure::Timeout
            | ProviderFailure::Failed => Verdict::Failure,
            ProviderFailure::RateLimited
            | ProviderFailure::LeftAlone
            | ProviderFailure::OverBudget
            | ProviderFailure::Unaccounted
            | ProviderFailure::LimitKept => Verdict::Nothing,
        },
        EmbedError::Broken { .. } => Verdict::Failure,
        EmbedError::Model { .. } | EmbedError::Refused { .. } | EmbedError::Overloaded | EmbedError::Stopping => {
            Verdict::Nothing
        }
    }
}

/// A reranker behind a breaker.
pub struct GuardedReranker {
    inner: Arc<dyn Reranker>,
    address: String,
    guard: Arc<Guard>,
}

impl GuardedReranker {
    /// The reranker at this address behind this breaker.
    pub fn new(inner: Arc<dyn Reranker>, address: String, guard: Arc<Guard>) -> Self {
        Self { inner, address, guard }
    }
}

#[async_trait]
impl Reranker for GuardedReranker {
    async fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
        let left_alone = |wait| RerankError::LeftAlone { address: self.address.clone(), seconds: seconds(wait) };
        let pass = self.guard.admit().map_err(left_alone)?;
        let reranked = self.inner.rerank(question, texts).await;
        pass.judge(match &reranked {
            Ok(_) => Verdict::Success,
            Err(error) => reranker_verdict(error),
        });
        reranked
    }
}

fn reranker_verdict(error: &RerankError) -> Verdict {
    match error {
        RerankError::Unreachable { .. } | RerankError::Garbled { .. } | RerankError::NoKey { .. } => Verdict::Failure,
        RerankError::Refused { status: 400 | 413 | 422 | 429, .. } => Verdict::Nothing,
        RerankError::Refused { .. } => Verdict::Failure,
        RerankError::LeftAlone { .. } | RerankError::NotAdmitted { .. } => Verdict::Nothing,
    }
}

/// Whole seconds after which another try makes sense.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        doubles::EmbedderDouble,
        ports::ModelIdentity,
        resilience::{BreakerPolicy, BreakerState},
    };

    /// Fails as it is told to, and counts what reaches it.
    struct Told<E>(Option<E>, AtomicUsize);

    impl<E: Clone> Told<E> {
        fn answer<T>(&self, well: T) -> Result<T, E> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.clone().map_or(Ok(well), Err)
        }
    }

    #[async_trait]
    impl Embedder for Told<EmbedError> {
        fn model(&self) -> &ModelIdentity {
            static MODEL: std::sync::LazyLock<EmbedderDouble> = std::sync::LazyLock::new(EmbedderDouble::default);
            MODEL.model()
        }

        fn count_tokens(&self, text: &str) -> usize {
            text.len()
        }

        fn max_tokens(&self) -> usize {
            9
        }

        async fn embed_query(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
            self.answer(vec![1.0])
        }

        async fn embed_passages(&self, _: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.answer(vec![vec![1.0]])
        }
    }

    #[async_trait]
    impl Reranker for Told<RerankError> {
        async fn rerank(&self, _: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
            self.answer(vec![0.0; texts.len()])
        }
    }

    type States = Arc<Mutex<Vec<BreakerState>>>;

    fn guard() -> (Arc<Guard>, States) {
        let states = States::default();
        let told = Arc::clone(&states);
        let policy = BreakerPolicy { failures: 3, open: Duration::from_secs(30), successes: 2 };
        let note = move |_: &str, state, _| told.lock().unwrap().push(state);
        (Arc::new(Guard::new("far", policy, Box::new(note))), states)
    }

    /// How many of five calls reached the service, and where its breaker stands then.
    async fn embedded(error: Option<EmbedError>) -> (usize, BreakerState) {
        let (told, (guard, states)) = (Arc::new(Told(error, AtomicUsize::new(0))), guard());
        let guarded = GuardedEmbedder::new(Arc::clone(&told) as _, guard);
        for _ in 0..5 {
            let _told_by_the_count = guarded.embed_query("q").await;
        }
        let state = *states.lock().unwrap().last().unwrap();
        (told.1.load(Ordering::SeqCst), state)
    }

    async fn reranked(error: RerankError) -> (usize, BreakerState) {
        let (told, (guard, states)) = (Arc::new(Told(Some(error), AtomicUsize::new(0))), guard());
        let guarded = GuardedReranker::new(Arc::clone(&told) as _, "far".to_owned(), guard);
        for _ in 0..5 {
            let _told_by_the_count = guarded.rerank("q", &["a"]).await;
        }
        let state = *states.lock().unwrap().last().unwrap();
        (told.1.load(Ordering::SeqCst), state)
    }

    fn unavailable(failure: ProviderFailure) -> EmbedError {
        EmbedError::Unavailable { model: "m".to_owned(), failure, cause: String::new(), retry_after_seconds: None }
    }

    #[tokio::test]
    async fn an_embedder_that_fails_is_left_alone_and_one_that_refuses_is_not() {
        let (model, cause) = ("m".to_owned(), String::new());
        for error in [
            unavailable(ProviderFailure::Unreachable),
            unavailable(ProviderFailure::AuthFailed),
            unavailable(ProviderFailure::Timeout),
            unavailable(ProviderFailure::Failed),
            EmbedError::Broken { model: model.clone(), cause: cause.clone() },
        ] {
            assert_eq!(embedded(Some(error.clone())).await, (3, BreakerState::Open), "{error}");
        }
        for error in [
            Some(unavailable(ProviderFailure::RateLimited)),
            Some(unavailable(ProviderFailure::OverBudget)),
            Some(EmbedError::Refused { model: model.clone(), cause: cause.clone() }),
            Some(EmbedError::Model { model, cause }),
            Some(EmbedError::Overloaded),
            Some(EmbedError::Stopping),
            None,
        ] {
            assert_eq!(embedded(error.clone()).await, (5, BreakerState::Closed), "{error:?}");
        }
    }

    #[tokio::test]
    async fn while_an_embedder_is_left_alone_questions_are_told_when_to_come_back_and_passages_pass_by() {
        let told = Arc::new(Told(Some(unavailable(ProviderFailure::Failed)), AtomicUsize::new(0)));
        let guarded = GuardedEmbedder::new(Arc::clone(&told) as _, guard().0);
        for _ in 0..9 {
            assert_eq!(guarded.embed_passages(vec![]).await, Err(unavailable(ProviderFailure::Failed)));
        }
        assert_eq!(guarded.embed_query("q").await, Err(unavailable(ProviderFailure::Failed)), "passages open nothing");
        for _ in 0..2 {
            let _opens_it = guarded.embed_query("q").await;
        }
        let error = guarded.embed_query("q").await.unwrap_err();
        let EmbedError::Unavailable { failure: ProviderFailure::LeftAlone, retry_after_seconds, .. } = error else {
            panic!("{error}")
        };
        assert!(retry_after_seconds.is_some_and(|seconds| (1..=30).contains(&seconds)), "{retry_after_seconds:?}");
        assert_eq!(guarded.embed_passages(vec![]).await, Err(unavailable(ProviderFailure::Failed)));
    }

    #[tokio::test]
    async fn a_reranker_that_fails_is_left_alone_and_one_that_refuses_is_not() {
        let address = "far".to_owned();
        let refused = |status| RerankError::Refused { address: "far".to_owned(), status };
        for error in [
            RerankError::Unreachable { address: address.clone(), cause: String::new() },
            RerankError::Garbled { address, cause: String::new() },
            RerankError::NoKey { cause: String::new() },
            refused(401),
            refused(404),
            refused(500),
            refused(503),
        ] {
            assert_eq!(reranked(error.clone()).await, (3, BreakerState::Open), "{error}");
        }
        for error in [refused(400), refused(413), refused(422), refused(429)] {
            assert_eq!(reranked(error.clone()).await, (5, BreakerState::Closed), "{error}");
        }
    }
}
