//! What a failure of the flows means for a caller. The whole error goes to the log, under the request's id; the answer names no address and no file.

use super::error::{Code, Problem};
use crate::{
    evaluate::EvaluateError,
    generate::AnswerError,
    ingest::{Interrupted, SubmitError},
    operations::FleetError,
    ports::{EmbedError, ProviderFailure, StoreError},
    retrieve::RetrieveError,
};

/// Said with each failed search, because an empty answer would look the same to a careless caller.
const NOT_EMPTY: &str = "this is not an empty result";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(cause = error.cause(), %error, "a store failed");
        let (is_full, is_read_only) = (error.is_full(), error.is_read_only());
        match error {
            StoreError::Unreachable { store, .. } => {
                Self::new(Code::StoreUnreachable, format!("{store} cannot be reached; {NOT_EMPTY}")).retry_after(5)
            }
            StoreError::Timeout { store, seconds } => {
                let detail = format!("{store} did not answer within {seconds} s; {NOT_EMPTY}");
                Self::new(Code::StoreUnreachable, detail).retry_after(5)
            }
            StoreError::RateLimited { store, retry_after_seconds } => {
                let detail = format!("{store} is overloaded; {NOT_EMPTY}");
                Self::new(Code::Overloaded, detail).retry_after(retry_after_seconds)
            }
            StoreError::AuthFailed { store, .. } => {
                let detail = format!("{store} refused the server's credential; {NOT_EMPTY}");
                Self::new(Code::StoreAuthFailed, detail).retry_after(30)
            }
            StoreError::NoKey { store, .. } => {
                let detail = format!("the server has no credential for {store}; {NOT_EMPTY}");
                Self::new(Code::StoreAuthFailed, detail).retry_after(30)
            }
            StoreError::Failed { store, .. } if is_full => {
                let detail = format!(
                    "{store} has no room left on its disk, so nothing was written; questions are answered, and writes again when there is room"
                );
                Self::new(Code::StorageFull, detail).retry_after(30)
            }
            StoreError::Failed { store, .. } if is_read_only => {
                let detail = format!(
                    "the disk of {store} may be read and not written; questions are answered, and writes again when it may"
                );
                Self::new(Code::StorageReadOnly, detail).retry_after(30)
            }
            StoreError::Failed { store, .. } => {
                Self::new(Code::StoreFailed, format!("{store} failed; {NOT_EMPTY}")).retry_after(5)
            }
            StoreError::InUse { .. } => {
                Self::new(Code::StoreFailed, "the data is in use by another process").retry_after(5)
            }
            StoreError::Corrupt { .. } => {
                Self::new(Code::StoreCorrupt, "something that is stored cannot be read; the log names it")
            }
            StoreError::Refused { store, .. } => {
                Self::new(Code::Internal, format!("{store} refused a request of the server; the log has more"))
            }
        }
    }
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Store(error) => Self::from(error),
            FleetError::Full(full) => Self::new(Code::ListFull, full.to_string()),
            FleetError::Unread(unread) => {
                tracing::warn!(error = %unread, "what holds for all servers was not changed");
                Self::new(Code::NewerFormat, "a newer server wrote what holds for all servers; ask one of its version")
            }
            FleetError::Unwritten(error) => {
                tracing::error!(error, "what holds for all servers was not changed");
                Self::new(Code::Internal, "what holds for all servers cannot be written; the log has more")
            }
        }
    }
}

