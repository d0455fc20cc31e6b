//! What goes on in this process, for whoever looks after it: its parts, breakers, caches, jobs and live settings, what holds for all servers, and the change to another model.
//!
//! Filled by composition while the parts come up, shown by the management port. Looking costs nothing: no part is called, and what the stores hold is counted in the background.

mod certificates;
mod fleet;
mod jobs;
mod resident;
mod slow;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    certificates::{Expiries, Watched},
    fleet::{Block, Change, Changed, FleetError, FleetState, Known},
    jobs::{Jobs, Work},
    resident::Resident,
    slow::{SlowQuery, StageTime, is_slow, stages},
};
use crate::{
    config::LiveSettings,
    costs::{CostReport, Costs},
    generate::Providers,
    ports::{Cache, Changes, Epoch, Health, Index, Kind, Records, Sight, VectorStore, count_documents},
    resilience::{BreakerState, Guard},
};

/// How the vector store is called among the parts; the operator looks for this name.
pub const VECTOR_STORE: &str = "vector store";

/// How the records are called; the operator looks for this name, too.
pub const RECORDS: &str = "records";

/// How the cache that the replicas share is called. Where it fails, nothing else does.
pub const CACHE: &str = "cache";

/// Slow questions that are kept: enough to see a pattern on one screen.
const MOST_SLOW: usize = 20;

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<Handles>);

/// See [`Operations`].
struct Handles {
    boot: Uuid,
    started: Timestamp,
    live: LiveSettings,
    parts: Mutex<Vec<Arc<Sight>>>,
    providers: OnceLock<Arc<Providers>>,
    guards: Mutex<Vec<Arc<Guard>>>,
    cache: OnceLock<Arc<dyn Cache>>,
    database: Mutex<Option<LookAtDatabase>>,
    costs: OnceLock<Arc<Costs>>,
    certificates: Mutex<Expiries>,
    fleet: fleet::Handle,
    now: Mutex<Now>,
    slow: Mutex<VecDeque<SlowQuery>>,
}

/// Tells the connections of a database; none once it was let go of.
type LookAtDatabase = Box<dyn Fn() -> Option<Database> + Send + Sync>;

/// The connections to the database of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Database {
    /// That this server has open.
    pub open: u64,
    /// That it opens at most: its part of `limit`, at least 1 and at most 20.
    pub most: u32,
    /// That all servers may have together: what the database allowed when this server started, without those that are left to others.
    pub limit: u32,
    /// That share them, as the configuration says.
    pub servers: u32,
}

/// What changes with the epoch, or while it is searched.
#[derive(Default)]
struct Now {
    searched: Option<(Epoch, Arc<Jobs>)>,
    moving: Option<Moving>,
    counts: Counts,
}

/// How far the vectors of another embedding model are. Those of the previous one are searched meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Moving {
    /// The model that they are made with.
    pub model: String,
    /// Documents that were brought over.
    pub documents: u64,
    /// Documents that there are.
    pub of: u64,
}

/// What the stores held when they were last counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Documents that answers can come from.
    pub documents: u64,
    /// Jobs that are not finished.
    pub waiting: u64,
    /// Sessions that are remembered.
    pub sessions: u64,
    /// How often the corpus changed; counted from the start of the process where no other one can write to it. None before it was first known.
    pub corpus_version: Option<u64>,
    /// When all of these were last counted. None before that was done once.
    pub counted: Option<Timestamp>,
    /// Chunks of the epoch that is searched, and when they were counted. None before that was done once.
    pub chunks: Option<(u64, Timestamp)>,
    /// How the index was when they were counted, as far as the store tells.
    pub index: Option<Index>,
}

impl Operations {
    /// A process that begins now and follows these settings.
    pub fn new(live: LiveSettings) -> Self {
        let parts = live.sight().into_iter().cloned().collect();
        Self(Arc::new(Handles {
            boot: Uuid::new_v4(),
            started: Timestamp::now(),
            live,
            parts: Mutex::new(parts),
            providers: OnceLock::new(),
            guards: Mutex::default(),
            cache: OnceLock::new(),
            database: Mutex::default(),
            costs: OnceLock::new(),
            certificates: Mutex::default(),
            fleet: fleet::Handle::default(),
            now: Mutex::default(),
            slow: Mutex::default(),
        }))
    }

    /// Names this run of the process: counters begin anew with another one.
    pub fn boot(&self) -> Uuid {
        self.0.boot
    }

    /// When it began.
    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    /// What may change while the process runs.
    pub fn live(&self) -> &LiveSettings {
        &self.0.live
    }

    /// Where calls of the part of this name tell what they saw. There is one such place for each name, however often a part is made anew.
    pub fn sight(&self, name: &str) -> Arc<Sight> {
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parts.iter().find(|part| part.name() == name) {
            return Arc::clone(known);
        }
        let sight = Sight::new(name);
        parts.push(Arc::clone(&sight));
        sight
    }

