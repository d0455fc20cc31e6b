//! The one table of error codes, and how a failure becomes a problem document (RFC 9457).
//!
//! The flows never name HTTP: their errors are translated here, in `From`, without a guess. What a store said stays in the log; the answer says what it means for the caller.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Where the types of problems are described.
const TYPES: &str = "https://ragops.dev/problems/";

/// Everything that can go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body or a parameter cannot be read.
    BadRequest,
    /// The body is read, and a value in it is not allowed.
    InvalidValue,
    /// No key was sent.
    MissingApiKey,
    /// The key that was sent is not known.
    UnknownApiKey,
    /// The key that was sent was revoked.
    DeniedApiKey,
    /// The key's role does not allow this.
    RoleTooLow,
    /// The client is blocked.
    Blocked,
    /// A browser was led here under another name.
    HostNotAllowed,
    /// A page of another origin sent it.
    ForeignPage,
    /// No such route.
    NoSuchRoute,
    /// No such document.
    NoSuchDocument,
    /// No such job.
    NoSuchJob,
    /// No such session.
    NoSuchSession,
    /// No such answer.
    NoSuchAnswer,
    /// No such model.
    NoSuchModel,
    /// No such outside service.
    NoSuchProvider,
    /// No such block.
    NoSuchBlock,
    /// A list that is bounded is full.
    ListFull,
    /// A newer server wrote what is to be changed.
    NewerFormat,
    /// The route exists, with other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The idempotency key was sent before with another request.
    IdempotencyKeyReused,
    /// Too much waits to be ingested already.
    QueueFull,
    /// The document changed meanwhile.
    Conflict,
    /// The body is too large.
    BodyTooLarge,
    /// The body's content type is not taken there.
    UnsupportedMediaType,
    /// The body is encoded in a way that is not decoded.
    UnsupportedEncoding,
    /// No answer is of a type that the client accepts.
    NotAcceptable,
    /// The client was refused in a way that has no code of its own.
    Refused,
    /// A defect of ours.
    Internal,
    /// What is stored is damaged.
    StoreCorrupt,
    /// The server is starting.
    NotReady,
    /// The server is stopping.
    Stopping,
    /// Writes are refused for now.
    ReadOnly,
    /// Too much is asked at once.
    Overloaded,
    /// A store cannot be reached.
    StoreUnreachable,
    /// A store refused our credential.
    StoreAuthFailed,
    /// A store failed.
    StoreFailed,
    /// A store has no room left on its disk.
    StorageFull,
    /// A store's disk may be read and not written.
    StorageReadOnly,
    /// The provider of the embedding model is not available.
    EmbedderUnavailable,
    /// The provider of the embedding model cannot be used as it is.
    EmbedderFailed,
    /// The answer could not be written.
    GeneratorFailed,
    /// What may be spent on answers is spent.
    BudgetSpent,
    /// Every provider failed or is left alone.
    NoProvider,
    /// The deadline passed.
    DeadlineExceeded,
}

impl Code {
    /// Every one of them, in this order: the causes by which errors are counted.
    pub const ALL: [Self; 46] = [
        Self::BadRequest,
        Self::InvalidValue,
        Self::MissingApiKey,
        Self::UnknownApiKey,
        Self::DeniedApiKey,
        Self::RoleTooLow,
        Self::Blocked,
        Self::HostNotAllowed,
        Self::ForeignPage,
        Self::NoSuchRoute,
        Self::NoSuchDocument,
        Self::NoSuchJob,
        Self::NoSuchSession,
        Self::NoSuchAnswer,
        Self::NoSuchModel,
        Self::NoSuchProvider,
        Self::NoSuchBlock,
        Self::ListFull,
        Self::NewerFormat,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdempotencyKeyReused,
        Self::QueueFull,
        Self::Conflict,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::UnsupportedEncoding,
        Self::NotAcceptable,
        Self::Refused,
        Self::Internal,
        Self::StoreCorrupt,
        Self::NotReady,
        Self::Stopping,
        Self::ReadOnly,
        Self::Overloaded,
        Self::StoreUnreachable,
        Self::StoreAuthFailed,
        Self::StoreFailed,
        Self::StorageFull,
        Self::StorageReadOnly,
        Self::EmbedderUnavailable,
        Self::EmbedderFailed,
        Self::GeneratorFailed,
        Self::BudgetSpent,
        Self::NoProvider,
        Self::DeadlineExceeded,
    ];

