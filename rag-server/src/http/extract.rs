//! What a handler may ask for in its signature: a key with a role, a JSON body, parameters, an id out of the path.
//!
//! Each one refuses with a problem of its own, so that no handler repeats a check.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{
    entry,
    error::{Code, Problem},
    json,
    room::{Room, read, too_large},
    state::Api,
};
use crate::{
    config::Role,
    model::Tenant,
    ports::Payer,
    resilience::Bodies,
    security::{Authenticator, Generation, Principal, Unauthenticated, Via},
};

/// The caller may ask questions and read.
#[derive(Debug, Clone)]
pub(super) struct Client(Principal);

impl Client {
    /// Under which name its records are kept, whichever of its credentials it shows.
    pub(super) fn owner(&self) -> String {
        self.0.owner()
    }

    /// Whose documents it sees and writes.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// Who it is.
    pub(super) fn subject(&self) -> String {
        self.0.subject.to_string()
    }

    /// The most that it may do.
    pub(super) fn role(&self) -> Role {
        self.0.role
    }

    #[cfg(test)]
    pub(super) fn anonymous() -> Self {
        Self(Principal::anonymous())
    }
}

impl FromRequestParts<Api> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authorise(api, &parts.headers, Role::Reader).await
    }
}

/// The caller may ask questions, and the server takes writes now: for what a reader leaves behind or takes back.
pub(super) struct Contributor(pub(super) Client);

impl FromRequestParts<Api> for Contributor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let client = Client::from_request_parts(parts, api).await?;
        takes_writes(api).map(|()| Self(client))
    }
}

/// The caller may write, whether or not writes are taken now: for work that changes nothing and costs much.
pub(super) struct WriterRole(pub(super) Client);

impl FromRequestParts<Api> for WriterRole {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authorise(api, &parts.headers, Role::Writer).await.map(Self)
    }
}

/// The caller may write, and the server takes writes now.
pub(super) struct WriterKey(pub(super) Client);

impl FromRequestParts<Api> for WriterKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let WriterRole(client) = WriterRole::from_request_parts(parts, api).await?;
        takes_writes(api).map(|()| Self(client))
    }
}

/// The caller may administer the server, whether or not writes are taken now.
pub(super) struct AdminKey(pub(super) Client);

impl FromRequestParts<Api> for AdminKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authorise(api, &parts.headers, Role::Admin).await.map(Self)
    }
}

/// The caller may read, or showed nothing: for what strangers see less of.
pub(super) struct Visitor(pub(super) Option<Client>);

impl FromRequestParts<Api> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if presented(&parts.headers).is_none() && !api.is_anonymous() {
            return Ok(Self(None));
        }
        authorise(api, &parts.headers, Role::Reader).await.map(|client| Self(Some(client)))
    }
}

fn takes_writes(api: &Api) -> Result<(), Problem> {
    let live = api.operations.live().state();
    if !live.live.read_only {
        return Ok(());
    }
    let detail = match live.read_only_by.restore {
        true => "a snapshot is being restored: questions are answered, writes are refused until it is done",
        false => "the server is read-only for now: questions are answered, writes are refused",
    };
    Err(Problem::new(Code::ReadOnly, detail).retry_after(30))
}

/// The caller is the operator.
pub(super) struct OperatorKey {
    /// Of the credential that it shows.
    pub(super) fingerprint: String,
}

impl FromRequestParts<Api> for OperatorKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let key = presented(&parts.headers).ok_or_else(|| refused(api, Unauthenticated::Missing))?;
        let credential = api.keys.operator(key).map_err(|why| refused(api, why))?;
        used(api, &credential.name, credential.generation);
        Ok(Self { fingerprint: credential.fingerprint() })
    }
}

/// The caller is the operator, or somebody on this machine where nobody needs a key.
pub(super) struct OperatorOrLocal;

impl FromRequestParts<Api> for OperatorOrLocal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Without keys the public port listens on loopback alone; whether this one does is for the configuration to say.
        if api.is_anonymous() && api.server.management_listen.ip().is_loopback() {
            return Ok(Self);
        }
        OperatorKey::from_request_parts(parts, api).await.map(|_| Self)
    }
}

/// Says that the room for a body was taken where it came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomTaken;

/// Who calls, if it may do at least this. Counts the use of its key: once for each route that is called.
async fn authorise(api: &Api, headers: &HeaderMap, needed: Role) -> Result<Client, Problem> {
    let caller = api.keys.authenticate(presented(headers)).await.map_err(|why| refused(api, why))?;
    if let Via::Key { credential, generation } = &caller.via {
        used(api, credential, *generation);
    }
    let_in(api, &caller)?;
    Payer { client: caller.subject.to_string(), tenant: caller.tenant.clone() }.turns_out();
    if caller.role >= needed {
        return Ok(Client(caller));
    }
    api.metrics.credentials_refused.with_label_values(&["role"]).inc();
    let (needed, role) = (needed.as_str(), caller.role.as_str());
    Err(Problem::new(Code::RoleTooLow, format!("this needs a key with the role {needed}; yours has {role}")))
}