    /// Each part, and how it was when it was last called.
    pub fn parts(&self) -> Vec<(String, Option<Health>)> {
        self.sights().iter().map(|part| (part.name().to_owned(), part.last_seen())).collect()
    }

    /// What calls of each part saw.
    pub fn sights(&self) -> Vec<Arc<Sight>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This part tells by itself what it sees.
    pub fn keep_part(&self, sight: Arc<Sight>) {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner).push(sight);
    }

    /// A question was slow.
    pub fn was_slow(&self, query: SlowQuery) {
        let mut slow = self.0.slow.lock().unwrap_or_else(PoisonError::into_inner);
        slow.truncate(MOST_SLOW - 1);
        slow.push_front(query);
    }

    /// The slow questions that ended last, the newest first.
    pub fn slow_queries(&self) -> Vec<SlowQuery> {
        self.0.slow.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// These providers write answers, until the process ends.
    pub fn keep_providers(&self, providers: Arc<Providers>) {
        if self.0.providers.set(Arc::clone(&providers)).is_ok() {
            self.0.parts.lock().unwrap_or_else(PoisonError::into_inner).extend(providers.sights().cloned());
        }
    }

    /// This service is called behind its breaker, until the process ends.
    pub fn keep_guard(&self, guard: Arc<Guard>) {
        self.0.guards.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
    }

    /// Each outside service, and where its breaker stands.
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        let mut breakers = self.0.providers.get().map_or_else(Vec::new, |providers| providers.breakers());
        let guards = self.0.guards.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.extend(guards.iter().map(|guard| (guard.name().to_owned(), guard.state())));
        breakers
    }

    /// Trusts the outside service of this name again; nothing where there is none.
    pub fn reset_breaker(&self, name: &str) {
        if let Some(providers) = self.0.providers.get() {
            providers.reset(name);
        }
        let guards = self.0.guards.lock().unwrap_or_else(PoisonError::into_inner);
        guards.iter().filter(|guard| guard.name() == name).for_each(|guard| guard.reset());
    }

    /// This cache is used, until the process ends.
    pub fn keep_cache(&self, cache: Arc<dyn Cache>) {
        self.0.cache.get_or_init(|| cache);
    }

    /// The cache, if there is one.
    pub fn cache(&self) -> Option<&Arc<dyn Cache>> {
        self.0.cache.get()
    }

    /// The records are in a database whose connections this tells; what was told of an earlier one is forgotten.
    pub fn keep_database(&self, look: impl Fn() -> Option<Database> + Send + Sync + 'static) {
        *self.0.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(look));
    }

    /// The connections to the database of the records; none where the records are elsewhere.
    pub fn database(&self) -> Option<Database> {
        self.0.database.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?()
    }

    /// What is spent is counted here, until the process ends.
    pub fn keep_costs(&self, costs: Arc<Costs>) {
        self.0.costs.get_or_init(|| costs);
    }

    /// What all replicas spent today, by what for and by whom, when it was last looked at; none before that.
    pub fn costs(&self) -> Option<CostReport> {
        self.0.costs.get()?.report()
    }

    /// This certificate expires then; nothing is known of it without a time.
    pub fn expires(&self, certificate: Watched, at: Option<Timestamp>) {
        self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner).note(certificate, at);
    }

    /// When certificates expire, as they were last looked at.
    pub fn certificates(&self) -> Expiries {
        self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This epoch is searched from now on, and this worker takes its jobs.
    pub fn searches(&self, epoch: Epoch, jobs: Arc<Jobs>) {
        self.change(|now| {
            if now.searched.as_ref().is_some_and(|(before, _)| *before != epoch) {
                now.counts.chunks = None;
            }
            now.searched = Some((epoch, jobs));
        });
    }

    /// The epoch that is searched, once one is.
    pub fn epoch(&self) -> Option<Epoch> {
        self.read(|now| now.searched.as_ref().map(|(epoch, _)| *epoch))
    }

    /// The worker of jobs, once there is one.
    pub fn jobs(&self) -> Option<Arc<Jobs>> {
        self.read(|now| now.searched.as_ref().map(|(_, jobs)| Arc::clone(jobs)))
    }

    /// Says how far the vectors of another model are.
    pub fn moves(&self, moving: Option<Moving>) {
        self.change(|now| now.moving = moving);
    }

    /// How far they are, while they are built.
    pub fn moving(&self) -> Option<Moving> {
        self.read(|now| now.moving.clone())
    }

    /// What the stores held when they were last counted.
    pub fn counts(&self) -> Counts {
        self.read(|now| now.counts)
    }

    /// Counts what the records hold. What cannot be counted stays as it was.
    pub async fn count(&self, records: &dyn Records, changes: &Changes) {
        let (documents, waiting, sessions, version) = futures::join!(
            count_documents(records),
            records.count(Kind::Waiting),
            records.count(Kind::Session),
            changes.count(),
        );
        let all = documents.is_ok() && waiting.is_ok() && version.is_ok();
        self.change(|Now { counts, .. }| {
            counts.documents = documents.unwrap_or(counts.documents);
            counts.waiting = waiting.unwrap_or(counts.waiting);
            counts.sessions = sessions.unwrap_or(counts.sessions);
            counts.corpus_version = version.ok().or(counts.corpus_version);
            counts.counted = if all { Some(Timestamp::now()) } else { counts.counted };
        });
    }

    /// Counts the chunks of an epoch. If they cannot be counted, their number stays as it was.
    pub async fn count_chunks(&self, vectors: &dyn VectorStore, epoch: Epoch) {
        let (chunks, index) = futures::join!(vectors.count(epoch), vectors.index(epoch));
        if let Ok(chunks) = chunks {
            self.change(|now| {
                // Another one may be searched since the count began.
                if now.searched.as_ref().is_none_or(|(searched, _)| *searched == epoch) {
                    now.counts.chunks = Some((chunks, Timestamp::now()));
                    now.counts.index = index.ok().flatten();
                }
            });
        }
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.0.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read<T>(&self, read: impl FnOnce(&Now) -> T) -> T {
        read(&self.0.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        ingest::Ingest,
        ports::{self, SystemClock},
    };

    #[tokio::test]
    async fn what_cannot_be_counted_stays_as_it_was() {
        let operations = Operations::new(LiveSettings::new(None));
        assert_eq!(operations.counts(), Counts::default());
        let (records, changes) = (Arc::<RecordsDouble>::default(), Changes::alone());
        for (kind, id) in [(Kind::Document, "a"), (Kind::Document, "b"), (Kind::Waiting, "c"), (Kind::Session, "d")] {
            records.put_if_absent(kind, id, json!({})).await.unwrap();
        }
        // A place for one that is being written for the first time, and a claim of one that is written again.
        records.put_if_absent(Kind::Document, "e", ports::place()).await.unwrap();
        for id in ["b", "e", "gone"] {
            records.put_if_absent(Kind::Claim, id, json!({})).await.unwrap();
        }
        changes.note().await.unwrap();
        operations.count(&*records, &changes).await;
        let counted = operations.counts();
        let expected = Counts { documents: 2, waiting: 1, sessions: 1, corpus_version: Some(1), ..counted };
        assert_eq!(counted, expected);
        assert!(counted.counted.is_some_and(|at| at <= Timestamp::now()) && counted.chunks.is_none());
        records.fail();
        changes.note().await.unwrap();
        operations.count(&*records, &changes).await;
        // Its time stays, too: it is that of the oldest figure.
        assert_eq!(operations.counts(), Counts { corpus_version: Some(2), ..counted });
    }

    #[tokio::test]
    async fn chunks_are_those_of_the_epoch_and_have_a_time_of_their_own() {
        let operations = Operations::new(LiveSettings::new(None));
        let vectors = StoreDouble::default();
        operations.count_chunks(&vectors, Epoch(1)).await;
        let counted = operations.counts();
        assert!(matches!(counted.chunks, Some((0, at)) if at <= Timestamp::now()), "{counted:?}");
        assert_eq!(counted.counted, None, "the records were not counted");
        vectors.fail();
        operations.count_chunks(&vectors, Epoch(1)).await;
        assert_eq!(operations.counts(), counted);
    }

    #[test]
    fn a_part_that_is_made_anew_is_seen_in_its_old_place() {
        let operations = Operations::new(LiveSettings::new(None));
        operations.sight("records").failed("unreachable", Timestamp::now());
        operations.sight("records").answered(Timestamp::now());
        let parts = operations.parts();
        let [(name, Some(seen))] = &parts[..] else { panic!("{parts:?}") };
        assert!(name == "records" && seen.reachable);
    }

    #[test]
    fn the_last_slow_questions_are_kept_the_newest_first() {
        let operations = Operations::new(LiveSettings::new(None));
        for number in 0..MOST_SLOW + 3 {
            let (request_id, took) = (number.to_string(), std::time::Duration::ZERO);
            operations.was_slow(SlowQuery {
                at: Timestamp::now(),
                request_id,
                outcome: "grounded",
                took,
                stages: vec![],
            });
        }
        let kept: Vec<_> = operations.slow_queries().into_iter().map(|query| query.request_id).collect();
        assert_eq!(kept, (3..MOST_SLOW + 3).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn chunks_of_an_epoch_that_is_not_searched_do_not_count() {
        let operations = Operations::new(LiveSettings::new(None));
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        let embedder = Arc::<EmbedderDouble>::default();
        let ingest = Arc::new(Ingest::new(store, records, embedder, Arc::new(SystemClock), Epoch(2)));
        let jobs = Jobs::new(ingest, CancellationToken::new(), Sight::new("jobs"));
        operations.searches(Epoch(2), Arc::new(jobs));
        operations.count_chunks(&StoreDouble::default(), Epoch(1)).await;
        assert_eq!(operations.counts().chunks, None);
    }
}
