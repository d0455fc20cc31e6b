//! Jobs: accepted, worked through, told.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    replicas::{held, permits, reached},
    world::{Kill, SetClock, World, ingest, long, markdown, replica, replica_with, world},
};
use crate::{
    doubles::eventually,
    ingest::{DocumentState, Format, JobId, JobState, MAX_DOCUMENTS, Source, SubmitError},
    model::{DocumentId, Outcome},
    ports::{Kind, Records},
};

fn id(text: &str) -> DocumentId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_job_ends_with_the_outcome_of_each_document() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("old.md", &long("pump")), markdown("same.md", "same")]).await.1.unwrap();
    let sources = vec![
        markdown("old.md", &long("valve")),
        markdown("same.md", "same"),
        markdown("empty.md", ""),
        markdown("big.md", &long("seal").repeat(600)),
    ];
    let id = flow.submit(sources).await.unwrap();
    let accepted = flow.job(&id).await.unwrap().unwrap();
    assert_eq!(accepted.job.state, JobState::Queued);
    assert!(world.count(Kind::Pending).await.unwrap() > 1, "its bytes wait in several records");
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let progress = flow.job(&id).await.unwrap().unwrap();
    let job = progress.job;
    let done = DocumentState::done;
    assert_eq!(job.state, JobState::Done);
    assert_eq!(job.documents[0].state, done(Outcome::Updated));
    assert_eq!(job.documents[1].state, done(Outcome::Unchanged));
    assert_eq!(job.documents[2].error().map(|e| e.class()), Some("empty"));
    assert_eq!(job.documents[3].state, done(Outcome::Created));
    assert_eq!(job.chunks_done, progress.chunks_total);
    assert_eq!(job.documents.iter().map(|d| u64::from(d.chunks)).sum::<u64>(), job.chunks_done);
    assert_eq!(job.bytes_done, job.bytes_total);
    let left = world.state().await.left;
    assert!(left.values().all(|n| *n == 0), "{left:?}");
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_job_writes_is_what_a_direct_ingestion_writes() {
    let docx = include_bytes!("../../../tests/fixtures/pandoc.docx");
    let sources = vec![
        markdown("a.md", &long("pump")),
        markdown("b.md", "no heading"),
        markdown("big.md", &long("seal").repeat(600)),
        Source::bytes("d.docx".parse().unwrap(), Format::Docx, docx.to_vec()),
        markdown("c.md", "# C\n\nc"),
    ];
    let (direct, _, flow) = world();
    ingest(&flow, sources.clone()).await.1.unwrap();
    let (by_job, _, flow) = world();
    flow.submit(sources).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(by_job.state().await, direct.state().await);
}

