//! Passes over doubles of the stores, with a clock that is set.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, SetClock, StoreDouble},
    generate::{SessionKey, Sessions},
    ingest::{Deleted, Format, IdempotencyKey, Patience, Source},
    model::{Answer, AnswerStatus, DocumentId, Explanation, Generation, Outcome},
    ports::{Epoch, Search, VectorStore, place},
};

const LIMITS: Limits = Limits {
    sessions: SignedDuration::from_hours(30 * 24),
    feedback: SignedDuration::from_hours(365 * 24),
    jobs: SignedDuration::from_hours(24),
    deletions: SignedDuration::ZERO,
};

/// Longer than a hold stands that nobody prolongs.
const PAST: SignedDuration = SignedDuration::from_secs(31);
const YEARS: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);

struct World {
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
    clock: Arc<SetClock>,
    removed: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl World {
    async fn new() -> Self {
        let world =
            Self { store: Arc::default(), records: Arc::default(), clock: Arc::default(), removed: Arc::default() };
        world.store.create_epoch(Epoch(1), 512).await.unwrap();
        world.store.activate(Epoch(1)).await.unwrap();
        world
    }

    fn ingest(&self) -> Arc<Ingest> {
        let (store, records, clock) = (Arc::clone(&self.store), Arc::clone(&self.records), Arc::clone(&self.clock));
        let embedder = Arc::<EmbedderDouble>::default();
        let patience = Patience { attempts: 1, ..Patience::default() };
        Arc::new(Ingest::new(store, records, embedder, clock, Epoch(1)).patience(patience))
    }

    /// A server.
    fn server(&self) -> Retention {
        let removed = Arc::clone(&self.removed);
        let (records, clock) = (Arc::clone(&self.records), Arc::clone(&self.clock));
        Retention::new(records, self.ingest(), clock, LIMITS).counted(move |kind, records| {
            *removed.lock().unwrap().entry(kind.as_str()).or_default() += records;
        })
    }

    async fn put(&self, kind: Kind, id: &str, body: Value) {
        self.records.put_if_absent(kind, id, body).await.unwrap();
    }

    async fn count(&self, kind: Kind) -> u64 {
        self.records.count(kind).await.unwrap()
    }

    fn removed(&self, kind: Kind) -> u64 {
        self.removed.lock().unwrap().get(kind.as_str()).copied().unwrap_or_default()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// So many opinions that were given now.
    async fn opinions(&self, count: usize) {
        for number in 0..count {
            self.put(Kind::Feedback, &format!("{number:05}"), json!({ "at": self.now() })).await;
        }
    }

    /// A job that was accepted now, and ended now or not.
    async fn job(&self, number: u32, state: &str) -> String {
        let id = format!("{:012x}-{number:032x}", self.now().as_millisecond());
        let finished = (state == "done").then(|| self.now());
        let body = json!({
            "id": id, "state": state, "documents": [], "chunks_done": 0, "created_at": self.now(), "started_at": null,
            "finished_at": finished, "error": null
        });
        self.put(Kind::Job, &id, body).await;
        id
    }
}

fn text(id: &str, text: &str) -> Source {
    Source::text(id.parse().unwrap(), Format::Text, text)
}

fn id(name: &str) -> DocumentId {
    name.parse().unwrap()
}

#[tokio::test]
async fn what_is_over_goes_what_is_not_stays_and_what_went_is_counted_by_kind() {
    let world = World::new().await;
    let sessions = Sessions::new(
        Arc::clone(&world.records) as _,
        Arc::clone(&world.clock) as _,
        std::time::Duration::from_secs(60),
    );
    let answer = Answer {
        id: uuid::Uuid::nil(),
        status: AnswerStatus::Grounded,
        text: "yes".to_owned(),
        citations: Vec::new(),
        sentences: Vec::new(),
        searched: 1,
        degraded: Vec::new(),
        explanation: Explanation::default(),
        generation: Generation::default(),
    };
    let [old, young] = ["old", "young"].map(|id| SessionKey::new("a", id).unwrap());
    sessions.remember(&old, "first", &answer).await.unwrap();
    world.opinions(2).await;
    let server = world.server();
    world.clock.advance(SignedDuration::from_secs(59));
    sessions.remember(&young, "second", &answer).await.unwrap();
    server.pass().await.unwrap();
    assert_eq!((world.count(Kind::Session).await, world.count(Kind::Feedback).await), (2, 2), "nothing is over");
    world.clock.advance(SignedDuration::from_secs(1));
    server.pass().await.unwrap();
    assert_eq!(sessions.get(&young).await.unwrap().unwrap().turns.len(), 1);
    assert_eq!((world.count(Kind::Session).await, world.removed(Kind::Session)), (1, 1));
    world.clock.advance(LIMITS.feedback);
    server.pass().await.unwrap();
    assert_eq!((world.count(Kind::Feedback).await, world.removed(Kind::Feedback)), (0, 2));
    assert_eq!(world.removed(Kind::Session), 2);
}

#[tokio::test]
async fn a_pass_removes_a_bounded_number_and_the_next_one_goes_on_also_in_another_process() {
    let world = World::new().await;
    world.opinions(2 * REMOVED_AT_ONCE + 7).await;
    world.clock.advance(LIMITS.feedback);
    for left in [REMOVED_AT_ONCE + 7, 7, 0] {
        world.server().pass().await.unwrap();
        assert_eq!(world.count(Kind::Feedback).await, left as u64);
        // Each process ends after its pass.
        world.clock.advance(PAST);
    }
    assert_eq!(world.removed(Kind::Feedback), 2 * REMOVED_AT_ONCE as u64 + 7);
}

#[tokio::test]
async fn a_pass_looks_at_a_bounded_number_and_the_last_record_has_its_turn_all_the_same() {
    let world = World::new().await;
    world.put(Kind::Feedback, "z", json!({ "at": world.now() })).await;
    world.clock.advance(LIMITS.feedback);
    world.opinions(2 * PAGE * PAGES).await;
    for (pass, left) in [1, 1, 0].into_iter().enumerate() {
        let given = world.records.given();
        world.server().pass().await.unwrap();
        assert!(world.records.given() - given <= PAGE * PAGES + 10, "pass {pass} looks at more");
        let last = world.records.get(Kind::Feedback, "z").await.unwrap();
        assert_eq!(usize::from(last.is_some()), left, "pass {pass}");
        world.clock.advance(PAST);
    }
}

#[tokio::test]
async fn of_several_processes_one_makes_passes() {
    let world = World::new().await;
    world.opinions(1).await;
    world.clock.advance(LIMITS.feedback);
    let other = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    let hold = other.take(Kind::Lease, LEASE, |_| Value::Null).await.unwrap().unwrap();
    let server = world.server();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 1);
    hold.give_back().await.unwrap();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 0);
}

