//! The two HTTP ports: the public API, and the management port for the operator and the scraper.
//!
//! ```text
//! observe (id, log, metrics, problem document) -> own page -> guard (name, room, deadline) -> key -> body -> handler
//! ```
//!
//! Handlers translate; they decide nothing that a flow should decide.

mod answering;
mod causes;
mod description;
mod endpoint;
pub mod error;
mod extract;
mod filter;
mod form;
mod guard;
pub mod listen;
mod json;
mod mcp;
mod observe;
mod openai;
pub mod ops;
pub mod passage;
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
use utoipa::openapi::OpenApi;

pub use self::state::{Api, Flows, Shared};
use self::{
    description::Description,
    endpoint::Endpoint,
    error::{Code, Problem},
    listen::{Limits, Port},
};

/// The public API and what its port takes.
pub fn public_port(api: Api) -> Port {
    let (metrics, refusal) = (api.metrics.clone(), refusal_router(api.clone()));
    Port { name: "public", limits: Limits::PUBLIC, router: public_router(api), refusal, metrics }
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
    router(api, public_endpoints(Description::of(&public_openapi())))
}

/// The router of the management port.
pub fn management_router(api: Api) -> Router {
    router(api, management_endpoints())
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

fn router(api: Api, endpoints: Vec<Endpoint>) -> Router {
    let (work, probes) = endpoint::routers(endpoints);
    work.layer(from_fn_with_state(api.clone(), guard::guard))
        .merge(probes.layer(from_fn(guard::alone)))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn(guard::own_pages))
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}
