//! An evaluation as server-sent events: `progress` after each question, `report` at the end; `error` instead of what did not come.

use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures::stream;
use http::HeaderValue;
use serde::Serialize;
use utoipa::ToSchema;

use super::{super::super::error::Problem, Running};

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EvaluationProgress)]
pub(super) struct Progress {
    /// Questions that are measured.
    done: usize,
    /// Questions in all.
    total: usize,
}

/// Streams an evaluation; it ends when nobody reads on.
pub(super) fn stream(running: Running, request_id: String) -> Response {
    let events = stream::unfold(Some(running), move |running| {
        let request_id = request_id.clone();
        async move {
            let (event, running) = next(running?).await;
            let event = event.unwrap_or_else(|problem| named("error", &problem.document(&request_id)));
            Some((event, running))
        }
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new()).into_response();
    // Proxies that collect a response before they pass it on would make a stream of one piece.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

type Told = Result<Event, axum::Error>;

/// The next event, and what goes on after it.
async fn next(mut running: Running) -> (Result<Told, Problem>, Option<Running>) {
    match running.step().await {
        Ok(true) => {
            let progress = Progress { done: running.evaluation.done(), total: running.evaluation.total() };
            (Ok(named("progress", &progress)), Some(running))
        }
        Ok(false) => (running.report().await.map(|report| named("report", &report)), None),
        Err(problem) => (Err(problem), None),
    }
}

fn named(name: &str, data: &impl Serialize) -> Told {
    Event::default().event(name).json_data(data)
}
