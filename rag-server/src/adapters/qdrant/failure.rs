//! What the client's errors mean, by the class of their cause.

use std::{error::Error, time::Duration};

use qdrant_client::QdrantError;
use tonic::{Code, Status};

use super::STORE;
use crate::{outside, ports::StoreError};

/// Seconds to wait when the server asks for patience and names no time.
const DEFAULT_RETRY_SECONDS: u64 = 1;

/// A call that failed: its class, and what the adapter itself reacts to.
#[derive(Debug)]
pub(super) struct Failure {
    code: Option<Code>,
    /// The class for the caller.
    pub(super) error: StoreError,
}

impl Failure {
    /// Classifies what the client said about a call to this address.
    pub(super) fn new(error: QdrantError, address: &str, deadline: Duration) -> Self {
        match error {
            QdrantError::ResponseError { status } => Self::from_status(&status, address, deadline),
            QdrantError::ResourceExhaustedError { status, retry_after_seconds } => {
                let retry_after_seconds = retry_after_seconds.min(outside::LONGEST.as_secs());
                Self { code: Some(status.code()), error: StoreError::RateLimited { store: STORE, retry_after_seconds } }
            }
            QdrantError::InvalidUri(cause) => Self::refused(format!("the address {address} is not valid: {cause}")),
            other => Self::failed(other.to_string()),
        }
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
        StoreError::Timeout { store: STORE, seconds: deadline.as_secs() }.into()
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

    fn from_status(status: &Status, address: &str, deadline: Duration) -> Self {
        let cause = status.message().to_owned();
        let unreachable = |cause: String| StoreError::Unreachable { store: STORE, address: address.to_owned(), cause };
        let failed = |cause: String| StoreError::Failed { store: STORE, cause };
        let error = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                StoreError::AuthFailed { store: STORE, address: address.to_owned() }
            }
            // The client's own time limit arrives as a cancellation.
            Code::DeadlineExceeded | Code::Cancelled => {
                StoreError::Timeout { store: STORE, seconds: deadline.as_secs() }
            }
            Code::ResourceExhausted => {
                StoreError::RateLimited { store: STORE, retry_after_seconds: DEFAULT_RETRY_SECONDS }
            }
            Code::Unavailable => unreachable(cause),
            // The client reports a refused connection as an internal error, and a broken one as an unknown one.
            Code::Internal if cause.starts_with("Failed to connect") => unreachable(root_cause(&cause)),
            Code::Unknown if status.source().is_some() => unreachable(cause),
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss | Code::Aborted => failed(cause),
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => StoreError::Refused { store: STORE, cause },
        };
        Self { code: Some(status.code()), error }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { code: None, error }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The client prints the whole chain of a failed connection as a structure; its last message is what a person reads.
fn root_cause(chain: &str) -> String {
    let last = chain.rsplit("message: \"").next().and_then(|rest| rest.split('"').next());
    last.filter(|_| chain.contains("message: \"")).unwrap_or("no connection").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(status: Status) -> &'static str {
        Failure::new(status.into(), "http://q:6334", Duration::from_secs(3)).error.cause()
    }

    #[test]
    fn every_answer_has_the_class_that_says_what_to_do() {
        let cases = [
            (Status::unauthenticated("no"), "auth_failed"),
            (Status::permission_denied("no"), "auth_failed"),
            (Status::deadline_exceeded("late"), "timeout"),
            (Status::cancelled("Timeout expired"), "timeout"),
            (Status::unavailable("gone"), "unreachable"),
            (Status::internal("Failed to connect to http://q:6334/: nothing"), "unreachable"),
            (Status::internal("disk full"), "failed"),
            (Status::resource_exhausted("slowly"), "rate_limited"),
            (Status::invalid_argument("what"), "refused"),
            (Status::not_found("where"), "refused"),
        ];
        for (status, expected) in cases {
            assert_eq!(cause(status.clone()), expected, "{status:?}");
        }
    }

    #[test]
    fn a_rest_that_the_server_asks_for_is_an_hour_at_most() {
        let status = Status::resource_exhausted("slowly");
        let error = QdrantError::ResourceExhaustedError { status, retry_after_seconds: u64::MAX };
        let found = Failure::new(error, "http://q:6334", Duration::from_secs(3)).error;
        assert_eq!(found, StoreError::RateLimited { store: STORE, retry_after_seconds: 3600 });
    }

    #[test]
    fn a_refused_connection_is_told_in_the_words_of_the_system() {
        let chain = r#"Failed to connect to http://q:6334/: tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect error", 127.0.0.1:6334, Os { code: 111, kind: ConnectionRefused, message: "Connection refused" })))"#;
        let failure = Failure::new(Status::internal(chain).into(), "http://q:6334", Duration::from_secs(3));
        let expected = "the vector store at http://q:6334 cannot be reached: Connection refused";
        assert_eq!(failure.error.to_string(), expected);
    }
}
