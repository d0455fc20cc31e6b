//! `/admin/blocks`: who is kept out of all servers, why, and until when.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    routing::{delete, get, post},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::{
    super::super::{
        decide::Decider,
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{AdminKey, FromBody, JsonBody, Params},
        state::Api,
    },
    decision,
};
use crate::{
    model::Subject,
    operations::{Block, Change},
};

/// Bytes of a reason: a sentence.
const MAX_REASON_BYTES: usize = 256;
/// Bytes of a subject: twice the longest name of a key.
const MAX_SUBJECT_BYTES: usize = 128;

/// Whom to keep out. Either `client` or `subject` is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BlockRequest {
    /// The name of the client's key, as in `auth.api_keys`.
    client: Option<String>,
    /// The caller's subject, such as `api-key.NAME`.
    subject: Option<String>,
    /// Why, 1 to 256 bytes; the client is told.
    #[schema(min_length = 1, max_length = 256)]
    reason: String,
    /// Until when, such as `2026-12-01T08:00:00Z`; without it until the block is lifted.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl FromBody for BlockRequest {
    const MAX_BYTES: Option<usize> = Some(4 * 1024);
}

/// Whose block is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhoParams {
    client: Option<String>,
    subject: Option<String>,
}

/// Who is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct BlockView {
    /// Its subject.
    subject: String,
    /// Whether this server has a key of such a caller; a block of a misspelt name keeps nobody out.
    known: bool,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Until when; null until it is lifted.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Who decided it.
    by: String,
}

/// Everybody who is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct BlocksView {
    /// The revision of what holds for all servers.
    revision: u64,
    /// The blocks, by subject.
    blocks: Vec<BlockView>,
}

/// Who is let in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Lifted {
    /// Its subject.
    subject: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const PATH: &str = "/admin/blocks";
    vec![
        Endpoint::new(HttpMethod::Get, PATH, get(show), "Who is kept out")
            .keyed()
            .answers::<BlocksView>(200, "the blocks"),
        decision(Endpoint::new(HttpMethod::Post, PATH, post(block), "Keep a client out of all servers"))
            .body::<BlockRequest>()
            .answers::<BlockView>(201, "it is answered with 403 from now on"),
        decision(Endpoint::new(HttpMethod::Delete, PATH, delete(lift), "Let a client in again"))
            .parameter(ParameterIn::Query, "client", Type::String, "the name of the client's key")
            .parameter(ParameterIn::Query, "subject", Type::String, "or its subject")
            .answers::<Lifted>(200, "it is let in")
            .problem(400, "an unknown parameter")
            .problem(404, "it is not blocked")
            .problem(422, "neither a client nor a subject, or both"),
    ]
}

fn view(api: &Api, subject: &str, Block { reason, until, by, at, .. }: Block) -> BlockView {
    let known = api.config.auth.api_keys.iter().any(|key| Subject::key(&key.name).to_string() == subject);
    BlockView { subject: subject.to_owned(), known, reason, since: at, until, by }
}

async fn show(_admin: AdminKey, State(api): State<Api>) -> Json<BlocksView> {
    let state = api.operations.fleet().state;
    let standing = state.standing_blocks(Timestamp::now());
    let blocks = standing.map(|(subject, block)| view(&api, subject, block.clone())).collect();
    Json(BlocksView { revision: state.revision, blocks })
}

async fn block(by: Decider, body: JsonBody<BlockRequest>) -> Result<(StatusCode, Json<BlockView>), Problem> {
    let (BlockRequest { client: name, subject, reason, until }, _room) = body.into_parts();
    let subject = who(name.as_deref(), subject.as_deref())?;
    let invalid = |detail: String| Problem::new(Code::InvalidValue, detail);
    if !(1..=MAX_REASON_BYTES).contains(&reason.len()) {
        return Err(invalid(format!("reason: {} bytes; send 1 to {MAX_REASON_BYTES}", reason.len())));
    }
    if until.is_some_and(|until| until <= Timestamp::now()) {
        return Err(invalid("until: it is over already; send a time that is to come, or none".to_owned()));
    }
    if subject == by.client.subject() {
        return Err(invalid("client: it is the one that asks, who could not lift the block again".to_owned()));
    }
    let changed = by.decide(Change::Block { subject: subject.clone(), reason, until }).await?;
    let block = changed.state.blocks.get(&subject).cloned().ok_or_else(not_blocked)?;
    Ok((StatusCode::CREATED, Json(view(&by.api, &subject, block))))
}

async fn lift(
    by: Decider,
    Params(WhoParams { client: name, subject }): Params<WhoParams>,
) -> Result<Json<Lifted>, Problem> {
    let subject = who(name.as_deref(), subject.as_deref())?;
    match by.decide(Change::Lift(subject.clone())).await?.did {
        true => Ok(Json(Lifted { subject })),
        false => Err(not_blocked()),
    }
}

fn not_blocked() -> Problem {
    Problem::new(Code::NoSuchBlock, "this client is not blocked; GET /admin/blocks lists those that are")
}

/// The subject that is meant.
fn who(client: Option<&str>, subject: Option<&str>) -> Result<String, Problem> {
    let invalid = |detail: &str| Err(Problem::new(Code::InvalidValue, detail.to_owned()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte);
    let subject = match (client, subject) {
        (Some(client), None) if !client.is_empty() => Subject::key(client).to_string(),
        (None, Some(subject)) => subject.to_owned(),
        _ => return invalid("client: send the name of a client's key, or a subject, and not both"),
    };
    match (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && subject.bytes().all(plain) {
        true => Ok(subject),
        false => invalid("subject: 1 to 128 letters, digits and . _ - %, as GET /admin/blocks shows them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_its_key_or_by_its_subject() {
        let who = |client, subject| who(client, subject).map_err(|problem| problem.code);
        assert_eq!(who(Some("reader"), None).as_deref(), Ok("api-key.reader"));
        assert_eq!(who(None, Some("api-key.reader")).as_deref(), Ok("api-key.reader"));
        let long = "x".repeat(MAX_SUBJECT_BYTES + 1);
        for (client, subject) in [
            (None, None),
            (Some("a"), Some("b")),
            (Some(""), None),
            (None, Some("")),
            (None, Some("a/b")),
            (None, Some(&*long)),
            (Some(&*long), None),
        ] {
            assert_eq!(who(client, subject), Err(Code::InvalidValue), "{client:?} {subject:?}");
        }
    }
}
