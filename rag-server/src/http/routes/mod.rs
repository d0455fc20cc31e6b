//! The public routes, one file for each resource; each exports its endpoints.

mod admin;
mod documents;
mod evaluate;
mod feedback;
mod health;
mod ingest;
mod jobs;
mod notice;
mod query;
mod search;
mod sessions;
mod v1;

use super::endpoint::Endpoint;

/// How the server is: on both ports.
pub(super) fn probes() -> Vec<Endpoint> {
    health::endpoints()
}

/// All public endpoints.
pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        query::endpoints(),
        sessions::endpoints(),
        feedback::endpoints(),
        search::endpoints(),
        evaluate::endpoints(),
        v1::endpoints(),
        ingest::endpoints(),
        documents::endpoints(),
        jobs::endpoints(),
        admin::endpoints(),
        probes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
