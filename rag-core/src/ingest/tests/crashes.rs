//! A kill between any two calls: what was acknowledged stands whole, and doing it again ends in the state of an undisturbed run.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::world::{Kill, SetClock, State, World, ingest, long, markdown, replica};
use crate::{
    ingest::{Ingest, JobState, Source},
    model::{DocumentId, Outcome},
};

const PAST_EVERY_CLAIM: SignedDuration = SignedDuration::from_secs(120);

fn id(text: &str) -> DocumentId {
    text.parse().unwrap()
}

/// What stands before: a document that is to change, one that stays.
async fn before() -> (Arc<World>, Arc<SetClock>) {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let sources = vec![markdown("changes.md", &long("pump")), markdown("stays.md", "# Stays\n\nas it is")];
    ingest(&replica(&world, &clock), sources).await.1.unwrap();
    (world, clock)
}

fn batch() -> Vec<Source> {
    vec![
        markdown("changes.md", &long("valve")),
        markdown("stays.md", "# Stays\n\nas it is"),
        markdown("broken.md", "nul \0 inside"),
        markdown("new.md", &long("seal")),
        markdown("small.md", "# Small\n\nand new"),
    ]
}

/// Runs `act` undisturbed, then with a kill after each of its calls in turn; `again` must always end in the same state.
async fn sweep<A, B>(act: A, again: B)
where
    A: AsyncFn(&Ingest, &World) -> bool,
    B: AsyncFn(&Ingest, &Arc<SetClock>),
{
    let (world, clock) = before().await;
    assert!(act(&replica(&world, &clock), &world).await, "undisturbed it succeeds");
    again(&replica(&world, &clock), &clock).await;
    let wanted: State = world.state().await;
    for kill in [Kill::Before, Kill::After] {
        let mut calls = 0;
        loop {
            let (world, clock) = before().await;
            world.answer(calls, kill);
            let done = act(&replica(&world, &clock), &world).await;
            world.revive();
            assert_eq!(world.torn().await, Vec::<String>::new(), "torn after {calls} calls, killed {kill:?}");
            // Another process comes later, when nothing that the dead one claimed stands any more.
            clock.advance(PAST_EVERY_CLAIM);
            again(&replica(&world, &clock), &clock).await;
            assert_eq!(world.state().await, wanted, "after {calls} calls, killed {kill:?}");
            if done {
                break;
            }
            calls += 1;
        }
        assert!(calls > 3, "the sweep swept: {calls} calls");
    }
}

#[tokio::test]
async fn a_kill_anywhere_in_an_ingestion_loses_no_acknowledged_document_and_a_second_run_completes() {
    sweep(
        async |flow, world| {
            let (reports, ended) = ingest(flow, batch()).await;
            world.revive();
            let state = world.state().await;
            for (name, result) in reports {
                if let Ok(outcome) = result {
                    assert!(state.documents.contains_key(&name), "{name} was acknowledged as {outcome:?}");
                }
            }
            ended.is_ok()
        },
        async |flow, _| {
            flow.clean_up().await.unwrap();
            ingest(flow, batch()).await.1.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_kill_anywhere_in_a_deletion_leaves_the_document_whole_or_gone_and_a_second_one_completes() {
    sweep(
        async |flow, _| flow.delete(&id("changes.md")).await.is_ok(),
        async |flow, _| {
            flow.delete(&id("changes.md")).await.unwrap();
            flow.clean_up().await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_killed_deletion_left_is_purged_without_asking_again() {
    let (world, clock) = before().await;
    // The mark, the claim, the record's read, the note in the claim and the removal are answered; the purge is not.
    world.answer(5, Kill::Before);
    assert!(replica(&world, &clock).delete(&id("changes.md")).await.is_err());
    world.revive();
    assert!(!world.state().await.documents.contains_key("changes.md"), "it is invisible at once");
    assert!(!world.texts("changes.md").is_empty(), "its chunks are still there");
    assert_eq!(replica(&world, &clock).clean_up().await, Ok(0), "the dead claim still stands");
    world.keep_others_out(true);
    assert_eq!(replica(&world, &clock).clean_up().await, Ok(1), "unless nobody else can hold it");
    assert!(world.texts("changes.md").is_empty());
}

/// Works until no job is left.
async fn work(flow: &Ingest) -> bool {
    flow.work_once(&CancellationToken::new()).await.is_ok()
}

#[tokio::test]
async fn a_kill_anywhere_in_a_submission_keeps_every_job_that_was_accepted() {
    sweep(
        async |flow, world| {
            let accepted = flow.submit(batch()).await;
            world.revive();
            if let Ok(job) = &accepted {
                assert!(flow.job(job).await.unwrap().is_some());
            }
            accepted.is_ok()
        },
        async |flow, clock| {
            // Texts of a submission that died are removed once no submission can be that old.
            clock.advance(SignedDuration::from_hours(1));
            assert!(work(flow).await);
            ingest(flow, batch()).await.1.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_kill_anywhere_in_the_work_on_a_job_is_made_good_by_another_replica() {
    let jobs = std::sync::Mutex::new(None);
    sweep(
        async |flow, world| {
            let left = world.pause();
            let job = flow.submit(batch()).await.unwrap();
            *jobs.lock().unwrap() = Some(job);
            world.resume(left);
            work(flow).await
        },
        async |flow, clock| {
            clock.advance(SignedDuration::from_mins(5));
            assert!(work(flow).await);
            flow.clean_up().await.unwrap();
            let job = jobs.lock().unwrap().clone().unwrap();
            let progress = flow.job(&job).await.unwrap().unwrap();
            assert_eq!(progress.job.state, JobState::Done);
            assert_eq!(progress.job.chunks_done, progress.chunks_total);
            let failed = progress.job.documents.iter().filter(|d| d.error().is_some()).count();
            assert_eq!(failed, 1, "the broken one");
        },
    )
    .await;
}

#[tokio::test]
async fn a_document_of_which_only_the_commit_was_answered_is_not_written_twice() {
    let (world, clock) = before().await;
    assert_eq!(replica(&world, &clock).ingest(markdown("x.md", "text")).await.result, Ok(Outcome::Created));
    assert_eq!(replica(&world, &clock).ingest(markdown("x.md", "text")).await.result, Ok(Outcome::Unchanged));
}
