//! Errors as clients of OpenAI's API expect them. The codes are those of the one table; only their clothes differ.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;

/// Routes below this speak OpenAI's dialect, whether or not they exist.
pub(super) const PREFIX: &str = "/v1/";

/// The body of every error below `/v1/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ErrorDocument {
    /// What went wrong.
    error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ErrorObject {
    /// What happened this time, and what to do.
    message: String,
    /// The class of the error.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field of the body that is wrong.
    param: Option<String>,
    /// Names the kind of error, such as `no_such_model`.
    code: String,
}

/// The error as it is sent.
pub(super) fn document(problem: &Problem) -> ErrorDocument {
    ErrorDocument {
        error: ErrorObject {
            message: problem.detail.clone().into_owned(),
            kind: kind(problem.code.status()),
            param: problem.param.clone(),
            code: problem.code.slug().replace('-', "_"),
        },
    }
}

/// The status as OpenAI would send it: a value that is not allowed is a bad request there.
pub(super) fn status(status: StatusCode) -> StatusCode {
    if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status }
}

/// The same for a number.
pub(super) fn status_code(code: u16) -> u16 {
    StatusCode::from_u16(code).map_or(code, |code| status(code).as_u16())
}

fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::error::Code;

    #[test]
    fn an_error_has_the_four_members_that_clients_read() {
        let problem = Problem::new(Code::InvalidValue, "n: 2; one answer is given").param("n");
        let document = serde_json::to_value(document(&problem)).unwrap();
        let message = "n: 2; one answer is given";
        assert_eq!(
            document,
            json!({"error": {"message": message, "type": "invalid_request_error", "param": "n", "code": "invalid_value"}})
        );
        assert_eq!(status(problem.code.status()), 400);
        let stopping = serde_json::to_value(super::document(&Problem::new(Code::Stopping, "x"))).unwrap();
        assert_eq!((&stopping["error"]["type"], &stopping["error"]["param"]), (&json!("server_error"), &json!(null)));
    }
}
