//! Several replicas over the same stores.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Ingest, open::Plan, write::Writer},
    world::{HeldEmbedder, Kill, SetClock, World, ingest, long, markdown, replica, replica_with, world},
};
use crate::{
    doubles::eventually,
    ingest::JobState,
    model::{Filter, Outcome},
    ports::Kind,
};

pub(super) fn held() -> HeldEmbedder {
    HeldEmbedder { hold: Some((tokio::sync::Semaphore::new(0), tokio::sync::Notify::new())), ..HeldEmbedder::default() }
}

#[tokio::test]
async fn of_two_replicas_with_the_same_document_the_second_waits_and_one_whole_version_stays() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let replicas = [replica(&world, &clock), replica(&world, &clock)];
    let texts = [long("pump"), long("valve")];
    let runs = replicas.iter().zip(&texts).map(|(flow, text)| flow.ingest(markdown("a.md", text)));
    let reports = futures::future::join_all(runs).await;
    let mut outcomes: Vec<_> = reports.into_iter().map(|report| report.result.unwrap()).collect();
    outcomes.sort_by_key(|outcome| *outcome != Outcome::Created);
    assert_eq!(outcomes, [Outcome::Created, Outcome::Updated]);
    assert_eq!(world.torn().await, Vec::<String>::new());
    let stored = world.texts("a.md").join("\n\n");
    assert!(texts.iter().any(|text| *text.trim_end() == stored), "one version, whole and alone: {stored}");
    assert_eq!(world.state().await.left[&Kind::Claim], 0);
}

#[tokio::test]
async fn two_replicas_with_the_same_many_documents_in_opposite_order_do_not_wait_for_each_other() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let there: Vec<_> = (0..40).map(|n| markdown(&format!("{n}.md"), &long(&format!("pump{n}")))).collect();
    let back: Vec<_> = there.iter().rev().cloned().collect();
    let (one, other) = (replica(&world, &clock), replica(&world, &clock));
    let (a, b) = tokio::join!(ingest(&one, there), ingest(&other, back));
    for (name, result) in a.0.into_iter().chain(b.0) {
        assert!(matches!(result, Ok(Outcome::Created | Outcome::Unchanged)), "{name}: {result:?}");
    }
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_writer_that_was_taken_over_in_between_does_its_document_again() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let slow = Arc::new(held());
    let (flow, embedder) = world_with(&world, &clock, &slow);
    let run = tokio::spawn(async move { flow.ingest(markdown("a.md", &long("pump"))).await });
    reached(&embedder).await;
    clock.advance(SignedDuration::from_mins(5));
    let other = replica(&world, &clock);
    assert_eq!(other.clean_up().await, Ok(1), "its claim is dead by now");
    permits(&embedder).add_permits(100);
    assert_eq!(run.await.unwrap().result, Ok(Outcome::Created));
    assert_eq!(world.torn().await, Vec::<String>::new());
    assert_eq!(world.state().await.left[&Kind::Claim], 0);
}

#[tokio::test]
async fn a_writer_that_lost_its_claim_touches_nothing_of_the_next_one() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    // Several windows of chunks, each embedded with four calls.
    let text = format!("{}{}", long("pump"), long("valve").repeat(120));
    let (slow, next) = (Arc::new(held()), Arc::new(held()));
    let run = |embedder: &Arc<HeldEmbedder>| {
        let (flow, text) = (replica_with(&world, &clock, Arc::clone(embedder)), text.clone());
        tokio::spawn(async move { flow.ingest(markdown("a.md", &text)).await.result })
    };
    let stalled = run(&slow);
    permits(&slow).add_permits(4);
    eventually("it stored something", async || !world.texts("a.md").is_empty()).await;
    // It stalls in the middle of its work, and another one writes the same text, which stores chunks and commits none yet.
    clock.advance(SignedDuration::from_mins(5));
    let before = world.texts("a.md").len();
    let successor = run(&next);
    permits(&next).add_permits(4);
    eventually("the next one stored something", async || world.texts("a.md").len() > before).await;
    // The late one wakes up, finds out, and begins anew behind the other one.
    permits(&slow).add_permits(4);
    eventually("the late one embedded", async || permits(&slow).available_permits() == 0).await;
    permits(&next).add_permits(1000);
    assert_eq!(successor.await.unwrap(), Ok(Outcome::Created));
    assert_eq!(world.torn().await, Vec::<String>::new());
    permits(&slow).add_permits(1000);
    assert_eq!(stalled.await.unwrap(), Ok(Outcome::Unchanged));
    assert_eq!(world.torn().await, Vec::<String>::new());
    assert_eq!(world.state().await.left[&Kind::Claim], 0);
}

