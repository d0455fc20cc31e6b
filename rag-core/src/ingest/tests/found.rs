//! Documents as they are found again, for tests of what the formats make of them.

use std::sync::Arc;

use super::world::{SetClock, World, replica};
use crate::{
    ingest::{Format, Source},
    model::Outcome,
};

/// A document as it is found again.
pub(super) struct Found {
    pub(super) title: String,
    /// The text of each chunk below the headings above it.
    pub(super) chunks: Vec<(String, String)>,
}

impl Found {
    pub(super) fn text(&self) -> String {
        self.chunks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n~\n")
    }
}

/// Ingests a document that can be read.
pub(super) async fn read(format: Format, bytes: Vec<u8>) -> Found {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    let source = Source::bytes("x".parse().unwrap(), format, bytes);
    let id = source.id.clone();
    assert_eq!(flow.ingest(source).await.result, Ok(Outcome::Created));
    let title = flow.document(&id).await.unwrap().unwrap().title;
    let chunks = world.chunks("x").into_iter().map(|chunk| (chunk.headings.join(" > "), chunk.text));
    Found { title, chunks: chunks.collect() }
}

/// What is said of one that cannot.
pub(super) async fn failure(format: Format, bytes: Vec<u8>) -> String {
    let flow = replica(&Arc::default(), &Arc::default());
    flow.ingest(Source::bytes("x".parse().unwrap(), format, bytes)).await.result.unwrap_err().to_string()
}