#[tokio::test]
async fn a_job_of_nothing_new_is_done_at_once_and_one_of_broken_documents_has_failed() {
    let (_, _, flow) = world();
    ingest(&flow, vec![markdown("a.md", "a")]).await.1.unwrap();
    let same = flow.submit(vec![markdown("a.md", "a")]).await.unwrap();
    assert_eq!(flow.job(&same).await.unwrap().unwrap().job.state, JobState::Done);
    let broken = flow.submit(vec![markdown("b.md", "")]).await.unwrap();
    assert_eq!(flow.job(&broken).await.unwrap().unwrap().job.state, JobState::Failed);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_its_reason() {
    let (_, _, flow) = world();
    assert_eq!(flow.submit(vec![]).await, Err(SubmitError::NoDocuments));
    let twice = vec![markdown("a", "1"), markdown("a", "2")];
    assert_eq!(flow.submit(twice).await, Err(SubmitError::SameDocumentTwice { id: "a".parse().unwrap() }));
    let many = (0..=MAX_DOCUMENTS).map(|n| markdown(&n.to_string(), "x")).collect();
    assert_eq!(flow.submit(many).await, Err(SubmitError::TooManyDocuments { documents: MAX_DOCUMENTS + 1 }));
}

#[tokio::test]
async fn a_tenant_that_fills_its_share_is_told_when_to_come_again_and_another_one_finds_room() {
    let (world, _, flow) = world();
    let first = flow.submit(vec![markdown("a.md", "1")]).await.unwrap();
    let record = world.get(Kind::Waiting, first.as_str()).await.unwrap().unwrap();
    let mut body = record.body;
    body["bytes"] = json!(256_u64 << 20);
    world.compare_and_set(Kind::Waiting, first.as_str(), record.version, body).await.unwrap();
    let refused = flow.submit(vec![markdown("b.md", "1")]).await;
    assert!(matches!(refused, Err(SubmitError::Busy { retry_after_seconds: 1.. })), "{refused:?}");
    assert_eq!(world.count(Kind::Waiting).await, Ok(1), "nothing is reserved for what was refused");
    assert_eq!(world.count(Kind::Pending).await, Ok(1));
    let other = Source { id: id("b.md").of(&"acme".parse().unwrap()), ..markdown("b.md", "1") };
    flow.submit(vec![other]).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    flow.submit(vec![markdown("b.md", "1")]).await.expect("there is room once something is done");
}

#[tokio::test]
async fn what_is_unchanged_is_answered_also_when_nothing_more_may_wait() {
    let (world, _, flow) = world();
    ingest(&flow, vec![markdown("a.md", "1")]).await.1.unwrap();
    let waits = flow.submit(vec![markdown("b.md", "1")]).await.unwrap();
    let record = world.get(Kind::Waiting, waits.as_str()).await.unwrap().unwrap();
    let mut body = record.body;
    body["bytes"] = json!(512_u64 << 20);
    world.compare_and_set(Kind::Waiting, waits.as_str(), record.version, body).await.unwrap();
    let same = flow.submit(vec![markdown("a.md", "1")]).await.unwrap();
    assert_eq!(flow.job(&same).await.unwrap().unwrap().job.state, JobState::Done);
}

#[tokio::test]
async fn what_is_kept_of_a_job_gets_less_while_it_is_worked_on() {
    let (world, clock, flow) = world();
    let large = |name: &str| {
        (0..40).map(|n| markdown(&format!("{name}{n}.md"), &long(&format!("{name}{n}")).repeat(30))).collect::<Vec<_>>()
    };
    let first = flow.submit(large("pump")).await.unwrap();
    clock.advance(SignedDuration::from_secs(1));
    flow.submit(large("valve")).await.unwrap();
    clock.advance(SignedDuration::from_secs(1));
    let kept = async || {
        let line = flow.line().await.unwrap();
        let records = world.list(Kind::Pending, first.as_str(), None, 100).await.unwrap().records.len();
        (records, line.iter().find(|queued| queued.id == first).unwrap().place.bytes)
    };
    let before = kept().await;
    // They take turns, so that two of these are turns of the first one.
    flow.work_turns(3, &CancellationToken::new()).await.unwrap();
    let after = kept().await;
    assert!(after.0 < before.0 && after.1 < before.1, "{before:?} {after:?}");
}

#[tokio::test]
async fn what_a_submission_has_written_is_left_alone_until_no_submission_can_be_that_old() {
    let (world, clock, flow) = world();
    let job = flow.submit(vec![markdown("a.md", &long("pump"))]).await.unwrap();
    let record = world.get(Kind::Job, job.as_str()).await.unwrap().unwrap();
    world.remove(Kind::Job, job.as_str(), record.version).await.unwrap();
    let stop = CancellationToken::new();
    clock.advance(SignedDuration::from_mins(14));
    flow.work_once(&stop).await.unwrap();
    assert_eq!(world.count(Kind::Pending).await, Ok(1), "its job may still come");
    world.put_if_absent(Kind::Job, job.as_str(), record.body.clone()).await.unwrap();
    flow.work_once(&stop).await.unwrap();
    assert_eq!(flow.job(&job).await.unwrap().unwrap().job.state, JobState::Done);

    let died = flow.submit(vec![markdown("b.md", &long("valve"))]).await.unwrap();
    let record = world.get(Kind::Job, died.as_str()).await.unwrap().unwrap();
    world.remove(Kind::Job, died.as_str(), record.version).await.unwrap();
    clock.advance(SignedDuration::from_mins(16));
    flow.work_once(&stop).await.unwrap();
    let left = world.state().await.left;
    assert!(left.values().all(|n| *n == 0), "{left:?}");
}

#[tokio::test]
async fn what_is_missing_of_a_job_fails_its_documents_and_no_other_one() {
    let (world, _, flow) = world();
    let job = flow.submit(vec![markdown("big.md", &long("seal").repeat(600)), markdown("b.md", "b")]).await.unwrap();
    let page = world.list(Kind::Pending, "", None, 1).await.unwrap();
    world.remove(Kind::Pending, &page.records[0].id, page.records[0].version).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = flow.job(&job).await.unwrap().unwrap().job;
    assert_eq!(job.documents[0].error().map(|e| e.class()), Some("store"));
    assert_eq!(job.documents[1].state, DocumentState::done(Outcome::Created));
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_survives_a_store_that_is_away_for_a_while_and_the_worker_stops_when_told() {
    let (world, _, flow) = world();
    let flow = Arc::new(flow);
    let stop = CancellationToken::new();
    let id = flow.submit(vec![markdown("a.md", &long("pump"))]).await.unwrap();
    world.answer(9, Kill::Before);
    let worker = tokio::spawn(Arc::clone(&flow).run_jobs(stop.clone()));
    eventually("the worker is held up", async || {
        let holds = world.pause() > 0;
        if holds {
            world.answer(0, Kill::Before);
        }
        !holds
    })
    .await;
    world.revive();
    let is_done = async || flow.job(&id).await.unwrap().unwrap().job.state == JobState::Done;
    eventually("the job ends once the store is back", is_done).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), worker).await.expect("the worker stops").unwrap();
}

