//! The public routes, one file for each resource; each exports its endpoints.

mod documents;
mod evaluate;
mod feedback;
mod health;
mod ingest;
mod jobs;
mod query;
mod search;
mod sessions;
mod v1;

use super::endpoint::Endpoint;

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
        health::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