/// Changes the metadata of a document once, as a process does that ends before it tries again.
async fn relabel(flow: &Ingest, language: &str) {
    let standing = flow.document(&"a.md".parse().unwrap()).await.unwrap().unwrap();
    let metadata = BTreeMap::from([("lang".to_owned(), language.to_owned())]);
    let content = standing.content().clone();
    let plan = Plan {
        id: standing.id,
        content,
        bytes: 1,
        title: None,
        metadata: Some(metadata),
        expires_at: None,
        after: None,
    };
    assert!(!Writer::new(flow).begin(plan).await.unwrap(), "nothing has to be cut");
}

#[tokio::test]
async fn wherever_a_change_of_metadata_stalls_the_labels_are_those_of_the_record_in_the_end() {
    for calls in 0.. {
        let (world, clock, flow) = world();
        flow.ingest(markdown("a.md", "text")).await.result.unwrap();
        world.schedule();
        let late = tokio::spawn(async move { relabel(&flow, "en").await });
        let calls_or_ends = async || eventually("it calls", async || world.waiting() > 0 || late.is_finished()).await;
        for _ in 0..calls {
            calls_or_ends().await;
            if world.waiting() > 0 {
                world.let_through(0);
            }
        }
        calls_or_ends().await;
        let is_over = late.is_finished();
        // It stalls there, and another process does its own change meanwhile.
        clock.advance(SignedDuration::from_secs(31));
        let other = replica(&world, &clock);
        world.unscheduled(relabel(&other, "de")).await;
        world.unschedule();
        late.await.unwrap();
        let record = world.standing().await.remove(0);
        let labels = world.points.lock().unwrap().values().next().unwrap().labels.clone();
        assert_eq!(labels, Filter::labels(&record.metadata), "after {calls} calls");
        if is_over {
            assert!(calls > 5, "a change makes only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn wherever_a_change_of_metadata_ends_the_next_one_who_cleans_up_leaves_the_labels_of_the_record() {
    for (calls, kill) in (0..).flat_map(|calls| [(calls, Kill::Before), (calls, Kill::After)]) {
        let (world, clock, flow) = world();
        flow.ingest(markdown("a.md", "text")).await.result.unwrap();
        let standing = world.standing().await.remove(0);
        let metadata = Some(BTreeMap::from([("lang".to_owned(), "en".to_owned())]));
        let content = standing.content().clone();
        let plan = Plan { id: standing.id, content, bytes: 1, title: None, metadata, expires_at: None, after: None };
        world.answer(calls, kill);
        let is_over = Writer::new(&flow).begin(plan).await.is_ok();
        world.revive();
        clock.advance(SignedDuration::from_secs(31));
        replica(&world, &clock).clean_up().await.unwrap();
        let record = world.standing().await.remove(0);
        let expected = Filter::labels(&record.metadata);
        assert_eq!(world.labels("a.md"), [expected].into(), "after {calls} calls, {kill:?}");
        if is_over {
            assert!(calls > 5, "a change makes only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_document_whose_chunks_are_not_there_is_not_said_to_be_unchanged() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    let source = || markdown("a.md", &long("pump"));
    flow.ingest(source()).await.result.unwrap();
    for end in [0, world.chunks("a.md").len() - 1] {
        let lost = world.chunks("a.md")[end].id;
        world.points.lock().unwrap().remove(&lost);
        assert_eq!(world.torn().await, ["a.md"]);
        let job = flow.submit(vec![source()]).await.unwrap();
        flow.work_once(&CancellationToken::new()).await.unwrap();
        assert_eq!(flow.job(&job).await.unwrap().unwrap().job.state, JobState::Done);
        assert_eq!(world.torn().await, Vec::<String>::new(), "the job wrote it anew");
        assert_eq!(flow.ingest(source()).await.result, Ok(Outcome::Unchanged));
    }
    world.points.lock().unwrap().clear();
    assert_eq!(flow.ingest(source()).await.result, Ok(Outcome::MetadataOnly), "its text is what it was");
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_error_that_passes_is_waited_for() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    world.answer(2, Kill::Before);
    assert!(flow.ingest(markdown("a.md", "text")).await.result.is_err(), "the world is gone for good");
    world.revive();
    assert_eq!(flow.ingest(markdown("a.md", "text")).await.result, Ok(Outcome::Created), "the same process goes on");
}

pub(super) fn world_with(
    world: &Arc<World>,
    clock: &Arc<SetClock>,
    embedder: &Arc<HeldEmbedder>,
) -> (crate::ingest::Ingest, Arc<HeldEmbedder>) {
    (replica_with(world, clock, Arc::clone(embedder)), Arc::clone(embedder))
}

pub(super) async fn reached(embedder: &HeldEmbedder) {
    embedder.hold.as_ref().unwrap().1.notified().await;
}

pub(super) fn permits(embedder: &HeldEmbedder) -> &tokio::sync::Semaphore {
    &embedder.hold.as_ref().unwrap().0
}
