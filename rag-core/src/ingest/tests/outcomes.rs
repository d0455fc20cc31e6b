//! Duplicates, dry runs and pruning: what is said of a document, and that nothing is lost by it.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use tokio_util::sync::CancellationToken;

use super::world::{HeldEmbedder, Kill, SetClock, World, ingest, long, markdown, replica, replica_with, world};
use crate::{
    ingest::{Deleted, DocumentReport, Format, Ingest, Prune, Pruned, Source},
    model::{DocumentId, Outcome, Tenant},
    ports::{Kind, Records, StoreError},
};

fn id(text: &str) -> DocumentId {
    text.parse().unwrap()
}

fn duplicate_of(text: &str) -> Result<Outcome, String> {
    Ok(Outcome::DuplicateOf(id(text)))
}

async fn one(flow: &Ingest, source: Source) -> Result<Outcome, String> {
    flow.ingest(source).await.result.map_err(|reason| reason.to_string())
}

#[tokio::test]
async fn identical_content_under_a_new_name_is_said_and_embedded_once() {
    let (world, _, flow) = world();
    let text = long("pump");
    assert_eq!(one(&flow, markdown("guide/intro.md", &text)).await, Ok(Outcome::Created));
    let embedded = flow.chunks_embedded();
    assert_eq!(one(&flow, markdown("copy/intro.md", &text)).await, duplicate_of("guide/intro.md"));
    assert_eq!(flow.chunks_embedded(), embedded, "nothing is embedded twice");
    assert_eq!(one(&flow, markdown("copy/intro.md", &text)).await, Ok(Outcome::Unchanged));
    assert_eq!(world.texts("copy/intro.md"), world.texts("guide/intro.md"), "the copy stands on its own");
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_of_metadata_alone_is_not_silently_ignored() {
    let (_, _, flow) = world();
    let with = |team: &str| {
        let metadata = Some([("team".to_owned(), team.to_owned())].into());
        Source { metadata, ..markdown("a.md", &long("pump")) }
    };
    assert_eq!(one(&flow, with("a")).await, Ok(Outcome::Created));
    let embedded = flow.chunks_embedded();
    assert_eq!(one(&flow, with("b")).await, Ok(Outcome::MetadataOnly));
    let record = flow.document(&id("a.md")).await.unwrap().unwrap();
    assert_eq!((record.metadata["team"].as_str(), flow.chunks_embedded()), ("b", embedded));
}

#[tokio::test]
async fn documents_that_come_to_others_are_not_embedded_one_at_a_time() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let embedder = Arc::<HeldEmbedder>::default();
    let flow = replica_with(&world, &clock, Arc::clone(&embedder));
    assert_eq!(one(&flow, markdown("first.md", "# First\n\nIt was here before.")).await, Ok(Outcome::Created));
    let before = embedder.calls.load(Ordering::SeqCst);
    let sources = (0..96).map(|n| markdown(&format!("{n}.md"), &format!("# Note {n}\n\nA short one."))).collect();
    ingest(&flow, sources).await.1.unwrap();
    let calls = embedder.calls.load(Ordering::SeqCst) - before;
    assert!(calls <= 6, "{calls} calls for 96 documents");
}

#[tokio::test]
async fn the_copy_of_a_deleted_original_stays_whole_and_is_the_next_ones_original() {
    let (world, _, flow) = world();
    let text = long("pump");
    ingest(&flow, vec![markdown("a.md", &text), markdown("b.md", &text)]).await.1.unwrap();
    let chunks = world.texts("b.md");
    assert_eq!(flow.delete(&id("a.md")).await, Ok(Deleted::Gone));
    assert_eq!((world.texts("a.md").len(), world.texts("b.md")), (0, chunks));
    assert_eq!(world.torn().await, Vec::<String>::new());
    let embedded = flow.chunks_embedded();
    assert_eq!(one(&flow, markdown("c.md", &text)).await, duplicate_of("b.md"));
    assert_eq!(flow.chunks_embedded(), embedded);
}