/// Refuses a caller who is blocked, and says why and for how long.
fn let_in(api: &Api, caller: &Principal) -> Result<(), Problem> {
    let fleet = api.operations.fleet();
    let Some(block) = fleet.state.block(&caller.subject.to_string(), Timestamp::now()) else { return Ok(()) };
    api.metrics.credentials_refused.with_label_values(&["blocked"]).inc();
    let until = block.until.map_or_else(|| "an administrator lifts it".to_owned(), |until| until.to_string());
    let detail = format!("this client is blocked until {until}: {}", block.reason);
    Err(Problem::new(Code::Blocked, detail))
}

/// The key of `X-API-Key`, otherwise that of `Authorization: Bearer`.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

fn used(api: &Api, credential: &str, generation: Generation) {
    api.metrics.credential_uses.with_label_values(&[credential, generation.as_str()]).inc();
}

fn refused(api: &Api, why: Unauthenticated) -> Problem {
    let (reason, code, detail) = match why {
        Unauthenticated::Missing => {
            ("missing", Code::MissingApiKey, "send a key in the header X-API-Key, or as Authorization: Bearer KEY")
        }
        Unauthenticated::Unknown => (
            "unknown",
            Code::UnknownApiKey,
            "the key is not known here; it may have been rotated, so ask for the current one",
        ),
        Unauthenticated::Denied => {
            ("denied", Code::DeniedApiKey, "the key was revoked, on every server; ask for the current one")
        }
    };
    api.metrics.credentials_refused.with_label_values(&[reason]).inc();
    Problem::new(code, detail)
}

/// A type that is read from a body.
pub(super) trait FromBody: DeserializeOwned + Send + 'static {
    /// Most bytes that such a body has; none where that is configured.
    const MAX_BYTES: Option<usize>;

    /// Whose room it is that they take as they come.
    const KIND: Bodies = match Self::MAX_BYTES {
        Some(_) => Bodies::Questions,
        None => Bodies::Documents,
    };
}

/// A JSON body. Its room is given back when this is dropped.
pub(super) struct JsonBody<T> {
    value: T,
    room: Option<Room>,
}

impl<T> JsonBody<T> {
    /// The value, and the room that its bytes take.
    pub(super) fn into_parts(self) -> (T, Option<Room>) {
        (self.value, self.room)
    }
}

impl<T: FromBody> FromRequest<Api> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        json_content_type(&parts.headers)?;
        let declared = declared_length(&parts.headers);
        let limit = T::MAX_BYTES.unwrap_or(api.server.max_body_bytes).min(api.server.max_body_bytes);
        let (bytes, room) = if parts.extensions.get::<RoomTaken>().is_some() {
            (read_counted(body, declared, limit).await?, None)
        } else {
            let mut room = match T::MAX_BYTES {
                Some(_) => Room::within(api, T::KIND, &parts.headers, limit)?,
                None => Room::open(api, T::KIND, &parts.headers)?,
            };
            (room.read(body, declared).await?, Some(room))
        };
        entry::arrived(api, &parts.extensions)?;
        Ok(Self { value: json::read_apart(bytes).await?, room })
    }
}

/// The content type without its parameters.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let essence = |value: &str| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence)
}

/// A body as it is. Its room is given back when this is dropped.
pub(super) struct RawBody {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// The room that they take.
    pub(super) room: Room,
}

impl FromRequest<Api> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let mut room = Room::open(api, Bodies::Documents, &parts.headers)?;
        let bytes = room.read(body, declared_length(&parts.headers)).await?;
        entry::arrived(api, &parts.extensions)?;
        Ok(Self { bytes, room })
    }
}

/// Refuses a body that does not say that it is JSON.
pub(super) fn json_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    match content_type(headers).as_deref() {
        Some("application/json") => Ok(()),
        Some(kind) if kind.starts_with("application/") && kind.ends_with("+json") => Ok(()),
        _ => Err(Problem::new(Code::UnsupportedMediaType, "send JSON with the header Content-Type: application/json")),
    }
}

pub(super) fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of which the bytes were counted where it came in.
async fn read_counted(body: Body, declared: Option<usize>, limit: usize) -> Result<Vec<u8>, Problem> {
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut left = limit;
    read(body, declared.unwrap_or(0), limit, |bytes| {
        left = left.checked_sub(bytes).ok_or_else(|| too_large(limit))?;
        Ok(())
    })
    .await
}

/// Parameters of the query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, api).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                Err(Problem::new(Code::BadRequest, format!("the query string: {}", rejection.body_text())))
            }
        }
    }
}

/// The id at the end of the path; slashes belong to it.
pub(super) struct PathId(pub(super) String);

impl FromRequestParts<Api> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) => Err(Problem::new(Code::BadRequest, format!("the path: {}", rejection.body_text()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_key_comes_in_either_header() {
        assert_eq!(presented(&headers(&[("x-api-key", "a")])), Some(&b"a"[..]));
        assert_eq!(presented(&headers(&[("authorization", "bearer  b ")])), Some(&b"b"[..]));
        assert_eq!(presented(&headers(&[("authorization", "Basic Yg==")])), None);
        assert_eq!(presented(&headers(&[("authorization", "B")])), None);
        assert_eq!(presented(&headers(&[])), None);
    }
}