#[tokio::test]
async fn what_cannot_be_read_stays_and_is_in_nobody_s_way() {
    let world = World::new().await;
    for kind in [Kind::Session, Kind::Feedback, Kind::Job, Kind::Idempotency, Kind::Deletion] {
        world.put(kind, "0", json!({ "at": "once upon a time" })).await;
    }
    world.opinions(3).await;
    world.clock.advance(LIMITS.feedback);
    world.server().pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 1);
    assert_eq!(world.count(Kind::Session).await + world.count(Kind::Deletion).await, 2);
}

#[tokio::test]
async fn a_kind_that_fails_is_said_and_the_next_pass_begins_where_it_was() {
    let world = World::new().await;
    world.opinions(3).await;
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.advance(LIMITS.feedback);
    world.records.die_after(4);
    assert!(server.pass().await.is_err());
    world.records.die_after(i64::MAX);
    world.clock.advance(PAST);
    server.pass().await.unwrap();
    assert_eq!((world.count(Kind::Feedback).await, world.removed(Kind::Feedback)), (0, 3));
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_by_years_removes_nothing_for_an_hour_and_then_a_bounded_number() {
    let world = World::new().await;
    world.opinions(REMOVED_AT_ONCE + 1).await;
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.set(YEARS);
    for _ in 0..3 {
        server.pass().await.unwrap();
        world.clock.advance(SignedDuration::from_secs(10));
    }
    assert_eq!(world.count(Kind::Feedback).await, REMOVED_AT_ONCE as u64 + 1);
    // Nobody set it back.
    world.clock.advance(SignedDuration::from_hours(1));
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 1);
}