#[tokio::test]
async fn a_document_that_has_to_be_written_anew_takes_the_vectors_of_its_copy() {
    let (world, _, flow) = world();
    let text = long("pump");
    ingest(&flow, vec![markdown("a.md", &text), markdown("b.md", &text)]).await.1.unwrap();
    // Of those with its content it is the first itself.
    world.points.lock().unwrap().retain(|_, point| point.chunk.document != id("a.md"));
    let embedded = flow.chunks_embedded();
    one(&flow, markdown("a.md", &text)).await.unwrap();
    assert_eq!(world.texts("a.md"), world.texts("b.md"));
    assert_eq!(flow.chunks_embedded(), embedded);
}

#[tokio::test]
async fn copies_in_one_run_and_in_one_job_are_said_too() {
    let (_, _, flow) = world();
    let copies = |names: [&str; 3], text: &str| names.map(|name| markdown(name, text)).to_vec();
    let (reports, _) = ingest(&flow, copies(["1.md", "2.md", "3.md"], &long("pump"))).await;
    assert_eq!(reports["1.md"], Ok(Outcome::Created));
    assert_eq!((&reports["2.md"], &reports["3.md"]), (&duplicate_of("1.md"), &duplicate_of("1.md")));
    let job = flow.submit(copies(["4.md", "5.md", "6.md"], &long("valve"))).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = flow.job(&job).await.unwrap().unwrap().job;
    let copies = job.documents.iter().filter(|document| format!("{:?}", document.state).contains("DuplicateOf"));
    assert_eq!(copies.count(), 2, "{job:?}");
}

#[tokio::test]
async fn a_document_that_becomes_a_copy_and_one_that_ceases_to_be_one_are_followed() {
    let (_, _, flow) = world();
    let (pump, valve) = (long("pump"), long("valve"));
    ingest(&flow, vec![markdown("a.md", &pump), markdown("b.md", &valve)]).await.1.unwrap();
    assert_eq!(one(&flow, markdown("b.md", &pump)).await, duplicate_of("a.md"));
    assert_eq!(one(&flow, markdown("a.md", &valve)).await, Ok(Outcome::Updated));
    assert_eq!(one(&flow, markdown("c.md", &pump)).await, duplicate_of("b.md"), "a.md says something else by now");
}

#[tokio::test]
async fn the_same_text_in_another_format_is_no_copy() {
    let (_, _, flow) = world();
    assert_eq!(one(&flow, markdown("a.md", "# One\n\ntext")).await, Ok(Outcome::Created));
    let text = Source::text(id("a.txt"), Format::Text, "# One\n\ntext");
    assert_eq!(one(&flow, text).await, Ok(Outcome::Created));
}

#[tokio::test]
async fn pairs_that_dead_writers_left_hide_no_original() {
    let (world, _, flow) = world();
    let text = long("pump");
    assert_eq!(one(&flow, markdown("original.md", &text)).await, Ok(Outcome::Created));
    let content = flow.document(&id("original.md")).await.unwrap().unwrap().content().clone();
    for n in 0..5 {
        let left = format!("{}/left{n}.md", content.0);
        world.put_if_absent(Kind::Content, &left, serde_json::json!({})).await.unwrap();
    }
    assert_eq!(one(&flow, markdown("copy.md", &text)).await, duplicate_of("original.md"));
    assert_eq!(world.count(Kind::Content).await, Ok(2), "those that were found are gone");
}

#[tokio::test]
async fn what_a_dead_writer_left_is_no_original() {
    let (world, clock, flow) = world();
    world.keep_others_out(true);
    for calls in 0.. {
        let text = long(&format!("pump{calls}"));
        world.answer(calls, Kill::Before);
        let written = flow.ingest(markdown("dead.md", &text)).await.result.is_ok();
        world.revive();
        let other = replica(&world, &clock);
        other.clean_up().await.unwrap();
        let stands = other.document(&id("dead.md")).await.unwrap().is_some();
        let expected = if stands && written { duplicate_of("dead.md") } else { Ok(Outcome::Created) };
        let found = one(&other, markdown("copy.md", &text)).await;
        // A commit whose answer was lost stands.
        assert!(found == expected || (stands && found == duplicate_of("dead.md")), "{calls}: {found:?}");
        assert_eq!(world.torn().await, Vec::<String>::new());
        for name in ["dead.md", "copy.md"] {
            other.delete(&id(name)).await.unwrap();
        }
        if written {
            assert!(calls > 5);
            break;
        }
    }
    assert!(world.count(Kind::Content).await.unwrap() <= 3, "pairs that were left do not pile up");
}

