//! One bad neighbour stops nobody: a document on which something breaks down, a job that takes long, a provider that is away.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::world::{HeldEmbedder, SetClock, World, ingest, long, markdown, replica, replica_with};
use crate::{
    doubles::eventually,
    ingest::{Content, DocumentState, Format, Ingest, Interrupted, Job, JobId, JobState, Source},
    model::Outcome,
    ports::{Clock, Kind, Records},
};

struct Stage {
    world: Arc<World>,
    clock: Arc<SetClock>,
    embedder: Arc<HeldEmbedder>,
}

impl Stage {
    fn with(embedder: HeldEmbedder) -> Self {
        Self { world: Arc::default(), clock: Arc::default(), embedder: Arc::new(embedder) }
    }

    fn replica(&self) -> Ingest {
        replica_with(&self.world, &self.clock, Arc::clone(&self.embedder))
    }
}

fn held(on: Option<&'static str>) -> HeldEmbedder {
    let hold = Some((tokio::sync::Semaphore::new(0), tokio::sync::Notify::new()));
    HeldEmbedder { hold, held_on: on, ..HeldEmbedder::default() }
}

fn of(tenant: &str, source: Source) -> Source {
    Source { id: source.id.of(&tenant.parse().unwrap()), ..source }
}

async fn job(flow: &Ingest, id: &JobId) -> Job {
    flow.job(id).await.unwrap().unwrap().job
}

async fn is_done(flow: &Ingest, id: &JobId) -> bool {
    job(flow, id).await.state == JobState::Done
}

const CREATED: DocumentState = DocumentState::done(Outcome::Created);

#[tokio::test]
async fn a_document_on_which_the_provider_breaks_down_fails_alone_after_its_tries_and_holds_up_nobody() {
    let stage = Stage::with(HeldEmbedder { breaks_on: Some("poison"), ..HeldEmbedder::default() });
    let stop = CancellationToken::new();
    let flow = stage.replica();
    let bad = flow.submit(vec![markdown("bad.md", "a poison pill")]).await.unwrap();
    let good = flow.submit(vec![markdown("good.md", &long("pump"))]).await.unwrap();
    flow.work_once(&stop).await.unwrap();
    assert!(is_done(&flow, &good).await);
    let mut tries = 1;
    assert_eq!(job(&flow, &bad).await.documents[0].tries, tries);
    flow.work_once(&stop).await.unwrap();
    assert_eq!(job(&flow, &bad).await.documents[0].tries, tries, "not before its time");
    let error = loop {
        stage.clock.advance(SignedDuration::from_mins(8));
        // Its tries are counted over restarts and by all replicas together.
        let flow = stage.replica();
        flow.work_once(&stop).await.unwrap();
        let job = job(&flow, &bad).await;
        match job.documents[0].error() {
            Some(error) => break error.clone(),
            None => tries += 1,
        }
        assert_eq!((job.documents[0].tries, job.state), (tries, JobState::Running));
    };
    assert_eq!(tries, 5, "the sixth was the last one");
    assert_eq!(error.class(), "provider");
    assert!(error.to_string().contains("status 500; tries: 6"), "{error}");
    assert_eq!(job(&flow, &bad).await.state, JobState::Failed);
    let state = stage.world.state().await;
    assert!(state.left.values().all(|left| *left == 0), "{:?}", state.left);
}

#[tokio::test]
async fn documents_beside_the_one_that_fails_are_done_at_once_also_in_its_own_job() {
    let stage = Stage::with(HeldEmbedder { breaks_on: Some("poison"), ..HeldEmbedder::default() });
    let flow = stage.replica();
    let poisoned = format!("{}\n\na poison pill\n\n{}", long("seal"), long("seal"));
    let sources = vec![markdown("a.md", "a"), markdown("bad.md", &poisoned), markdown("b.md", &long("pump"))];
    let id = flow.submit(sources).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = job(&flow, &id).await;
    let states: Vec<_> = job.documents.iter().map(|document| document.state.clone()).collect();
    assert_eq!(states, [CREATED, DocumentState::Queued, CREATED]);
    assert!(stage.world.texts("bad.md").is_empty(), "nothing of it is stored");
}

