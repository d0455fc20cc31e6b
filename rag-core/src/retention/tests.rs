//! Passes over doubles of the stores, with a clock that is set.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, SetClock, StoreDouble, answer, eventually},
    generate::{SessionKey, Sessions},
    ingest::{Deleted, Format, IdempotencyKey, Patience, Source},
    model::{DocumentId, Outcome},
    ports::{Epoch, Search, VectorStore, place},
};

mod clocks;
mod documents;
mod jobs;
mod marks;
mod passes;

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

    /// The time it will be in so many hours.
    fn in_hours(&self, hours: i64) -> Timestamp {
        self.now().checked_add(SignedDuration::from_hours(hours)).unwrap()
    }

    /// A pass of a process that does nothing else.
    async fn pass(&self) {
        self.server().pass().await.unwrap();
    }

    /// Does a job that was accepted.
    async fn work(&self, ingest: &Arc<Ingest>, job: &JobId) {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(Arc::clone(ingest).run_jobs(stop.clone()));
        let is_done = async || ingest.job(job).await.unwrap().unwrap().job.state.is_final();
        eventually("the job is done", is_done).await;
        stop.cancel();
        worker.await.unwrap();
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

impl Retention {
    /// Time passes, and then it makes a pass.
    async fn pass_after(&self, world: &World, by: SignedDuration) {
        world.clock.advance(by);
        self.pass().await.unwrap();
    }
}

fn text(id: &str, text: &str) -> Source {
    Source::text(id.parse().unwrap(), Format::Text, text)
}

/// A document that is kept until a time.
fn until(at: Timestamp, name: &str, words: &str) -> Source {
    Source { expires_at: Some(at), ..text(name, words) }
}

fn id(name: &str) -> DocumentId {
    name.parse().unwrap()
}
