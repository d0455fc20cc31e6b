//! What a failure of the flows means for a caller. The whole error goes to the log, under the request's id; the answer names no address and no file.

use super::error::{Code, Problem};
use crate::{
    evaluate::EvaluateError,
    generate::AnswerError,
    ingest::{Interrupted, SubmitError},
    ports::{EmbedError, StoreError},
    retrieve::RetrieveError,
};

/// Said with each failed search, because an empty answer would look the same to a careless caller.
const NOT_EMPTY: &str = "this is not an empty result";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(cause = error.cause(), %error, "a store failed");
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

impl From<EmbedError> for Problem {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Overloaded => {
                Self::new(Code::Overloaded, "too many questions wait for the embedding model; try again").retry_after(1)
            }
            EmbedError::Unavailable { failure, retry_after_seconds, .. } => {
                tracing::warn!(cause = failure.as_str(), %error, "the embedding provider failed");
                let detail = "the provider of the embedding model is not available; this is not an empty result";
                Self::new(Code::EmbedderUnavailable, detail).retry_after(retry_after_seconds.unwrap_or(5))
            }
            EmbedError::Stopping => Self::new(Code::Stopping, "the server is stopping; ask another one").retry_after(1),
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