#[tokio::test]
async fn the_command_line_says_of_one_document_that_the_provider_fails_on_it_and_ingests_the_others() {
    let stage = Stage::with(HeldEmbedder { breaks_on: Some("poison"), ..HeldEmbedder::default() });
    let sources = vec![markdown("a.md", "a"), markdown("bad.md", "a poison pill"), markdown("b.md", "b")];
    let (reports, ended) = ingest(&stage.replica(), sources).await;
    ended.unwrap();
    assert_eq!(reports["bad.md"], Err("provider".to_owned()));
    assert_eq!((&reports["a.md"], &reports["b.md"]), (&Ok(Outcome::Created), &Ok(Outcome::Created)));
}

#[tokio::test]
async fn an_outage_of_the_provider_fails_nothing_and_everything_is_done_after_it() {
    let stage = Stage::with(HeldEmbedder::default());
    let (stop, flow) = (CancellationToken::new(), stage.replica());
    stage.embedder.is_down.store(true, Ordering::SeqCst);
    let mut jobs = Vec::new();
    for number in 0..3 {
        jobs.push(flow.submit(vec![markdown(&format!("{number}.md"), &long("pump"))]).await.unwrap());
    }
    let mut interruptions = 0;
    for _ in 0..22 {
        stage.clock.advance(SignedDuration::from_hours(1));
        while let Err(Interrupted::Embed(_)) = flow.work_once(&stop).await {
            interruptions += 1;
        }
    }
    assert_eq!(interruptions, 22 * 3, "each was tried each time, and had to wait after that");
    for id in &jobs {
        let document = &job(&flow, id).await.documents[0];
        assert_eq!((&document.state, document.tries), (&DocumentState::Queued, 0));
    }
    stage.embedder.is_down.store(false, Ordering::SeqCst);
    stage.clock.advance(SignedDuration::from_mins(1));
    flow.work_once(&stop).await.unwrap();
    for id in &jobs {
        assert!(is_done(&flow, id).await);
    }
    assert_eq!(stage.world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_says_what_it_waits_for_until_it_goes_on() {
    let stage = Stage::with(HeldEmbedder::default());
    let (stop, flow) = (CancellationToken::new(), Arc::new(stage.replica()));
    stage.embedder.is_down.store(true, Ordering::SeqCst);
    let id = flow.submit(vec![markdown("a.md", "a")]).await.unwrap();
    let worker = tokio::spawn(Arc::clone(&flow).run_jobs(stop.clone()));
    let waits_for = async || flow.job(&id).await.unwrap().unwrap().waits_for;
    eventually("it says so", async || waits_for().await.is_some()).await;
    assert!(waits_for().await.unwrap().starts_with("the embedding model"));
    assert_eq!(flow.waits_for(), waits_for().await);
    stage.embedder.is_down.store(false, Ordering::SeqCst);
    stage.clock.advance(SignedDuration::from_mins(1));
    eventually("it is done", async || is_done(&flow, &id).await).await;
    assert_eq!(waits_for().await, None, "what is done waits for nothing");
    eventually("the worker knows it, too", async || flow.waits_for().is_none()).await;
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_job_whose_turns_come_to_nothing_for_a_day_fails_with_the_reason() {
    let stage = Stage::with(HeldEmbedder::default());
    let (stop, flow) = (CancellationToken::new(), stage.replica());
    stage.embedder.is_down.store(true, Ordering::SeqCst);
    let id = flow.submit(vec![markdown("a.md", "a")]).await.unwrap();
    stage.clock.advance(SignedDuration::from_hours(48));
    flow.work_once(&stop).await.unwrap_err();
    assert_eq!(job(&flow, &id).await.state, JobState::Running, "that nobody had time for it does not count");
    stage.clock.advance(SignedDuration::from_hours(24));
    flow.work_once(&stop).await.unwrap_err();
    let job = job(&flow, &id).await;
    assert_eq!(job.state, JobState::Failed);
    let error = job.error.unwrap();
    assert!(error.starts_with("it was held up for a day") && error.contains("status 500"), "{error}");
    let left = stage.world.state().await.left;
    assert!([Kind::Waiting, Kind::Pending].iter().all(|kind| left[kind] == 0), "{left:?}");
}

#[tokio::test]
async fn a_large_job_gives_way_to_the_job_of_another_tenant_and_of_its_own() {
    let stage = Stage::with(HeldEmbedder::default());
    let (stop, flow) = (CancellationToken::new(), stage.replica());
    let documents = (0..60).map(|n| markdown(&format!("{n}.md"), &long(&format!("pump{n}")).repeat(8))).collect();
    let large = flow.submit(documents).await.unwrap();
    stage.clock.advance(SignedDuration::from_secs(1));
    let other = flow.submit(vec![of("acme", markdown("a.md", "a"))]).await.unwrap();
    let own = flow.submit(vec![markdown("own.md", "own")]).await.unwrap();
    stage.clock.advance(SignedDuration::from_secs(1));
    flow.work_turns(3, &stop).await.unwrap();
    assert!(is_done(&flow, &other).await && is_done(&flow, &own).await);
    let halfway = job(&flow, &large).await;
    let done = halfway.documents.iter().filter(|document| document.state == CREATED).count();
    assert!((1..60).contains(&done), "{done} of 60");
    flow.work_once(&stop).await.unwrap();
    assert!(is_done(&flow, &large).await);
    assert_eq!(stage.world.torn().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_that_waits_for_its_provider_holds_up_no_other_one() {
    let stage = Stage::with(held(Some("slow")));
    let (stop, flow) = (CancellationToken::new(), Arc::new(stage.replica()));
    let slow = flow.submit(vec![markdown("slow.md", "a slow text")]).await.unwrap();
    let worker = tokio::spawn(Arc::clone(&flow).run_jobs(stop.clone()));
    let (permits, reached) = stage.embedder.hold.as_ref().unwrap();
    reached.notified().await;
    let own = flow.submit(vec![markdown("own.md", "own")]).await.unwrap();
    let other = flow.submit(vec![of("acme", markdown("a.md", "a"))]).await.unwrap();
    let both = async || is_done(&flow, &own).await && is_done(&flow, &other).await;
    eventually("both are done while the first one waits", both).await;
    assert!(!is_done(&flow, &slow).await);
    permits.add_permits(10);
    eventually("and so is the first one in the end", async || is_done(&flow, &slow).await).await;
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_job_that_breaks_its_task_down_waits_and_the_others_are_done() {
    let stage = Stage::with(HeldEmbedder { panics_on: Some("a title that breaks"), ..HeldEmbedder::default() });
    let (stop, flow) = (CancellationToken::new(), Arc::new(stage.replica()));
    // The title comes with the request, so that it is first looked at when the chunk is written.
    let bad = Source { title: Some("a title that breaks".to_owned()), ..markdown("bad.md", "text") };
    let bad = flow.submit(vec![bad]).await.unwrap();
    let good = flow.submit(vec![markdown("good.md", "good")]).await.unwrap();
    let worker = tokio::spawn(Arc::clone(&flow).run_jobs(stop.clone()));
    eventually("the other one is done", async || is_done(&flow, &good).await).await;
    let held_up =
        async || flow.line().await.unwrap().iter().any(|queued| queued.id == bad && queued.place.held_up.is_some());
    eventually("the one that breaks it down waits", held_up).await;
    assert!(!worker.is_finished());
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_reader_that_breaks_down_fails_its_document_alone_and_after_the_request() {
    let stage = Stage::with(HeldEmbedder { panics_on: Some("poison"), ..HeldEmbedder::default() });
    let flow = stage.replica();
    let sources = || vec![markdown("a.md", "a"), markdown("bad.md", "a poison pill"), markdown("b.md", "b")];
    let id = flow.submit(sources()).await.expect("nothing is cut in the request");
    assert!(job(&flow, &id).await.documents.iter().all(|document| document.state == DocumentState::Queued));
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = job(&flow, &id).await;
    assert_eq!(job.documents[1].error().map(|error| error.class()), Some("malformed"));
    assert_eq!((&job.documents[0].state, &job.documents[2].state), (&CREATED, &CREATED));
    let (reports, ended) = ingest(&flow, sources()).await;
    ended.unwrap();
    assert_eq!(reports["bad.md"], Err("malformed".to_owned()), "from the command line, too");
}

#[tokio::test]
async fn a_lease_is_prolonged_while_its_job_is_worked_on() {
    let stage = Stage::with(held(None));
    let flow = Arc::new(stage.replica().beating_each(std::time::Duration::from_millis(2)));
    let id = flow.submit(vec![markdown("a.md", &long("pump").repeat(120))]).await.unwrap();
    let worker = tokio::spawn({
        let flow = Arc::clone(&flow);
        async move { flow.work_once(&CancellationToken::new()).await }
    });
    let (permits, reached) = stage.embedder.hold.as_ref().unwrap();
    let idle = Arc::<HeldEmbedder>::default();
    let other = replica_with(&stage.world, &stage.clock, Arc::clone(&idle));
    let mut passed = SignedDuration::ZERO;
    loop {
        tokio::select! {
            () = reached.notified() => {}
            () = eventually("it ends", async || worker.is_finished()) => break,
        }
        stage.clock.advance(SignedDuration::from_secs(6));
        passed += SignedDuration::from_secs(6);
        // The heart beats by a clock of its own, and writes what the clock of the world says.
        let stands_for_longer = async || {
            let lease = Records::get(&*stage.world, Kind::Lease, &format!("job/{id}")).await.unwrap();
            let until = lease.and_then(|lease| lease.body["until"].as_str()?.parse::<jiff::Timestamp>().ok());
            worker.is_finished()
                || until.is_some_and(|until| until.duration_since(Clock::now(&*stage.clock)).as_secs() > 24)
        };
        eventually("the lease is prolonged", stands_for_longer).await;
        other.work_once(&CancellationToken::new()).await.unwrap();
        assert_eq!(idle.calls.load(Ordering::SeqCst), 0, "it was taken over after {passed:?}");
        permits.add_permits(1);
    }
    worker.await.unwrap().unwrap();
    assert!(passed > SignedDuration::from_secs(60), "it took longer than a lease: {passed:?}");
    assert!(is_done(&flow, &id).await);
}

/// Whether the endless script is still read.
static IS_READ: AtomicBool = AtomicBool::new(false);

struct Endless;

impl std::io::Read for Endless {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        IS_READ.store(true, Ordering::SeqCst);
        std::io::repeat(b'x').read(room)
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        IS_READ.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn cutting_ends_when_nobody_wants_the_chunks_any_more() {
    let flow = replica(&Arc::<World>::default(), &Arc::<SetClock>::default());
    // A script gives no chunk, however long it is.
    let content = Content::Generated(1, || Box::new((&b"<script>"[..]).chain(Endless)));
    let source = Source { content, ..Source::text("a.html".parse().unwrap(), Format::Html, "") };
    let inspected = crate::ingest::read::Inspected { version: crate::model::ContentHash(String::new()), bytes: 1 };
    let cuts = flow.cut(source, inspected);
    eventually("it is read", async || IS_READ.load(Ordering::SeqCst)).await;
    drop(cuts);
    eventually("reading ends", async || !IS_READ.load(Ordering::SeqCst)).await;
}
