//! What failed calls mean: the class of the cause, and whether the call reached anybody.

use std::{error::Error, time::Duration};

use tonic::{Code, ConnectError, Status};

use super::STORE;
use crate::{outside, ports::StoreError};

/// Seconds to wait when the server asks for patience and names no time.
const DEFAULT_RETRY_SECONDS: u64 = 1;

/// How far a call came that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// There was no connection, so it was certainly not sent.
    Unsent,
    /// It was sent, or part of it, and nobody answered: it may have been carried out, or may be yet.
    Unanswered,
    /// The peer answered, with a refusal.
    Answered,
}

/// A call that failed: its class, and what the adapter itself reacts to.
#[derive(Debug)]
pub(super) struct Failure {
    code: Option<Code>,
    /// How far the call came.
    pub(super) reach: Reach,
    /// The class for the caller.
    pub(super) error: StoreError,
}

impl Failure {
    /// Classifies how a call to this address ended.
    pub(super) fn new(status: &Status, address: &str, deadline: Duration) -> Self {
        // What has a cause of its own came from the connection; an answer never has one.
        let reach = match status.source() {
            Some(source) if causes(source).any(|cause| cause.is::<ConnectError>()) => Reach::Unsent,
            Some(_) => Reach::Unanswered,
            None if status.code() == Code::Unavailable => Reach::Unanswered,
            None => Reach::Answered,
        };
        let error = match status.source() {
            Some(source) => {
                let cause = causes(source).last().map_or_else(String::new, ToString::to_string);
                StoreError::Unreachable { store: STORE, address: address.to_owned(), cause }
            }
            None => answered(status, address, deadline),
        };
        Self { code: Some(status.code()), reach, error }
    }

    /// The same of a call that only prepared the one that was wanted, which was not sent for that.
    pub(super) fn of_preparation(self) -> Self {
        let reach = if self.reach == Reach::Answered { Reach::Answered } else { Reach::Unsent };
        Self { reach, ..self }
    }

    /// A request that makes no sense to the store.
    pub(super) fn refused(cause: String) -> Self {
        StoreError::Refused { store: STORE, cause }.into()
    }

    /// The store did something that has no class of its own.
    pub(super) fn failed(cause: String) -> Self {
        StoreError::Failed { store: STORE, cause }.into()
    }

    /// The deadline passed.
    pub(super) fn timeout(deadline: Duration) -> Self {
        let error = StoreError::Timeout { store: STORE, seconds: deadline.as_secs() };
        Self { code: None, reach: Reach::Unanswered, error }
    }

    /// The collection, alias or point is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.code == Some(Code::NotFound)
    }

    /// The name is taken.
    pub(super) fn is_taken(&self) -> bool {
        self.code == Some(Code::AlreadyExists)
    }

    /// The credential was refused.
    pub(super) fn is_auth(&self) -> bool {
        matches!(self.error, StoreError::AuthFailed { .. })
    }
}

/// An error and what caused it, the cause of all last.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The class of an answer that is a refusal.
fn answered(status: &Status, address: &str, deadline: Duration) -> StoreError {
    let cause = status.message().to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            StoreError::AuthFailed { store: STORE, address: address.to_owned() }
        }
        Code::DeadlineExceeded | Code::Cancelled => StoreError::Timeout { store: STORE, seconds: deadline.as_secs() },
        Code::ResourceExhausted => StoreError::RateLimited { store: STORE, retry_after_seconds: wait(status) },
        Code::Unavailable => StoreError::Unreachable { store: STORE, address: address.to_owned(), cause },
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss | Code::Aborted => {
            StoreError::Failed { store: STORE, cause }
        }
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => StoreError::Refused { store: STORE, cause },
    }
}

/// The seconds for which the server asks for patience.
fn wait(status: &Status) -> u64 {
    let named = status.metadata().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    named.unwrap_or(DEFAULT_RETRY_SECONDS).min(outside::LONGEST.as_secs())
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { code: None, reach: Reach::Answered, error }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: &Status) -> Failure {
        Failure::new(status, "http://q:6334", Duration::from_secs(3))
    }

    #[test]
    fn every_answer_has_the_class_that_says_what_to_do() {
        let cases = [
            (Status::unauthenticated("no"), "auth_failed"),
            (Status::permission_denied("no"), "auth_failed"),
            (Status::deadline_exceeded("late"), "timeout"),
            (Status::cancelled("Timeout expired"), "timeout"),
            (Status::internal("disk full"), "failed"),
            (Status::resource_exhausted("slowly"), "rate_limited"),
            (Status::invalid_argument("what"), "refused"),
            (Status::not_found("where"), "refused"),
        ];
        for (status, expected) in cases {
            let found = failure(&status);
            assert_eq!((found.error.cause(), found.reach), (expected, Reach::Answered), "{status:?}");
        }
        let gone = failure(&Status::unavailable("gone"));
        assert_eq!((gone.error.cause(), gone.reach), ("unreachable", Reach::Unanswered));
    }

    #[test]
    fn a_rest_that_the_server_asks_for_is_an_hour_at_most() {
        let mut status = Status::resource_exhausted("slowly");
        for (named, expected) in [("7", 7), ("18446744073709551615", 3600), ("soon", 1)] {
            status.metadata_mut().insert("retry-after", named.parse().unwrap());
            let expected = StoreError::RateLimited { store: STORE, retry_after_seconds: expected };
            assert_eq!(failure(&status).error, expected);
        }
    }

    #[test]
    fn what_broke_on_the_way_is_told_in_the_words_of_the_system_and_by_how_far_it_came() {
        let refused = || std::io::Error::other("Connection refused");
        let unsent = failure(&Status::from_error(Box::new(ConnectError(Box::new(refused())))));
        let expected = "the vector store at http://q:6334 cannot be reached: Connection refused";
        assert_eq!((unsent.error.to_string().as_str(), unsent.reach), (expected, Reach::Unsent));
        let broken = failure(&Status::from_error(Box::new(refused())));
        assert_eq!((broken.error.to_string().as_str(), broken.reach), (expected, Reach::Unanswered));
    }
}
