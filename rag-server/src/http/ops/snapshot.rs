//! `GET /ops/snapshot/…`: what a snapshot of the embedded store is taken of, while its server has it open.
//!
//! Reading only, a bounded piece at a time, and of no kind of record that no snapshot has. A store that others can open is not lent: whoever takes a snapshot opens it.

use axum::{Json, extract::State, routing::get};
use utoipa::openapi::{HttpMethod, path::ParameterIn, schema::Type};

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{OperatorOrLocal, Params},
    state::Api,
};
use crate::{
    config::VectorStoreChoice,
    ports::{
        Kind, MOST_CHUNKS, OpenStores, Source as _,
        lent::{
            self, AskedChunks, AskedCount, AskedRecord, AskedRecords, CHUNKS_PATH, COUNT_PATH, Counted, LentChunks,
            LentRecord, LentRecords, MOST_RECORDS, RECORD_PATH, RECORDS_PATH, SEARCHED_PATH, Searched,
        },
    },
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let kind = |endpoint: Endpoint| {
        endpoint.parameter(ParameterIn::Query, "kind", Type::String, "corpus, document, session, feedback or budget")
    };
    let document = |endpoint: Endpoint| {
        endpoint
            .parameter(ParameterIn::Query, "document", Type::String, "the key of the document")
            .parameter(ParameterIn::Query, "version", Type::String, "its version")
            .parameter(ParameterIn::Query, "epoch", Type::Integer, "the epoch that is searched")
            .parameter(ParameterIn::Query, "first", Type::Integer, "the place of the first chunk, from 0")
            .parameter(ParameterIn::Query, "end", Type::Integer, "the place behind the last, at most 64 further")
    };
    vec![
        endpoint(SEARCHED_PATH, get(searched), "Which epoch a snapshot is taken of"),
        kind(endpoint(COUNT_PATH, get(count), "How many records of a kind a snapshot is taken of")),
        kind(endpoint(RECORD_PATH, get(record), "A record, for a snapshot")).parameter(
            ParameterIn::Query,
            "id",
            Type::String,
            "its id",
        ),
        kind(endpoint(RECORDS_PATH, get(records), "A page of records, for a snapshot"))
            .parameter(ParameterIn::Query, "after", Type::String, "the id after which the page begins")
            .parameter(ParameterIn::Query, "limit", Type::Integer, "records of the page, at most 16"),
        document(endpoint(CHUNKS_PATH, get(chunks), "Chunks of a document with their vectors, for a snapshot")),
    ]
}

fn endpoint(path: &'static str, handler: axum::routing::MethodRouter<Api>, summary: &str) -> Endpoint {
    Endpoint::new(HttpMethod::Get, path, handler, summary)
        .keyed()
        .answers_plainly(200, Some("application/json"), "what is there")
        .problem(422, "a parameter is out of its bounds, or the stores of this server can be opened by others")
}

/// The embedded stores.
fn stores(api: &Api) -> Result<OpenStores, Problem> {
    if !matches!(api.config.vector_store.choice(), VectorStoreChoice::Embedded(_)) {
        let detail = "the stores of this server can be opened by others: take the snapshot without --server";
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let flows = api.flows()?;
    Ok(OpenStores { vectors: flows.store.clone(), records: flows.records.clone() })
}

fn kind(name: &str) -> Result<Kind, Problem> {
    lent::kind(name).ok_or_else(|| {
        Problem::new(Code::InvalidValue, "kind: send one of those of which a snapshot is made, such as document")
    })
}

async fn searched(_key: OperatorOrLocal, State(api): State<Api>) -> Result<Json<Searched>, Problem> {
    Ok(Json(Searched { epoch: stores(&api)?.active().await? }))
}

async fn count(
    _key: OperatorOrLocal,
    State(api): State<Api>,
    Params(asked): Params<AskedCount>,
) -> Result<Json<Counted>, Problem> {
    Ok(Json(Counted { count: stores(&api)?.count(kind(&asked.kind)?).await? }))
}

async fn record(
    _key: OperatorOrLocal,
    State(api): State<Api>,
    Params(asked): Params<AskedRecord>,
) -> Result<Json<LentRecord>, Problem> {
    let record = stores(&api)?.record(kind(&asked.kind)?, &asked.id).await?;
    Ok(Json(LentRecord { record: record.map(Into::into) }))
}

async fn records(
    _key: OperatorOrLocal,
    State(api): State<Api>,
    Params(asked): Params<AskedRecords>,
) -> Result<Json<LentRecords>, Problem> {
    let limit = asked.limit.clamp(1, MOST_RECORDS);
    let page = stores(&api)?.records(kind(&asked.kind)?, asked.after.as_deref(), limit).await?;
    Ok(Json(page.into()))
}

async fn chunks(
    _key: OperatorOrLocal,
    State(api): State<Api>,
    Params(asked): Params<AskedChunks>,
) -> Result<Json<LentChunks>, Problem> {
    let AskedChunks { epoch, document, version, first, end } = asked;
    if end.checked_sub(first).is_none_or(|places| places > MOST_CHUNKS) {
        let detail = format!("end: {end}; it must be from first, which is {first}, to {MOST_CHUNKS} further");
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let stores = stores(&api)?;
    if stores.active().await? != Some(epoch) {
        let detail = format!("epoch: {} is not searched, or not any more; begin again", epoch.0);
        return Err(Problem::new(Code::InvalidValue, detail));
    }
    let chunks = stores.chunks(epoch, (&document, &version), first..end).await?;
    Ok(Json(LentChunks { chunks: chunks.into_iter().map(Into::into).collect() }))
}
