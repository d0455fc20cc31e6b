//! How far a command is: on the terminal, and over HTTP for whoever asks while it runs.
//!
//! Who looks after the command as a Job asks for it, so that the Job needs no right to write anywhere. Nobody has to ask: a port that is not to be had is said in the log, and the command goes on.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::show;
use crate::{
    cli::progress,
    http::listen::{self, Ending, Limits, Port},
    metrics::Metrics,
};

/// Where it is answered.
pub const PATH: &str = "/progress";

/// One program asks, every half a minute; the others are people who look for a fault.
const LIMITS: Limits = Limits { connections: 8, each: 4, head: Duration::from_secs(5), unread: Duration::from_secs(5) };

/// Files that may be open at once as far as the port is concerned, half of which are for its connections.
const FILES: u64 = 64;

/// What a command is run with.
pub(super) struct Run<'r> {
    /// Tells it to stop.
    pub(super) stop: &'r CancellationToken,
    /// Is told how far it is.
    pub(super) figures: Figures,
    /// Who asked for it, where that was said.
    pub(super) asked_by: Option<String>,
}

impl Run<'_> {
    /// A bar over so many things, which are what is told from now on.
    pub(super) fn bar(&self, unit: Unit, of: u64) -> Bar {
        let bar = Bar { bar: progress::bar(Some(of), unit.name()), figures: self.figures.clone(), unit, of };
        bar.at(0, None);
        bar
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Documents that are taken or restored.
    Documents,
    /// Parts that are read.
    Parts,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Parts => "parts",
        }
    }
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HowFar {
    /// What is counted.
    pub unit: Unit,
    /// So many are done.
    pub done: u64,
    /// How many there are, as far as it was known at the beginning.
    pub of: u64,
    /// Bytes that were written to the archive, where some are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How far a command is, for all who want to know.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<Option<HowFar>>>);

impl Figures {
    /// So far it is now.
    pub fn tell(&self, how_far: HowFar) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how_far);
    }

    /// What answers how far it is: the figures, or no content before there are some.
    pub fn router(self) -> Router {
        Router::new().route(PATH, get(move || std::future::ready(self.answer())))
    }

    fn answer(&self) -> Response {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(how_far) => Json(how_far).into_response(),
            None => StatusCode::NO_CONTENT.into_response(),
        }
    }

    /// Answers at this address how far it is, until the future is dropped. What keeps it from doing so is logged.
    pub(super) async fn answer_at(self, address: SocketAddr) {
        let bound = listen::bind(address).await;
        let metrics = Metrics::new();
        let (listener, metrics) = match (bound, metrics) {
            (Ok(listener), Ok(metrics)) => (listener, metrics),
            (Err(error), _) => return tracing::warn!(%error, "nobody can ask how far this command is"),
            (_, Err(error)) => return tracing::warn!(%error, "nobody can ask how far this command is"),
        };
        let router = self.router();
        let refusal = Router::new().fallback(|| std::future::ready(StatusCode::SERVICE_UNAVAILABLE));
        let port = Port { name: "progress", limits: LIMITS, router, refusal, metrics };
        listen::serve(listener, port, FILES, Ending::default()).await;
    }
}

/// The bar of a command, which goes when it is dropped. What it showed last stays told.
pub(super) struct Bar {
    bar: ProgressBar,
    figures: Figures,
    unit: Unit,
    of: u64,
}

impl Bar {
    /// So many are done, and so many bytes were written for it, where it writes.
    pub(super) fn at(&self, done: u64, bytes: Option<u64>) {
        self.bar.set_position(done);
        if let Some(bytes) = bytes {
            self.bar.set_message(format!("{} written", show::bytes(bytes)));
        }
        self.figures.tell(HowFar { unit: self.unit, done, of: self.of, bytes });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::doubles::eventually;

    /// An address at which nobody listens just now.
    async fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    /// What is answered, once somebody does.
    async fn asked(address: SocketAddr) -> (u16, Value) {
        let mut answer = None;
        eventually("somebody listens", async || {
            answer = reqwest::get(format!("http://{address}{PATH}")).await.ok();
            answer.is_some()
        })
        .await;
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    #[tokio::test]
    async fn whoever_asks_is_told_how_far_a_command_is_and_nothing_before_it_is_known() {
        let (stop, address) = (CancellationToken::new(), free().await);
        let run = Run { stop: &stop, figures: Figures::default(), asked_by: None };
        let port = tokio::spawn(run.figures.clone().answer_at(address));
        assert_eq!(asked(address).await, (204, Value::Null));
        let bar = run.bar(Unit::Documents, 24_000);
        bar.at(12_000, Some(7));
        drop(bar);
        let told = json!({"unit": "documents", "done": 12_000, "of": 24_000, "bytes": 7});
        assert_eq!(asked(address).await, (200, told));
        let _bar = run.bar(Unit::Parts, 3);
        assert_eq!(asked(address).await, (200, json!({"unit": "parts", "done": 0, "of": 3})));
        port.abort();
    }

    #[tokio::test]
    async fn a_port_that_is_not_to_be_had_ends_the_answers_and_nothing_else() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Figures::default().answer_at(taken.local_addr().unwrap()).await;
    }
}