#[tokio::test]
async fn two_replicas_share_the_jobs_and_each_is_done_once() {
    let (world, clock, flow) = world();
    let other = replica(&world, &clock);
    let mut jobs = Vec::new();
    for number in 0..6 {
        let sources =
            (0..5).map(|d| markdown(&format!("{number}/{d}.md"), &long(&format!("pump{number}-{d}")))).collect();
        jobs.push(flow.submit(sources).await.unwrap());
        clock.advance(SignedDuration::from_secs(1));
    }
    let stop = CancellationToken::new();
    let (a, b) = tokio::join!(flow.work_once(&stop), other.work_once(&stop));
    a.unwrap();
    b.unwrap();
    for id in jobs {
        let job = flow.job(&id).await.unwrap().unwrap().job;
        assert!(job.documents.iter().all(|d| d.state == DocumentState::done(Outcome::Created)), "{job:?}");
    }
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_replica_that_lost_its_job_to_another_one_works_on_none_of_its_documents() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let (slow, next) = (Arc::new(held()), Arc::new(held()));
    let late = replica_with(&world, &clock, Arc::clone(&slow));
    let large = markdown("a.md", &long("pump").repeat(120));
    let id = late.submit(vec![large, markdown("b.md", &long("valve"))]).await.unwrap();
    let late = tokio::spawn(async move { late.work_once(&CancellationToken::new()).await });
    reached(&slow).await;
    // It stands still for longer than it may, and another one takes the job over.
    clock.advance(SignedDuration::from_secs(31));
    let successor = replica_with(&world, &clock, Arc::clone(&next));
    let successor = tokio::spawn(async move { successor.work_once(&CancellationToken::new()).await });
    reached(&next).await;
    permits(&slow).add_permits(1000);
    late.await.unwrap().unwrap();
    assert!(world.chunks("b.md").is_empty(), "the next document is the other one's");
    permits(&next).add_permits(1000);
    successor.await.unwrap().unwrap();
    let job = replica(&world, &clock).job(&id).await.unwrap().unwrap().job;
    assert_eq!(job.state, JobState::Done);
    assert_eq!(world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_job_of_a_killed_process_is_taken_up_at_once_where_no_other_can_write() {
    let (world, clock, flow) = world();
    let id = flow.submit(vec![markdown("a.md", &long("pump"))]).await.unwrap();
    world.answer(12, Kill::Before);
    assert!(flow.work_once(&CancellationToken::new()).await.is_err());
    world.revive();
    let lease = world.get(Kind::Lease, &format!("job/{id}")).await.unwrap();
    assert!(lease.is_some(), "it was killed with the lease in its hands");
    let other = replica(&world, &clock);
    other.work_once(&CancellationToken::new()).await.unwrap();
    assert_ne!(
        other.job(&id).await.unwrap().unwrap().job.state,
        JobState::Done,
        "the lease stands for another replica"
    );
    world.keep_others_out(true);
    let alone = replica(&world, &clock);
    alone.work_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(alone.job(&id).await.unwrap().unwrap().job.state, JobState::Done);
}

#[tokio::test]
async fn pace_and_time_left_follow_from_the_chunks_that_are_done() {
    let (world, clock, flow) = world();
    let id = flow.submit(vec![markdown("a.md", &long("pump"))]).await.unwrap();
    let record = world.get(Kind::Job, id.as_str()).await.unwrap().unwrap();
    let mut body = record.body;
    body["state"] = json!("running");
    body["started_at"] = body["created_at"].clone();
    (body["bytes_total"], body["bytes_done"], body["chunks_done"]) = (json!(1000), json!(200), json!(20));
    world.compare_and_set(Kind::Job, id.as_str(), record.version, body).await.unwrap();
    clock.advance(SignedDuration::from_secs(10));
    let progress = flow.job(&id).await.unwrap().unwrap();
    assert_eq!((progress.chunks_per_second, progress.eta_seconds), (Some(2.0), Some(40)));
    assert_eq!(progress.chunks_total, 100, "as many to a byte as before");
}

#[test]
fn names_of_jobs_sort_by_time_and_nothing_else_is_one() {
    let id = |time: &str| JobId::new(time.parse().unwrap());
    assert!(id("2026-11-21T08:00:00Z") < id("2026-11-21T08:00:00.001Z"));
    assert!(id("2026-11-21T08:00:00Z").as_str().parse::<JobId>().is_ok());
    for wrong in ["", "x", "../etc", &"0".repeat(45)] {
        assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
    }
}
