//! The two HTTP ports: the public API, and the management port for the operator and the scraper.
//!
//! ```text
//! path -> observe (id, log, metrics, problem document) -> page -> guard (name, room, deadline) -> encoding -> key -> body -> handler
//! ```
//!
//! Handlers translate; they decide nothing that a flow should decide.

mod answering;
mod causes;
mod decide;
mod description;
mod encoding;
mod endpoint;
mod entry;
pub mod error;
mod extract;
mod filter;
mod form;
mod guard;
mod json;
pub mod listen;
mod mcp;
mod observe;
mod openai;
pub mod ops;
mod pages;
pub mod passage;
mod paths;
mod plain;
mod question;
pub mod readiness;
mod room;
mod routes;
mod sent;
mod state;
#[cfg(test)]
mod tests;
mod upload;

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
};
use tower::util::MapRequest;
use utoipa::openapi::OpenApi;

pub use self::state::{Api, Flows, Shared};
use self::{
    description::Description,
    endpoint::Endpoint,
    error::{Code, Problem},
    listen::{Limits, Port},
    pages::Pages,
};

/// The public API and what its port takes.
pub fn public_port(api: Api) -> Port {
    let (metrics, refusal) = (api.metrics.clone(), refusal_router(api.clone()));
    let limits = Limits::public(&api.server);
    Port { name: "public", limits, router: public_router(api), refusal, metrics }
}

/// The management port: its connections are its own.
pub fn management_port(api: Api) -> Port {
    let (metrics, refusal) = (api.metrics.clone(), refusal_router(api.clone()));
    Port { name: "management", limits: Limits::MANAGEMENT, router: management_router(api), refusal, metrics }
}

/// What a newcomer is told for whom there is no connection.
fn refusal_router(api: Api) -> Router {
    let full = || Problem::new(Code::Overloaded, "every connection is in use; try again").retry_after(1);
    Router::new()
        .fallback(move || async move { full() })
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

/// The router of the public API.
pub fn public_router(api: Api) -> Router {
    let pages = Pages::of(&api.server.cors_origins);
    router(api, public_endpoints(Description::of(&public_openapi())), pages)
}

/// The router of the management port.
pub fn management_router(api: Api) -> Router {
    router(api, management_endpoints(), Pages::default())
}

/// What the public API has, as an OpenAPI document.
pub fn public_openapi() -> OpenApi {
    endpoint::openapi("rag-server", public_endpoints(Description::default()))
}

/// What the management port has, as an OpenAPI document.
pub fn management_openapi() -> OpenApi {
    endpoint::openapi("rag-server management", management_endpoints())
}

/// Probes are asked here as well: whoever fills the public port must not make a server that works look dead.
fn management_endpoints() -> Vec<Endpoint> {
    ops::endpoints().into_iter().chain(routes::probes()).collect()
}

fn public_endpoints(description: Description) -> Vec<Endpoint> {
    // What tools may call is what has a route of its own, and no more.
    let (called, _) = endpoint::routers(routes::endpoints());
    routes::endpoints().into_iter().chain(mcp::endpoints(called)).chain([description.endpoint()]).collect()
}

fn router(api: Api, endpoints: Vec<Endpoint>, pages: Pages) -> Router {
    let (work, probes) = endpoint::routers(endpoints);
    let cors = pages.cors();
    let router = work
        .layer(from_fn_with_state(api.clone(), encoding::decode))
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .merge(probes.layer(from_fn(guard::alone)))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(pages, pages::allowed));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    let router = router.layer(from_fn_with_state(api.clone(), observe::observe)).with_state(api);
    // Before any route is looked for.
    Router::new().fallback_service(MapRequest::new(router, paths::meant))
}