async fn previewed(flow: &Ingest, sources: Vec<Source>) -> Vec<(String, Result<Outcome, String>)> {
    let reports = flow.preview(sources).await.unwrap();
    reports
        .into_iter()
        .map(|report: DocumentReport| (report.name, report.result.map_err(|e| e.class().to_owned())))
        .collect()
}

#[tokio::test]
async fn a_dry_run_says_what_the_run_then_does_and_writes_nothing() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("old.md", &long("pump")), markdown("same.md", "same"), markdown("meta.md", "m")])
        .await
        .1
        .unwrap();
    let before = world.state().await;
    let written = flow.chunks_embedded();
    let metadata = Some([("team".to_owned(), "a".to_owned())].into());
    let sources = vec![
        markdown("old.md", &long("valve")),
        markdown("same.md", "same"),
        Source { metadata, ..markdown("meta.md", "m") },
        markdown("new.md", &long("seal")),
        markdown("copy.md", &long("seal")),
        markdown("copy-of-standing.md", "same"),
        markdown("empty.md", ""),
        Source::text(id("scripts.html"), Format::Html, "<script>x</script>"),
    ];
    let said = previewed(&flow, sources.clone()).await;
    assert_eq!((world.state().await, flow.chunks_embedded()), (before, written), "nothing was written or embedded");
    let (done, _) = ingest(&flow, sources).await;
    assert_eq!(said.into_iter().collect::<std::collections::BTreeMap<_, _>>(), done);
}

async fn pruned(flow: &Ingest, prefix: &str, keep: &[&str], dry_run: bool) -> Result<Vec<String>, StoreError> {
    let keep: HashSet<DocumentId> = keep.iter().map(|keep| id(keep)).collect();
    let (mut removed, mut after) = (Vec::new(), None::<String>);
    loop {
        let Pruned { removed: more, next } =
            flow.prune(Prune { tenant: &Tenant::default(), prefix, keep: &keep, dry_run }, after.as_deref(), 2).await?;
        assert!(more.len() <= 2);
        removed.extend(more.into_iter().map(String::from));
        match next {
            Some(next) => after = Some(next),
            None => return Ok(removed),
        }
    }
}

#[tokio::test]
async fn pruning_removes_what_is_not_listed_below_the_prefix_and_nothing_else() {
    let (world, _, flow) = world();
    let names = ["guide/1.md", "guide/2.md", "guide/3.md", "guide/4.md", "guide2/x.md", "other.md"];
    ingest(&flow, names.iter().map(|name| markdown(name, &format!("text of {name}"))).collect()).await.1.unwrap();
    let all = world.state().await;
    let keep = ["guide/2.md", "guide/new.md"];
    assert_eq!(pruned(&flow, "guide/", &keep, true).await.unwrap(), ["guide/1.md", "guide/3.md", "guide/4.md"]);
    assert_eq!(world.state().await, all, "a dry run removes nothing");
    assert_eq!(pruned(&flow, "guide/", &keep, false).await.unwrap(), ["guide/1.md", "guide/3.md", "guide/4.md"]);
    let left: Vec<_> = world.state().await.documents.into_keys().collect();
    assert_eq!(left, ["guide/2.md", "guide2/x.md", "other.md"]);
    assert!(world.texts("guide/1.md").is_empty(), "its vectors are gone, too");
    assert_eq!(pruned(&flow, "guide/", &keep, false).await.unwrap(), Vec::<String>::new());
}
