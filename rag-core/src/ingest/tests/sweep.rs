//! What no record holds is swept up, and nothing else.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{
    super::{sweep::CHUNKS, work::CLEANING},
    replicas::{held, permits, reached, world_with},
    world::{Kill, SetClock, World, ingest, long, markdown, replica, world},
};
use crate::{
    doubles::eventually,
    model::{ChunkId, ContentHash, DocumentId, Outcome},
    ports::{Holds, Kind, Records},
};

/// Longer than a hold stands that nobody prolongs.
const PAST: SignedDuration = SignedDuration::from_secs(31);

/// A chunk of a version that nobody ever commits.
async fn orphan(world: &World, id: &str) {
    let id: DocumentId = id.parse().unwrap();
    let mut points = world.points.lock().unwrap();
    let mut point = points.values().next().unwrap().clone();
    let version = ContentHash("dead".to_owned());
    point.chunk.id = ChunkId::new(&id, &version, 0);
    (point.chunk.document, point.chunk.version) = (id, version);
    points.insert(point.chunk.id, point);
}

#[tokio::test]
async fn chunks_of_no_record_are_removed_and_those_of_records_stay() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("a.md", &long("pump")), markdown("b.md", &long("valve"))]).await.1.unwrap();
    let before = world.state().await;
    orphan(&world, "a.md").await;
    orphan(&world, "gone.md").await;
    flow.sweep().await.unwrap();
    assert_eq!(world.state().await, before);
    // The next pass begins again.
    orphan(&world, "b.md").await;
    flow.sweep().await.unwrap();
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn what_is_in_work_is_left_and_what_its_writer_left_behind_is_not() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let (flow, embedder) = world_with(&world, &clock, &Arc::new(held()));
    let text = format!("{}{}", long("pump"), long("valve").repeat(120));
    let run = tokio::spawn(async move { flow.ingest(markdown("a.md", &text)).await.result });
    permits(&embedder).add_permits(8);
    eventually("it stored something", async || !world.texts("a.md").is_empty()).await;
    let (stored, sweeper) = (world.texts("a.md"), replica(&world, &clock));
    sweeper.sweep().await.unwrap();
    clock.advance(SignedDuration::from_mins(5));
    sweeper.sweep().await.unwrap();
    assert!(world.texts("a.md").len() >= stored.len(), "its claim answers for it, alive or dead");
    // The claim is cleaned up as that of a dead writer; what it wrote on its way afterwards is nobody's.
    reached(&embedder).await;
    sweeper.clean_up().await.unwrap();
    assert!(world.texts("a.md").is_empty());
    orphan_of(&world).await;
    sweeper.sweep().await.unwrap();
    assert!(world.texts("a.md").is_empty());
    permits(&embedder).add_permits(1000);
    assert_eq!(run.await.unwrap(), Ok(Outcome::Created), "it begins anew");
    sweeper.sweep().await.unwrap();
    assert_eq!(world.torn().await, Vec::<String>::new());
}

/// A chunk that arrives late.
async fn orphan_of(world: &World) {
    let (late, other) = (Arc::<World>::default(), Arc::<SetClock>::default());
    replica(&late, &other).ingest(markdown("a.md", "late")).await.result.unwrap();
    let points = std::mem::take(&mut *late.points.lock().unwrap());
    world.points.lock().unwrap().extend(points);
}

#[tokio::test]
async fn the_claim_of_an_older_server_that_lists_no_versions_answers_for_all() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("a.md", &long("pump"))]).await.1.unwrap();
    orphan(&world, "a.md").await;
    let body = serde_json::json!({ "holder": "older", "until": "2100-01-01T00:00:00Z" });
    world.put_if_absent(Kind::Claim, "a.md", body).await.unwrap();
    let before = world.texts("a.md").len();
    flow.sweep().await.unwrap();
    assert_eq!(world.texts("a.md").len(), before);
}

#[tokio::test]
async fn of_several_processes_one_sweeps() {
    let (world, clock, flow) = world();
    ingest(&flow, vec![markdown("a.md", &long("pump"))]).await.1.unwrap();
    orphan(&world, "a.md").await;
    let before = world.texts("a.md").len();
    let holds = Holds::new(Arc::clone(&world) as _, Arc::clone(&clock) as _);
    let hold = holds.take(Kind::Lease, "sweep", |_| serde_json::Value::Null).await.unwrap().unwrap();
    flow.sweep().await.unwrap();
    assert_eq!(world.texts("a.md").len(), before);
    hold.give_back().await.unwrap();
    flow.sweep().await.unwrap();
    assert_eq!(world.texts("a.md").len(), before - 1);
}

#[tokio::test]
async fn a_sweep_that_dies_anywhere_loses_nothing() {
    for calls in 0.. {
        let (world, clock, flow) = world();
        ingest(&flow, vec![markdown("a.md", &long("pump"))]).await.1.unwrap();
        let before = world.state().await;
        orphan(&world, "a.md").await;
        world.answer(calls, Kill::Before);
        let ended = flow.sweep().await;
        world.revive();
        assert_eq!(world.torn().await, Vec::<String>::new(), "after {calls} calls");
        clock.advance(SignedDuration::from_mins(5));
        replica(&world, &clock).sweep().await.unwrap();
        assert_eq!(world.state().await, before, "after {calls} calls");
        if ended.is_ok() {
            assert!(calls > 3, "the sweep made only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_sweep_goes_on_where_the_one_before_ended_also_in_another_process() {
    let (world, clock, flow) = world();
    flow.ingest(markdown("a.md", &long("pump"))).await.result.unwrap();
    {
        // As many committed chunks as two passes go through, and behind them one that nobody ever commits.
        let mut points = world.points.lock().unwrap();
        let mut point = points.values().next().unwrap().clone();
        for ordinal in 1_000..1_000 + 2 * CHUNKS as u32 {
            point.chunk.id = ChunkId::new(&point.chunk.document, &point.chunk.version, ordinal);
            points.insert(point.chunk.id, point.clone());
        }
        point.chunk.id = ChunkId(uuid::Uuid::max());
        point.chunk.version = ContentHash("dead".to_owned());
        points.insert(point.chunk.id, point);
    }
    let is_there = || world.points.lock().unwrap().contains_key(&ChunkId(uuid::Uuid::max()));
    drop(flow);
    for _ in 0..2 {
        replica(&world, &clock).sweep().await.unwrap();
        assert!(is_there(), "a pass ends, so that it holds nothing else up");
        // Each process ends after its pass.
        clock.advance(PAST);
    }
    replica(&world, &clock).sweep().await.unwrap();
    assert!(!is_there(), "however often processes come and go, the last chunk has its turn");
}

#[test]
fn the_page_about_documents_says_how_fast_the_sweep_is() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/documents.md")).unwrap();
    let minutes = 100_000 / CHUNKS as u64 * CLEANING.as_secs() / 60;
    assert!(page.contains(&format!("within about {minutes} minutes for each hundred thousand chunks")), "{minutes}");
}
