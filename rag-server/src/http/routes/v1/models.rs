//! `/v1/models`: the names that requests below `/v1` may use.

use axum::{Json, extract::State, routing::get};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{Client, PathId},
    state::{Api, Flows},
};

/// The model that answers from the documents.
pub(super) const CHAT: &str = "rag";

/// Longest piece of a name that is said back to whoever sent it.
const MAX_ECHO: usize = 64;

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Model {
    /// Its name.
    id: String,
    /// `model`.
    object: &'static str,
    /// A moment in seconds since 1970; nothing is known of it, and clients want a number.
    created: u64,
    /// `rag-server`.
    owned_by: &'static str,
}

impl Model {
    fn named(id: &str) -> Self {
        Self { id: id.to_owned(), object: "model", created: 0, owned_by: "rag-server" }
    }
}

/// All models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// `list`.
    object: &'static str,
    /// The models.
    data: Vec<Model>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(HttpMethod::Get, "/v1/models", get(list), "The models: one that answers, one that embeds")
            .keyed()
            .answers::<ModelList>(200, "the models"),
        Endpoint::new(HttpMethod::Get, "/v1/models/{id}", get(model), "One model")
            .keyed()
            .parameter(ParameterIn::Path, "id", Type::String, "the model's name")
            .answers::<Model>(200, "the model")
            .problem(404, "no such model"),
    ]
}

/// The names of all models.
fn names(flows: &Flows) -> [&str; 2] {
    [CHAT, &flows.embedder.model().name]
}

/// The problem that a model is not the one that is wanted.
pub(super) fn unknown(flows: &Flows, given: &str, expected: Option<&str>) -> Problem {
    let given = given.get(..given.floor_char_boundary(MAX_ECHO)).unwrap_or_default();
    let expected = expected.map_or_else(|| names(flows).join(" and "), str::to_owned);
    let detail = format!("no model here is called {given:?}; use {expected}, GET /v1/models lists all");
    Problem::new(Code::NoSuchModel, detail)
}

async fn list(_client: Client, State(api): State<Api>) -> Result<Json<ModelList>, Problem> {
    let data = names(&*api.flows()?).into_iter().map(Model::named).collect();
    Ok(Json(ModelList { object: "list", data }))
}

async fn model(_client: Client, State(api): State<Api>, PathId(id): PathId) -> Result<Json<Model>, Problem> {
    let flows = api.flows()?;
    let found = names(&flows).into_iter().find(|name| *name == id);
    found.map(|name| Json(Model::named(name))).ok_or_else(|| unknown(&flows, &id, None))
}