#[tokio::test]
async fn a_server_that_starts_under_a_clock_that_is_years_ahead_rests_as_well() {
    let world = World::new().await;
    world.opinions(1).await;
    world.server().pass().await.unwrap();
    world.clock.set(YEARS);
    world.server().pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_right_again_costs_nothing() {
    let world = World::new().await;
    world.opinions(2).await;
    let done = world.job(1, "done").await;
    let server = world.server();
    for by in [-YEARS, SignedDuration::ZERO, YEARS] {
        world.clock.set(by);
        server.pass().await.unwrap();
        world.clock.advance(SignedDuration::from_hours(2));
        server.pass().await.unwrap();
    }
    assert_eq!(world.count(Kind::Feedback).await, 2);
    assert!(world.records.get(Kind::Job, &done).await.unwrap().is_some());
}

#[tokio::test]
async fn a_finished_job_goes_a_day_after_its_end_and_with_it_its_key_which_is_free_again() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let key = IdempotencyKey::new("sender", "k").unwrap();
    ingest.ingest(text("a.txt", "one")).await.result.unwrap();
    // It has its outcome from the start.
    let first = ingest.submit_once(&key, vec![text("a.txt", "one")]).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(23));
    server.pass().await.unwrap();
    assert_eq!(ingest.submit_once(&key, vec![text("a.txt", "one")]).await, Ok(first.clone()));
    world.clock.advance(SignedDuration::from_hours(1));
    server.pass().await.unwrap();
    assert!(ingest.job(&first).await.unwrap().is_none());
    assert_eq!(world.count(Kind::Idempotency).await, 0, "it takes no room");
    assert_eq!((world.removed(Kind::Job), world.removed(Kind::Idempotency)), (1, 1));
    assert_ne!(ingest.submit_once(&key, vec![text("a.txt", "two")]).await.unwrap(), first);
}

#[tokio::test]
async fn a_job_that_is_not_finished_stays_however_old_it_is_and_however_many_there_are() {
    let world = World::new().await;
    let waits = world.job(0, "queued").await;
    let mut done = Vec::new();
    for number in 1..=MOST_JOBS as u32 + 3 {
        done.push(world.job(number, "done").await);
    }
    world.server().pass().await.unwrap();
    // One too many for each that is not finished, too.
    assert_eq!(world.removed(Kind::Job), 4);
    for (number, job) in done.iter().enumerate() {
        assert_eq!(world.records.get(Kind::Job, job).await.unwrap().is_some(), number >= 4, "the oldest go");
    }
    world.clock.advance(SignedDuration::from_hours(48));
    while world.count(Kind::Job).await > 1 {
        let before = world.removed(Kind::Job);
        world.server().pass().await.unwrap();
        assert!((1..=REMOVED_AT_ONCE as u64).contains(&(world.removed(Kind::Job) - before)), "a bounded number");
        world.clock.advance(PAST);
    }
    assert!(world.records.get(Kind::Job, &waits).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_whose_job_is_forgotten_goes_after_a_day_and_no_other_key_does() {
    let world = World::new().await;
    let known = world.job(1, "running").await;
    let gone = world.job(2, "done").await;
    let standing = world.records.get(Kind::Job, &gone).await.unwrap().unwrap();
    world.records.remove(Kind::Job, &gone, standing.version).await.unwrap();
    for (key, job) in [("of-known", &known), ("of-gone", &gone)] {
        world.put(Kind::Idempotency, key, json!({ "request": "r", "job": job })).await;
    }
    let server = world.server();
    world.clock.advance(SignedDuration::from_hours(23));
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Idempotency).await, 2, "its job may still come");
    world.clock.advance(SignedDuration::from_hours(1));
    server.pass().await.unwrap();
    assert!(world.records.get(Kind::Idempotency, "of-known").await.unwrap().is_some());
    assert_eq!(world.count(Kind::Idempotency).await, 1);
}

#[tokio::test]
async fn marks_of_deletions_go_once_nothing_that_waits_is_older() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let job = ingest.submit(vec![text("a.txt", "text")]).await.unwrap();
    world.clock.advance(SignedDuration::from_mins(1));
    ingest.delete(&id("a.txt")).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(100));
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Deletion).await, 1, "a job waits that was accepted before it");
    leave(&world, job.as_str()).await;
    ingest.delete(&id("b.txt")).await.unwrap();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Deletion).await, 1, "a submission may be under way that began before the younger one");
    world.clock.advance(SignedDuration::from_hours(20));
    server.pass().await.unwrap();
    assert_eq!(
        world.count(Kind::Deletion).await,
        1,
        "so may a long run from the command line, which stands in no line"
    );
    world.clock.advance(SignedDuration::from_hours(5));
    server.pass().await.unwrap();
    assert_eq!((world.count(Kind::Deletion).await, world.removed(Kind::Deletion)), (0, 2));
}

