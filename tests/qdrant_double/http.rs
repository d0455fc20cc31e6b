//! The health endpoints of the real image's HTTP port; nothing of its REST API.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::VERSION;
use super::database::Database;

/// The routes over a database.
pub(crate) fn router(database: Arc<Database>) -> Router {
    Router::new()
        .route("/", get(|| async { Json(json!({ "title": "qdrant double", "version": VERSION })) }))
        .route("/livez", get(|| async { "healthz check passed" }))
        .route("/healthz", get(|| async { "healthz check passed" }))
        .route("/readyz", get(move || ready(Arc::clone(&database))))
}

async fn ready(database: Arc<Database>) -> impl IntoResponse {
    // The question waits for a write in progress, so it is asked off the async threads.
    match tokio::task::spawn_blocking(move || database.is_sound()).await {
        Ok(true) => (StatusCode::OK, "all shards are ready"),
        Ok(false) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the log cannot be written"),
    }
}
