//! Requests that come again under their key, and jobs that somebody ends.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::world::{HeldEmbedder, SetClock, World, ingest, long, markdown, replica, replica_with, world};
use crate::{
    ingest::{DocumentState, IdempotencyKey, JobState, SubmitError},
    model::Outcome,
    ports::{Kind, Records},
};

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new("sender", text).unwrap()
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_the_same_job_also_after_a_restart() {
    let (world, clock, flow) = world();
    let sources = || vec![markdown("a.md", &long("pump")), markdown("b.md", "b")];
    let first = flow.submit_once(&key("k1"), sources()).await.unwrap();
    assert_eq!(flow.submit_once(&key("k1"), sources()).await, Ok(first.clone()));
    drop(flow);
    let restarted = replica(&world, &clock);
    assert_eq!(restarted.submit_once(&key("k1"), sources()).await, Ok(first.clone()));
    restarted.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(restarted.submit_once(&key("k1"), sources()).await, Ok(first.clone()), "also when it is done");
    assert_ne!(restarted.submit_once(&key("k2"), sources()).await, Ok(first));
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused_and_names_the_job_of_the_first() {
    let (world, _, flow) = world();
    let first = flow.submit_once(&key("k"), vec![markdown("a.md", "one")]).await.unwrap();
    let jobs = world.count(Kind::Job).await;
    let refused = flow.submit_once(&key("k"), vec![markdown("a.md", "two")]).await;
    assert_eq!(refused, Err(SubmitError::KeyReused { job: first }));
    assert_eq!(world.count(Kind::Job).await, jobs);
}

#[tokio::test]
async fn senders_with_the_same_key_never_meet() {
    let (_, _, flow) = world();
    let first = flow.submit_once(&key("k"), vec![markdown("a.md", "one")]).await.unwrap();
    let other = IdempotencyKey::new("other", "k").unwrap();
    assert_ne!(flow.submit_once(&other, vec![markdown("b.md", "two")]).await.unwrap(), first);
}

#[tokio::test]
async fn two_at_once_with_one_key_get_one_job() {
    let (world, clock, flow) = world();
    let other = replica(&world, &clock);
    let (first, second) = (key("k"), key("k"));
    let sources = || vec![markdown("a.md", &long("pump"))];
    let (a, b) = tokio::join!(flow.submit_once(&first, sources()), other.submit_once(&second, sources()));
    let job = a.unwrap();
    assert_eq!(b.unwrap(), job);
    flow.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(flow.job(&job).await.unwrap().unwrap().job.state, JobState::Done);
    assert_eq!(world.count(Kind::Pending).await, Ok(0));
}

#[tokio::test]
async fn a_job_that_is_cancelled_before_its_turn_ingests_nothing_and_leaves_nothing() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("same.md", "same")]).await.1.unwrap();
    let before = world.state().await;
    let job = flow.submit(vec![markdown("a.md", &long("pump")), markdown("same.md", "same")]).await.unwrap();
    let cancelled = flow.cancel(&job).await.unwrap().unwrap().job;
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(cancelled.documents[0].state, DocumentState::Cancelled);
    assert_eq!(cancelled.documents[1].state, DocumentState::done(Outcome::Unchanged));
    flow.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(world.state().await, before);
    assert_eq!(flow.job(&job).await.unwrap().unwrap().job, cancelled);
}

#[tokio::test]
async fn a_job_that_is_cancelled_in_work_keeps_what_is_ingested_and_gives_up_the_rest() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let held = HeldEmbedder {
        hold: Some((tokio::sync::Semaphore::new(0), tokio::sync::Notify::new())),
        ..HeldEmbedder::default()
    };
    let embedder = Arc::new(held);
    let flow = Arc::new(replica_with(&world, &clock, Arc::clone(&embedder)));
    let sources = (0..60).map(|n| markdown(&format!("{n:02}.md"), &long(&format!("pump{n}")))).collect();
    let job = flow.submit(sources).await.unwrap();
    let worker = tokio::spawn({
        let flow = Arc::clone(&flow);
        async move { flow.work_once(&CancellationToken::new()).await }
    });
    let (permits, reached) = embedder.hold.as_ref().unwrap();
    reached.notified().await;
    let other = replica(&world, &clock);
    assert_eq!(other.cancel(&job).await.unwrap().unwrap().job.state, JobState::Cancelled);
    permits.add_permits(10_000);
    worker.await.unwrap().unwrap();
    let ended = flow.job(&job).await.unwrap().unwrap().job;
    assert_eq!(ended.state, JobState::Cancelled);
    let done = ended.documents.iter().filter(|document| matches!(document.state, DocumentState::Done { .. })).count();
    let state = world.state().await;
    assert_eq!(state.documents.len(), done, "the job says what stands");
    assert!(done < 60, "it was ended before its time");
    assert_eq!(world.torn().await, Vec::<String>::new());
    assert!(state.left.values().all(|left| *left == 0), "{:?}", state.left);
    assert!(state.texts.iter().all(|(name, ..)| state.documents.contains_key(name)), "no chunk is left over");
}

#[tokio::test]
async fn a_job_that_ended_cannot_be_cancelled() {
    let (_, _, flow) = world();
    let job = flow.submit(vec![markdown("a.md", "a")]).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(flow.cancel(&job).await.unwrap().unwrap().job.state, JobState::Done);
}