impl From<EmbedError> for Problem {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Overloaded => {
                Self::new(Code::Overloaded, "too many questions wait for the embedding model; try again").retry_after(1)
            }
            EmbedError::Unavailable { failure: ProviderFailure::OverBudget, retry_after_seconds, .. } => {
                let detail = "the budget is spent, and the text cannot be embedded without the provider of the embedding model; this is not an empty result, ask for a higher budget";
                Self::new(Code::BudgetSpent, detail).retry_after(retry_after_seconds.unwrap_or(5))
            }
            EmbedError::Unavailable { failure, retry_after_seconds, .. } => {
                tracing::warn!(cause = failure.as_str(), %error, "the embedding provider failed");
                let detail = "the provider of the embedding model is not available; this is not an empty result";
                Self::new(Code::EmbedderUnavailable, detail).retry_after(retry_after_seconds.unwrap_or(5))
            }
            EmbedError::Stopping => Self::new(Code::Stopping, "the server is stopping; ask another one").retry_after(1),
            EmbedError::Refused { .. } => {
                tracing::info!(%error, "a text was refused");
                let detail = "the provider of the embedding model refused the text, such as one that is too long or that its filter does not let pass; send another";
                Self::new(Code::InvalidValue, detail)
            }
            EmbedError::Broken { .. } => {
                tracing::warn!(%error, "an embedding failed");
                let detail = "the provider of the embedding model does not answer as it should; the log has more under the request's id";
                Self::new(Code::EmbedderFailed, detail)
            }
            EmbedError::Model { .. } => {
                tracing::warn!(%error, "an embedding failed");
                Self::new(Code::Internal, "the embedding model failed; the log has more under the request's id")
            }
        }
    }
}

impl From<RetrieveError> for Problem {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::Embed(error) => error.into(),
            RetrieveError::Search(error) | RetrieveError::Records(error) => error.into(),
        }
    }
}

