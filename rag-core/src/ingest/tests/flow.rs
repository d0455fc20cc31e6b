use std::{collections::BTreeMap, sync::Arc};

use super::world::{HeldEmbedder, ingest, long, markdown, replica_with, world};
use crate::{
    ingest::{Deleted, Format, Ingest, Source},
    model::{Outcome, Tenant},
    ports::Kind,
};

async fn one(ingest: &Ingest, source: Source) -> Result<Outcome, String> {
    ingest.ingest(source).await.result.map_err(|reason| reason.to_string())
}

#[tokio::test]
async fn a_document_is_created_then_unchanged_then_updated_and_its_old_chunks_are_gone() {
    let (world, _, flow) = world();
    let (before, after) = (long("pump"), "# About valves\n\nShort.\n");
    assert_eq!(one(&flow, markdown("a.md", &before)).await, Ok(Outcome::Created));
    assert!(world.texts("a.md").len() > 2, "it has several chunks");
    assert_eq!(world.texts("a.md").concat().replace(char::is_whitespace, ""), before.replace(char::is_whitespace, ""));
    assert_eq!(one(&flow, markdown("a.md", &before)).await, Ok(Outcome::Unchanged));
    assert_eq!(one(&flow, markdown("a.md", after)).await, Ok(Outcome::Updated));
    assert_eq!(world.texts("a.md"), [after.trim_end()]);
    let record = flow.document(&"a.md".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.title.as_str(), record.chunks, record.bytes), ("About valves", 1, after.len() as u64));
    assert_eq!(world.state().await.left[&Kind::Claim], 0);
}

#[tokio::test]
async fn metadata_alone_changes_no_chunk_and_none_keeps_what_stands() {
    let (world, _, flow) = world();
    let with = |pairs: &[(&str, &str)]| {
        let metadata: BTreeMap<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Source { metadata: Some(metadata), ..markdown("a.md", &long("pump")) }
    };
    assert_eq!(one(&flow, with(&[("team", "a")])).await, Ok(Outcome::Created));
    let chunks = world.texts("a.md");
    assert_eq!(one(&flow, with(&[("team", "b")])).await, Ok(Outcome::MetadataOnly));
    assert_eq!(one(&flow, with(&[("team", "b")])).await, Ok(Outcome::Unchanged));
    assert_eq!(one(&flow, markdown("a.md", &long("pump"))).await, Ok(Outcome::Unchanged));
    let titled = Source { title: Some("The pump".to_owned()), ..markdown("a.md", &long("pump")) };
    assert_eq!(one(&flow, titled).await, Ok(Outcome::MetadataOnly));
    let record = flow.document(&"a.md".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.metadata["team"].as_str(), record.title.as_str()), ("b", "The pump"));
    assert_eq!(world.texts("a.md"), chunks);
    assert_eq!(usize::try_from(record.chunks).unwrap(), chunks.len());
}

#[tokio::test]
async fn the_same_bytes_in_another_format_are_another_version() {
    let (_, _, flow) = world();
    assert_eq!(one(&flow, markdown("a", "# Pumps\n\ntext")).await, Ok(Outcome::Created));
    let text = Source::text("a".parse().unwrap(), Format::Text, "# Pumps\n\ntext");
    assert_eq!(one(&flow, text).await, Ok(Outcome::Updated));
}

#[tokio::test]
async fn a_document_that_chokes_the_model_fails_alone_and_its_old_version_stays() {
    let (world, clock, flow) = world();
    assert_eq!(one(&flow, markdown("b.md", "# Old\n\nversion")).await, Ok(Outcome::Created));
    let flow =
        replica_with(&world, &clock, Arc::new(HeldEmbedder { chokes_on: Some("bone"), ..HeldEmbedder::default() }));
    let sources = vec![
        markdown("a.md", "# A\n\nfine"),
        markdown("b.md", &format!("{}\n\nbone\n", long("fish"))),
        markdown("c.md", "# C\n\nfine"),
    ];
    let (reports, ended) = ingest(&flow, sources).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(reports["a.md"], Ok(Outcome::Created));
    assert_eq!(reports["b.md"], Err("embedding".to_owned()));
    assert_eq!(reports["c.md"], Ok(Outcome::Created));
    assert_eq!(world.texts("b.md"), ["# Old\n\nversion"]);
    assert_eq!(world.state().await.left[&Kind::Claim], 0);
}

#[tokio::test]
async fn a_deleted_document_leaves_nothing() {
    let (world, _, flow) = world();
    let empty = world.state().await;
    assert_eq!(one(&flow, markdown("a.md", &long("pump"))).await, Ok(Outcome::Created));
    assert_eq!(flow.delete(&"a.md".parse().unwrap()).await, Ok(Deleted::Gone));
    assert_eq!(flow.delete(&"a.md".parse().unwrap()).await, Ok(Deleted::Unknown));
    assert_eq!(world.state().await, empty);
}

#[tokio::test]
async fn documents_are_listed_by_id_in_pages() {
    let (_, _, flow) = world();
    let sources = ["c", "a", "b"].map(|id| markdown(id, &format!("text of {id}")));
    ingest(&flow, sources.into()).await.1.unwrap();
    let (first, next) = flow.documents_below(&Tenant::default(), "", None, 2).await.unwrap();
    assert_eq!(first.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let (second, end) = flow.documents_below(&Tenant::default(), "", next.as_deref(), 2).await.unwrap();
    assert_eq!((second.len(), second[0].id.as_str(), end), (1, "c", None));
}

#[tokio::test]
async fn a_run_that_is_stopped_keeps_what_it_reported() {
    let (world, _, flow) = world();
    let stop = tokio_util::sync::CancellationToken::new();
    let sources = (0..90).map(|n| markdown(&format!("{n:02}.md"), &long("pump"))).collect();
    let mut reported = Vec::new();
    flow.ingest_all(sources, &stop, &mut |report| {
        reported.push(report.name);
        stop.cancel();
    })
    .await
    .unwrap();
    assert!(!reported.is_empty() && reported.len() < 90, "{reported:?}");
    let state = world.state().await;
    assert_eq!(state.documents.keys().cloned().collect::<Vec<_>>(), reported);
    assert_eq!((world.torn().await, state.left[&Kind::Claim]), (vec![], 0));
}
