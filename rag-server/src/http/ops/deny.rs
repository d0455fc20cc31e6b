//! `POST /ops/deny`: a credential opens nothing any more, on no server, without a file having to change first.

use axum::{Json, extract::State, routing::post};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::HttpMethod};

use super::super::{
    decide::decide,
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{FromBody, JsonBody, OperatorKey},
    state::Api,
};
use crate::operations::Change;

/// Where a fingerprint is denied.
pub const DENY_PATH: &str = "/ops/deny";

/// Digits of a fingerprint.
const DIGITS: usize = 12;

/// The credential that opens nothing from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRequest {
    /// The first 12 hex digits of the SHA-256 of its material, as `credentials` of the status has them.
    #[schema(min_length = 12, max_length = 12, pattern = "^[0-9a-f]{12}$")]
    pub fingerprint: String,
}

/// What is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DenyAnswer {
    /// The fingerprint.
    pub fingerprint: String,
    /// The revision of what holds for all servers. A server whose status has this one or a later one denies it, too.
    pub revision: u64,
}

impl FromBody for DenyRequest {
    const MAX_BYTES: Option<usize> = Some(1024);
}

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(HttpMethod::Post, DENY_PATH, post(deny), "Have a credential open nothing, on all servers")
        .keyed()
        .body::<DenyRequest>()
        .answers::<DenyAnswer>(200, "it is refused with 401 from now on")
        .problem(409, "a newer server wrote what holds for all servers")
        .problem(503, "the server is starting, or the records are not available and nothing was denied")
}

async fn deny(
    operator: OperatorKey,
    State(api): State<Api>,
    body: JsonBody<DenyRequest>,
) -> Result<Json<DenyAnswer>, Problem> {
    let (DenyRequest { fingerprint }, _room) = body.into_parts();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if fingerprint.len() != DIGITS || !fingerprint.bytes().all(is_hex) {
        let detail = "fingerprint: send 12 hex digits in lower case, as the status shows them";
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    if fingerprint == operator.fingerprint {
        let detail = "fingerprint: it is that of the credential that asks; ask with the next one";
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let changed = decide(&api, "operator", Change::Deny(fingerprint.clone())).await?;
    Ok(Json(DenyAnswer { fingerprint, revision: changed.state.revision }))
}