#[tokio::test]
async fn marks_of_deletions_stay_for_as_long_as_a_snapshot_may_be_older() {
    let world = World::new().await;
    let limits = Limits { deletions: SignedDuration::from_hours(400 * 24), ..LIMITS };
    let retention = || {
        let (records, clock) = (Arc::clone(&world.records), Arc::clone(&world.clock));
        Retention::new(records, world.ingest(), clock, limits)
    };
    world.ingest().delete(&id("a.txt")).await.unwrap();
    for (hours, left) in [(399 * 24, 1), (25, 0)] {
        // A server that ran all the time: no jump of its clock.
        let server = retention();
        world.clock.advance(SignedDuration::from_hours(hours));
        server.pass().await.unwrap();
        assert_eq!(world.count(Kind::Deletion).await, left);
    }
}

/// A job leaves the line.
async fn leave(world: &World, job: &str) {
    let place = world.records.get(Kind::Waiting, job).await.unwrap().unwrap();
    world.records.remove(Kind::Waiting, job, place.version).await.unwrap();
}

#[tokio::test]
async fn a_mark_that_was_left_while_the_clock_was_wrong_stays_while_a_job_waits_that_is_older() {
    let world = World::new().await;
    let ingest = world.ingest();
    world.server().pass().await.unwrap();
    let job = ingest.submit(vec![text("a.txt", "text")]).await.unwrap();
    // By the wall clock the deletion is years older than the job.
    world.clock.set(-YEARS);
    ingest.delete(&id("a.txt")).await.unwrap();
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.set(YEARS);
    server.pass().await.unwrap();
    world.clock.advance(SignedDuration::from_hours(2));
    server.pass().await.unwrap();
    // Another process knows it from what the one before left.
    world.clock.advance(PAST);
    let other = world.server();
    other.pass().await.unwrap();
    assert_eq!(world.count(Kind::Deletion).await, 1, "the job would bring the document back");
    leave(&world, job.as_str()).await;
    world.clock.advance(SignedDuration::from_hours(25));
    other.pass().await.unwrap();
    assert_eq!(world.count(Kind::Deletion).await, 0);
}

#[tokio::test]
async fn a_document_goes_after_its_time_with_its_chunks_and_no_other_one_does() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let at = world.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    let until = |source| Source { expires_at: Some(at), ..source };
    ingest.ingest(until(text("short.txt", "snapshots are kept"))).await.result.unwrap();
    ingest.ingest(text("long.txt", "backups are kept")).await.result.unwrap();
    world.clock.advance(SignedDuration::from_mins(59));
    server.pass().await.unwrap();
    assert!(ingest.document(&id("short.txt")).await.unwrap().is_some());
    world.clock.advance(SignedDuration::from_mins(1));
    server.pass().await.unwrap();
    assert_eq!(ingest.document(&id("short.txt")).await, Ok(None));
    assert!(ingest.document(&id("long.txt")).await.unwrap().is_some());
    assert_eq!(world.removed(Kind::Document), 1);
    let dense = Some(vec![1.0; 512]);
    let all = Search { dense, limit: 10, ..Search::default() };
    assert_eq!(world.store.search(&all).await.unwrap().dense.len(), 1, "its chunks are gone");
    assert_eq!(world.count(Kind::Expiry).await + world.count(Kind::Claim).await + world.count(Kind::Deletion).await, 0);
    assert_eq!(ingest.ingest(text("short.txt", "snapshots are kept")).await.result, Ok(Outcome::Created));
}

#[tokio::test]
async fn a_document_that_got_another_time_or_none_or_that_is_written_just_now_stays() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let after = |hours| world.now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let until = |name: &str, at| Source { expires_at: at, ..text(name, name) };
    for (name, first, second) in [("later", Some(after(1)), Some(after(9))), ("for-good", Some(after(1)), None)] {
        assert_eq!(ingest.ingest(until(name, first)).await.result, Ok(Outcome::Created));
        assert_eq!(ingest.ingest(until(name, second)).await.result, Ok(Outcome::MetadataOnly));
        assert_eq!(ingest.ingest(until(name, second)).await.result, Ok(Outcome::Unchanged));
        assert_eq!(ingest.document(&id(name)).await.unwrap().unwrap().expires_at, second);
    }
    assert_eq!(world.count(Kind::Expiry).await, 1, "of times that do not hold any more nothing is left");
    ingest.ingest(until("in-work", Some(after(1)))).await.result.unwrap();
    let holds = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    world.clock.advance(SignedDuration::from_hours(2));
    let _writer = holds.take(Kind::Claim, "in-work", |_| json!({ "versions": [] })).await.unwrap().unwrap();
    server.pass().await.unwrap();
    for name in ["later", "for-good", "in-work"] {
        assert!(ingest.document(&id(name)).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(world.removed(Kind::Document), 0);
}

#[tokio::test]
async fn what_was_accepted_of_a_document_before_its_time_was_over_is_written_after_it() {
    let world = World::new().await;
    let ingest = world.ingest();
    let at = world.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    ingest.ingest(Source { expires_at: Some(at), ..text("a.txt", "old") }).await.result.unwrap();
    let job = ingest.submit(vec![text("a.txt", "new")]).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(2));
    world.server().pass().await.unwrap();
    assert_eq!(ingest.document(&id("a.txt")).await, Ok(None));
    let stop = tokio_util::sync::CancellationToken::new();
    let worker = tokio::spawn(Arc::clone(&ingest).run_jobs(stop.clone()));
    crate::doubles::eventually("the job is done", async || {
        ingest.job(&job).await.unwrap().unwrap().job.state.is_final()
    })
    .await;
    stop.cancel();
    worker.await.unwrap();
    assert!(ingest.document(&id("a.txt")).await.unwrap().is_some_and(|document| document.expires_at.is_none()));
}

