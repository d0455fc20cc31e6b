//! A deletion wins over everything that was accepted before it, wherever it waits or is written.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{
    replicas::{held, permits, reached, world_with},
    world::{SetClock, World, ingest, long, markdown, replica, world},
};
use crate::{
    ingest::{Deleted, DocumentState, FailureReason, IdempotencyKey, Ingest, JobId, JobState, Prune},
    model::{DocumentId, Outcome, Tenant},
    ports::Kind,
};

fn id() -> DocumentId {
    "a.md".parse().unwrap()
}

async fn work(flow: &Ingest) {
    flow.work_once(&CancellationToken::new()).await.unwrap();
}

/// What became of the only document of a job.
async fn outcome(flow: &Ingest, job: &JobId) -> DocumentState {
    flow.job(job).await.unwrap().unwrap().job.documents.remove(0).state
}

fn deleted() -> DocumentState {
    DocumentState::Failed { error: FailureReason::Deleted }
}

async fn is_gone(world: &World, flow: &Ingest) -> bool {
    let state = world.state().await;
    flow.document(&id()).await == Ok(None) && world.texts("a.md").is_empty() && state.left[&Kind::Claim] == 0
}

#[tokio::test]
async fn a_job_that_waits_does_not_bring_a_deleted_document_back() {
    let (world, clock, flow) = world();
    flow.ingest(markdown("a.md", &long("pump"))).await.result.unwrap();
    let job = flow.submit(vec![markdown("a.md", &long("valve"))]).await.unwrap();
    assert_eq!(flow.delete(&id()).await, Ok(Deleted::Gone));
    // Another replica takes it up, long after.
    clock.advance(SignedDuration::from_hours(30));
    work(&replica(&world, &clock)).await;
    assert_eq!(outcome(&flow, &job).await, deleted());
    assert!(is_gone(&world, &flow).await);
}

#[tokio::test]
async fn a_document_that_never_stood_is_deleted_out_of_the_queue() {
    let (world, _, flow) = world();
    let job = flow.submit(vec![markdown("a.md", "text"), markdown("b.md", "else")]).await.unwrap();
    assert_eq!(flow.delete(&id()).await, Ok(Deleted::Unknown));
    work(&flow).await;
    assert_eq!(outcome(&flow, &job).await, deleted());
    assert_eq!(flow.job(&job).await.unwrap().unwrap().job.state, JobState::Done, "the other one is written");
    assert!(is_gone(&world, &flow).await);
}

#[tokio::test]
async fn what_is_sent_after_the_deletion_stands() {
    let (world, _, flow) = world();
    for round in 0..3 {
        let early = flow.submit(vec![markdown("a.md", &format!("early {round}"))]).await.unwrap();
        flow.delete(&id()).await.unwrap();
        let late = flow.submit(vec![markdown("a.md", &format!("late {round}"))]).await.unwrap();
        work(&flow).await;
        assert_eq!(outcome(&flow, &early).await, deleted());
        assert!(matches!(outcome(&flow, &late).await, DocumentState::Done { .. }));
        assert_eq!(world.texts("a.md"), [format!("late {round}")]);
    }
    assert_eq!(flow.delete(&id()).await, Ok(Deleted::Gone));
    assert_eq!(flow.ingest(markdown("a.md", "again")).await.result, Ok(Outcome::Created));
}

#[tokio::test]
async fn a_document_that_is_deleted_while_it_is_written_is_not_committed_and_leaves_no_chunk() {
    for stands in [true, false] {
        let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
        if stands {
            replica(&world, &clock).ingest(markdown("a.md", &long("pump"))).await.result.unwrap();
        }
        let (flow, embedder) = world_with(&world, &clock, &Arc::new(held()));
        let run = tokio::spawn(async move { flow.ingest(markdown("a.md", &long("valve"))).await.result });
        reached(&embedder).await;
        let other = replica(&world, &clock);
        let said = if stands { Deleted::Gone } else { Deleted::Unknown };
        assert_eq!(other.delete(&id()).await, Ok(said));
        assert_eq!(other.document(&id()).await, Ok(None), "it is invisible at once");
        permits(&embedder).add_permits(100);
        assert_eq!(run.await.unwrap(), Err(FailureReason::Deleted));
        assert!(is_gone(&world, &other).await);
        assert_eq!(world.state().await.left[&Kind::Document], 0, "no place is kept for it");
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_gets_its_old_job_and_no_new_document() {
    let (world, _, flow) = world();
    let key = IdempotencyKey::new("sender", "key").unwrap();
    let sources = || vec![markdown("a.md", "text")];
    let job = flow.submit_once(&key, sources()).await.unwrap();
    work(&flow).await;
    flow.delete(&id()).await.unwrap();
    assert_eq!(flow.submit_once(&key, sources()).await, Ok(job));
    work(&flow).await;
    assert!(is_gone(&world, &flow).await);
}

#[tokio::test]
async fn what_is_pruned_is_deleted_for_what_waits() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("a.md", "text")]).await.1.unwrap();
    let job = flow.submit(vec![markdown("a.md", "changed")]).await.unwrap();
    let prune = Prune { tenant: &Tenant::default(), prefix: "", keep: &[].into(), dry_run: false };
    assert_eq!(flow.prune(prune, None, 10).await.unwrap().removed, [id()]);
    work(&flow).await;
    assert_eq!(outcome(&flow, &job).await, deleted());
    assert!(is_gone(&world, &flow).await);
}
