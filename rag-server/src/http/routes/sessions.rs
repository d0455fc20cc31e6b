//! `/sessions`: what the server remembers of the caller's conversations, and how to make it forget.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    routing::{delete, get},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, Type, path::ParameterIn},
};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, Contributor, PathId},
    state::Api,
};
use crate::generate::{Session, SessionKey, SessionTurn, Sessions};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct SessionView {
    /// Its name.
    session: String,
    /// Its questions and answers, oldest first.
    turns: Vec<SessionTurn>,
    /// When it is forgotten, unless it goes on.
    #[schema(value_type = String, format = "date-time")]
    expires: Timestamp,
}

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Ended {
    /// How many sessions.
    ended: u64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let named = |method, handler, summary| {
        Endpoint::new(method, "/sessions/{id}", handler, summary)
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, "the name of the session")
            .problem(404, "no such session of yours, or it is forgotten")
            .problem(503, "the records are not available")
    };
    vec![
        named(HttpMethod::Get, get(show), "What a session remembers").answers::<SessionView>(200, "the session"),
        named(HttpMethod::Delete, delete(end), "Forget a session").answers::<Ended>(200, "it is forgotten"),
        Endpoint::new(HttpMethod::Delete, "/sessions", delete(end_all), "Forget every session of yours")
            .keyed()
            .answers::<Ended>(200, "they are forgotten")
            .problem(503, "the records are not available"),
    ]
}

async fn show(client: Client, State(api): State<Api>, PathId(id): PathId) -> Result<Json<SessionView>, Problem> {
    let found = sessions(&api)?.get(&key(&client, &id)?).await?;
    let Session { turns, expires } = found.ok_or_else(none)?;
    Ok(Json(SessionView { session: id, turns, expires }))
}

async fn end(
    Contributor(client): Contributor,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Ended>, Problem> {
    match sessions(&api)?.end(&key(&client, &id)?).await? {
        true => Ok(Json(Ended { ended: 1 })),
        false => Err(none()),
    }
}

async fn end_all(Contributor(client): Contributor, State(api): State<Api>) -> Result<Json<Ended>, Problem> {
    Ok(Json(Ended { ended: sessions(&api)?.end_all(&client.owner()).await? }))
}

fn sessions(api: &Api) -> Result<Arc<Sessions>, Problem> {
    api.flows()?.answers.sessions().cloned().ok_or_else(none)
}

fn key(client: &Client, id: &str) -> Result<SessionKey, Problem> {
    SessionKey::new(&client.owner(), id).ok_or_else(none)
}

fn none() -> Problem {
    Problem::new(Code::NoSuchSession, "there is no such session of this key; it may have been forgotten")
}