    /// Status, last segment of the type, title.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::InvalidValue => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "A value is not allowed"),
            Self::MissingApiKey => (StatusCode::UNAUTHORIZED, "missing-api-key", "A key is needed"),
            Self::UnknownApiKey => (StatusCode::UNAUTHORIZED, "unknown-api-key", "Unknown key"),
            Self::DeniedApiKey => (StatusCode::UNAUTHORIZED, "denied-api-key", "Revoked key"),
            Self::Blocked => (StatusCode::FORBIDDEN, "blocked", "The client is blocked"),
            Self::RoleTooLow => (StatusCode::FORBIDDEN, "role-too-low", "The key does not allow this"),
            Self::HostNotAllowed => (StatusCode::FORBIDDEN, "host-not-allowed", "Not reachable under this name"),
            Self::ForeignPage => (StatusCode::FORBIDDEN, "foreign-page", "Sent by a page of another origin"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "No such route"),
            Self::NoSuchDocument => (StatusCode::NOT_FOUND, "no-such-document", "No such document"),
            Self::NoSuchJob => (StatusCode::NOT_FOUND, "no-such-job", "No such job"),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "no-such-session", "No such session"),
            Self::NoSuchAnswer => (StatusCode::NOT_FOUND, "no-such-answer", "No such answer"),
            Self::NoSuchModel => (StatusCode::NOT_FOUND, "no-such-model", "No such model"),
            Self::NoSuchProvider => (StatusCode::NOT_FOUND, "no-such-provider", "No such provider"),
            Self::NoSuchBlock => (StatusCode::NOT_FOUND, "no-such-block", "No such block"),
            Self::ListFull => (StatusCode::CONFLICT, "list-full", "No room for another one"),
            Self::NewerFormat => (StatusCode::CONFLICT, "newer-format", "Written by a newer server"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body came too slowly"),
            Self::IdempotencyKeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key names another request")
            }
            Self::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "queue-full", "Too much waits already"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "It changed meanwhile"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Not a type that is taken")
            }
            Self::UnsupportedEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "Not an encoding that is taken")
            }
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "No such type of answer"),
            Self::Refused => (StatusCode::BAD_REQUEST, "refused", "The request was refused"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::StoreCorrupt => (StatusCode::INTERNAL_SERVER_ERROR, "store-corrupt", "What is stored is damaged"),
            Self::NotReady => (unavailable, "not-ready", "The server is starting"),
            Self::Stopping => (unavailable, "stopping", "The server is stopping"),
            Self::ReadOnly => (unavailable, "read-only", "Writes are refused for now"),
            Self::Overloaded => (unavailable, "overloaded", "Too much at once"),
            Self::StoreUnreachable => (unavailable, "store-unreachable", "A store is not available"),
            Self::StoreAuthFailed => (unavailable, "store-auth-failed", "A store is not available"),
            Self::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage-full", "No room left on the disk"),
            Self::StorageReadOnly => (unavailable, "storage-read-only", "The disk may not be written"),
            Self::StoreFailed => (unavailable, "store-failed", "A store is not available"),
            Self::EmbedderUnavailable => (unavailable, "embedder-unavailable", "The embedding model is not available"),
            Self::EmbedderFailed => (StatusCode::BAD_GATEWAY, "embedder-failed", "The embedding model cannot be used"),
            Self::GeneratorFailed => (StatusCode::BAD_GATEWAY, "generator-failed", "The answer was not written"),
            Self::BudgetSpent => (StatusCode::PAYMENT_REQUIRED, "budget-spent", "The budget is spent"),
            Self::NoProvider => (unavailable, "no-provider", "No language model can answer"),
            Self::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded", "It took too long"),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// Names it in the documents that are sent, in metrics and in the log.
    pub fn slug(self) -> &'static str {
        self.row().1
    }

    /// The code for a response that something else than a handler gave.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NoSuchRoute,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::InvalidValue,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            status if status.is_client_error() => Self::Refused,
            _ => Self::Internal,
        }
    }
}

/// Why a request failed, for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of failure.
    pub code: Code,
    /// What happened this time, and what to do.
    pub detail: Cow<'static, str>,
    /// Seconds after which another try may succeed.
    pub retry_after: Option<u64>,
    /// What the server waits for before it is ready.
    pub waiting_for: Vec<String>,
    /// Which field of the body is wrong.
    pub param: Option<String>,
}

impl Problem {
    /// A problem that another try does not solve.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, waiting_for: Vec::new(), param: None }
    }

    /// Another try may succeed after this many seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// This field of the body is wrong.
    pub fn param(self, field: impl Into<String>) -> Self {
        Self { param: Some(field.into()), ..self }
    }

    /// The document that is sent.
    pub(super) fn document(&self, request_id: &str) -> ProblemDocument {
        let (status, slug, title) = self.code.row();
        ProblemDocument {
            kind: format!("{TYPES}{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone().into_owned(),
            request_id: request_id.to_owned(),
            retry_after: self.retry_after,
            waiting_for: self.waiting_for.clone(),
        }
    }
}

/// The body of every answer that is an error, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// Finds the request in the log.
    pub request_id: String,
    /// Seconds after which another try may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What the server waits for before it is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
}

/// The problem travels beside the response; the outermost layer knows the request's id and writes the document.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_one_of_all_and_has_a_name_of_its_own_that_can_be_a_label() {
        // One that is missing moves those behind it.
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place, "{code:?}");
        }
        assert_eq!(Code::ALL.last(), Some(&Code::DeadlineExceeded), "the last one of the list is the last one of all");
        let names: BTreeSet<_> = Code::ALL.map(Code::slug).into();
        assert_eq!(names.len(), Code::ALL.len());
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(names.iter().all(is_plain), "{names:?}");
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }
}