#[tokio::test]
async fn what_is_noted_of_a_document_that_was_never_committed_or_is_deleted_goes() {
    let world = World::new().await;
    let ingest = world.ingest();
    let at = world.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    ingest.ingest(Source { expires_at: Some(at), ..text("deleted", "d") }).await.result.unwrap();
    assert_eq!(ingest.delete(&id("deleted")).await, Ok(Deleted::Gone));
    assert_eq!(world.count(Kind::Expiry).await, 0);
    world.put(Kind::Expiry, "000000000001/never", json!({})).await;
    world.put(Kind::Expiry, "000000000001/place", json!({})).await;
    world.put(Kind::Document, "place", place()).await;
    world.put(Kind::Expiry, "nonsense", json!({})).await;
    world.server().pass().await.unwrap();
    assert_eq!((world.count(Kind::Expiry).await, world.removed(Kind::Document)), (0, 0));
}

#[tokio::test]
async fn a_pass_that_dies_anywhere_while_it_removes_a_document_leaves_nothing_behind() {
    for calls in 0.. {
        let world = World::new().await;
        let ingest = world.ingest();
        let at = world.now().checked_add(SignedDuration::from_hours(1)).unwrap();
        ingest.ingest(Source { expires_at: Some(at), ..text("a.txt", "text") }).await.result.unwrap();
        world.clock.advance(SignedDuration::from_hours(2));
        world.records.die_after(calls);
        let ended = world.server().pass().await;
        world.records.die_after(i64::MAX);
        world.clock.advance(PAST);
        let next = world.ingest();
        world.server().pass().await.unwrap();
        next.clean_up().await.unwrap();
        world.clock.advance(PAST);
        world.server().pass().await.unwrap();
        assert_eq!(next.document(&id("a.txt")).await, Ok(None), "after {calls} calls");
        assert_eq!(world.store.count(Epoch(1)).await, Ok(0), "after {calls} calls");
        assert_eq!(world.count(Kind::Expiry).await + world.count(Kind::Claim).await, 0, "after {calls} calls");
        if ended.is_ok() {
            assert!(calls > 8, "the pass made only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_time_that_is_over_is_refused_document_by_document_and_one_that_passes_in_the_line_is_not() {
    let world = World::new().await;
    let ingest = world.ingest();
    let until = |name: &str, at| Source { expires_at: Some(at), ..text(name, name) };
    let report = ingest.ingest(until("past", world.now())).await;
    assert_eq!(report.result.unwrap_err().class(), "expired");
    let soon = world.now().checked_add(SignedDuration::from_secs(1)).unwrap();
    let job = ingest.submit(vec![until("past", world.now()), until("soon", soon)]).await.unwrap();
    let failed = ingest.job(&job).await.unwrap().unwrap().job.documents[0].error().map(|error| error.class());
    assert_eq!(failed, Some("expired"));
    world.clock.advance(SignedDuration::from_secs(2));
    let stop = tokio_util::sync::CancellationToken::new();
    let worker = tokio::spawn(Arc::clone(&ingest).run_jobs(stop.clone()));
    crate::doubles::eventually("the job is done", async || {
        ingest.job(&job).await.unwrap().unwrap().job.state.is_final()
    })
    .await;
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(ingest.document(&id("soon")).await.unwrap().unwrap().expires_at, Some(soon));
    world.server().pass().await.unwrap();
    assert_eq!(ingest.document(&id("soon")).await, Ok(None));
}
