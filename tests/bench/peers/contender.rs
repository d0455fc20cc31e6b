//! What every server that is measured can be asked.

use std::time::Duration;

use super::{TOP_K, passages::Passage, txtai::Txtai};
use crate::server::Server;

/// A running server; it ends with this value.
pub(super) enum Contender {
    Ours(Server),
    Txtai(Txtai),
}

impl Contender {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ours(_) => "rag-server",
            Self::Txtai(_) => "txtai",
        }
    }

    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        match self {
            Self::Ours(server) => server.pid(),
            Self::Txtai(txtai) => txtai.pid(),
        }
    }

    pub(super) fn start_to_ready(&self) -> Duration {
        match self {
            Self::Ours(server) => server.start_to_ready,
            Self::Txtai(txtai) => txtai.start_to_ready,
        }
    }

    /// Ingests the passages, and returns when they can be found.
    pub(super) async fn ingest(&self, passages: &[Passage]) -> anyhow::Result<()> {
        match self {
            Self::Ours(server) => server.ingest(passages).await,
            Self::Txtai(txtai) => txtai.ingest(passages).await,
        }
    }

    /// Waits until it no longer works on what was ingested.
    pub(super) async fn calm(&self) -> anyhow::Result<()> {
        match self {
            Self::Ours(server) => server.calibrated().await.map(drop),
            Self::Txtai(_) => Ok(()),
        }
    }

    /// The ids of the passages that were found, best first.
    pub(super) async fn search(&self, question: &str) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Ours(server) => server.search(question, TOP_K).await,
            Self::Txtai(txtai) => txtai.search(question, TOP_K).await,
        }
    }
}