impl From<EvaluateError> for Problem {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Retrieve(error) => error.into(),
            EvaluateError::Store(error) => error.into(),
            EvaluateError::NothingStored { .. } | EvaluateError::NoHeadings(_) | EvaluateError::OneDocument => {
                Self::new(Code::InvalidValue, error.to_string())
            }
        }
    }
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Retrieve(error) => error.into(),
            AnswerError::Session(error) => error.into(),
            AnswerError::BudgetSpent { resets_in_seconds, .. } => {
                let detail = format!(
                    "{error}, and answers without a language model are switched off; a new one begins in {resets_in_seconds} s, or ask for a higher one"
                );
                Self::new(Code::BudgetSpent, detail).retry_after(resets_in_seconds)
            }
            AnswerError::Refused { .. } => {
                tracing::info!(%error, "a request was refused");
                let detail =
                    format!("the passages were found, but {error}; change the question or how it is to be answered");
                Self::new(Code::InvalidValue, detail)
            }
            AnswerError::NoProvider { retry_after_seconds } => {
                let detail = "the passages were found, but no language model can answer now; try again";
                Self::new(Code::NoProvider, detail).retry_after(retry_after_seconds)
            }
            AnswerError::Expired => {
                Self::new(Code::DeadlineExceeded, "no answer in time; this is not an empty result, try again")
                    .retry_after(1)
            }
            AnswerError::Interrupted => {
                Self::new(Code::Internal, "an internal error; the log has more under the request's id")
            }
            AnswerError::Generate(error) => {
                tracing::warn!(%error, "an answer was not written");
                Self::new(Code::GeneratorFailed, "the passages were found, but the answer was not written; try again")
                    .retry_after(5)
            }
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy { retry_after_seconds } => {
                Self::new(Code::QueueFull, error.to_string()).retry_after(retry_after_seconds)
            }
            SubmitError::KeyReused { .. } => Self::new(Code::IdempotencyKeyReused, error.to_string()),
            SubmitError::NoDocuments | SubmitError::TooManyDocuments { .. } | SubmitError::SameDocumentTwice { .. } => {
                Self::new(Code::InvalidValue, error.to_string())
            }
            SubmitError::Interrupted(Interrupted::Store(error)) => error.into(),
            SubmitError::Interrupted(Interrupted::Embed(error)) => error.into(),
            SubmitError::Interrupted(Interrupted::Worker { .. } | Interrupted::Outdated) => {
                tracing::warn!(%error, "a submission failed");
                Self::new(Code::Internal, "the documents were not taken; the log has more under the request's id")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        generate::Period,
        key_file::NoKey,
        model::MicroUsd,
        ports::{GenerateError, ProviderFailure},
    };

    const STORE: &str = "the vector store";

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn embedder_failed(failure: ProviderFailure) -> EmbedError {
        EmbedError::Unavailable { model: text("m"), failure, cause: text("at /secret"), retry_after_seconds: Some(7) }
    }

    #[test]
    fn every_failure_of_a_store_has_its_status() {
        let (address, cause) = (text("http://secret:1"), text("at /secret"));
        let no_key = NoKey::Unreadable { path: text("/secret"), cause: cause.clone() };
        for (error, status, slug, waits) in [
            (
                StoreError::Unreachable { store: STORE, address: address.clone(), cause: cause.clone() },
                503,
                "store-unreachable",
                true,
            ),
            (StoreError::AuthFailed { store: STORE, address }, 503, "store-auth-failed", true),
            (StoreError::NoKey { store: STORE, cause: no_key }, 503, "store-auth-failed", true),
            (StoreError::Timeout { store: STORE, seconds: 3 }, 503, "store-unreachable", true),
            (StoreError::RateLimited { store: STORE, retry_after_seconds: 9 }, 503, "overloaded", true),
            (StoreError::InUse { path: text("/secret") }, 503, "store-failed", true),
            (StoreError::Corrupt { what: text("/secret"), cause: cause.clone() }, 500, "store-corrupt", false),
            (StoreError::Refused { store: STORE, cause: cause.clone() }, 500, "internal", false),
            (StoreError::Failed { store: STORE, cause }, 503, "store-failed", true),
            (
                StoreError::Failed { store: STORE, cause: text("/secret: No space left on device") },
                507,
                "storage-full",
                true,
            ),
            (
                StoreError::Failed { store: STORE, cause: text("/secret: Read-only file system") },
                503,
                "storage-read-only",
                true,
            ),
        ] {
            told(error, status, slug, waits);
        }
    }

    #[test]
    fn every_failure_of_an_embedder_has_its_status_and_what_is_the_caller_s_fault_stays_the_caller_s() {
        let (model, cause) = (text("m"), text("at /secret"));
        for (error, status, slug, waits) in [
            (EmbedError::Model { model: model.clone(), cause: cause.clone() }, 500, "internal", false),
            (EmbedError::Refused { model: model.clone(), cause: cause.clone() }, 422, "invalid-value", false),
            (EmbedError::Broken { model, cause }, 502, "embedder-failed", false),
            (EmbedError::Overloaded, 503, "overloaded", true),
            (EmbedError::Stopping, 503, "stopping", true),
            (embedder_failed(ProviderFailure::Unreachable), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::AuthFailed), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::RateLimited), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::Timeout), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::Failed), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::LeftAlone), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::LimitKept), 503, "embedder-unavailable", true),
            (embedder_failed(ProviderFailure::OverBudget), 402, "budget-spent", true),
        ] {
            told(RetrieveError::Embed(error.clone()), status, slug, waits);
            told(error, status, slug, waits);
        }
    }

    #[test]
    fn every_failure_of_an_answer_has_its_status() {
        let (period, limit) = (Period::Day, MicroUsd(1));
        let refused = AnswerError::Refused { provider: text("p"), cause: text("refused the request (status 400)") };
        let failed = GenerateError::Failed { name: text("p"), cause: text("at /secret") };
        for (error, status, slug, waits) in [
            (AnswerError::BudgetSpent { period, limit, resets_in_seconds: 5 }, 402, "budget-spent", true),
            (refused, 422, "invalid-value", false),
            (AnswerError::NoProvider { retry_after_seconds: 5 }, 503, "no-provider", true),
            (AnswerError::Expired, 504, "deadline-exceeded", true),
            (AnswerError::Interrupted, 500, "internal", false),
            (AnswerError::Generate(failed), 502, "generator-failed", true),
        ] {
            told(error, status, slug, waits);
        }
    }

    /// The problem has this status and kind, says when to come back where that helps, and names nothing of the inside.
    fn told(error: impl Into<Problem> + std::fmt::Debug, status: u16, slug: &str, waits: bool) {
        let shown = format!("{error:?}");
        let problem: Problem = error.into();
        assert_eq!((problem.code.status().as_u16(), problem.code.slug()), (status, slug), "{shown}");
        assert_eq!(problem.retry_after.is_some(), waits, "{shown}");
        assert!(!problem.detail.contains("secret"), "{shown}: {}", problem.detail);
    }
}
