//! The worker of jobs, which can be told to pause, and which begins again when it breaks down.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::Ingest,
    ports::Sight,
    resilience::{TaskState, supervise},
};

/// The worker of jobs over one set of flows.
pub struct Jobs {
    ingest: Arc<Ingest>,
    stop: CancellationToken,
    sight: Arc<Sight>,
    state: watch::Sender<TaskState>,
    running: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

/// What the worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It takes jobs.
    Working,
    /// It was told to pause, or is just ending the window that it is at.
    Paused,
    /// It broke down, and begins again in a while.
    Ended,
}

impl Work {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

impl Jobs {
    /// A worker that has not begun, and ends with `stop`. That it ends by itself is seen by `sight`.
    pub fn new(ingest: Arc<Ingest>, stop: CancellationToken, sight: Arc<Sight>) -> Self {
        Self { ingest, stop, sight, state: watch::Sender::default(), running: Mutex::default() }
    }

    /// What the worker does now.
    pub fn work(&self) -> Work {
        match self.running.try_lock() {
            Ok(running) => match &*running {
                Some((stop, _)) if stop.is_cancelled() => Work::Paused,
                Some((_, worker)) if worker.is_finished() => Work::Ended,
                Some(_) => match *self.state.borrow() {
                    TaskState::Down { .. } => Work::Ended,
                    TaskState::Idle | TaskState::Up => Work::Working,
                },
                None => Work::Paused,
            },
            // Somebody is at it, which takes long only while a window is ended.
            Err(_) => Work::Paused,
        }
    }

    /// What failed and holds jobs up; none while nothing does.
    pub fn waits_for(&self) -> Option<String> {
        self.ingest.waits_for()
    }

    /// Works, unless it does already.
    pub async fn go_on(&self) {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(|(stop, worker)| stop.is_cancelled() || worker.is_finished()) {
            // A pause that was given up halfway, or a worker that is dead.
            end(&mut running).await;
        }
        running.get_or_insert_with(|| {
            let stop = self.stop.child_token();
            let (ingest, sight, inner) = (Arc::clone(&self.ingest), Arc::clone(&self.sight), stop.clone());
            let worker = move || {
                let alive = Alive::new(inner.clone(), Arc::clone(&sight));
                let work = Arc::clone(&ingest).run_jobs(inner.clone());
                async move {
                    let _alive = alive;
                    work.await;
                }
            };
            (stop.clone(), tokio::spawn(supervise("jobs", stop, self.state.clone(), worker)))
        });
    }

    /// Returns when nothing is written any more. Jobs are taken all the same, and wait.
    pub async fn pause(&self) {
        end(&mut *self.running.lock().await).await;
    }
}

/// A worker that works, until this is dropped, whatever made it end.
struct Alive {
    stop: CancellationToken,
    sight: Arc<Sight>,
}

impl Alive {
    fn new(stop: CancellationToken, sight: Arc<Sight>) -> Self {
        sight.answered(Timestamp::now());
        Self { stop, sight }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.sight.failed("ended", Timestamp::now());
        }
    }
}

async fn end(running: &mut Option<(CancellationToken, JoinHandle<()>)>) {
    if let Some((stop, worker)) = running.as_mut() {
        stop.cancel();
        if let Err(error) = worker.await {
            tracing::warn!(%error, "the worker of jobs ended unexpectedly; its job is taken up again");
        }
    }
    *running = None;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::poll;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble, eventually},
        ports::{Clock, Epoch, SystemClock},
    };

    fn jobs(sight: &Arc<Sight>) -> Jobs {
        jobs_by(sight, Arc::new(SystemClock))
    }

    fn jobs_by(sight: &Arc<Sight>, clock: Arc<dyn Clock>) -> Jobs {
        let (store, records) = (Arc::new(StoreDouble::default()), Arc::new(RecordsDouble::default()));
        let embedder = Arc::new(EmbedderDouble::default());
        let ingest = Arc::new(Ingest::new(store, records, embedder, clock, Epoch(1)));
        Jobs::new(ingest, CancellationToken::new(), Arc::clone(sight))
    }

    /// Breaks whoever asks it down, until it was asked twice.
    #[derive(Default)]
    struct BreakingClock(AtomicU32);

    impl Clock for BreakingClock {
        fn now(&self) -> Timestamp {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) >= 2, "it breaks down");
            Timestamp::now()
        }
    }

    #[tokio::test]
    async fn a_worker_that_breaks_down_is_seen_and_begins_again_by_itself() {
        let sight = Sight::new("jobs");
        let clock = Arc::<BreakingClock>::default();
        let jobs = jobs_by(&sight, Arc::<BreakingClock>::clone(&clock));
        let mut states = jobs.state.subscribe();
        jobs.go_on().await;
        for times in 1..=2 {
            states.wait_for(|state| *state == TaskState::Down { times }).await.unwrap();
            assert_eq!(jobs.work(), Work::Ended);
            assert_eq!(sight.last_seen().unwrap().cause.as_deref(), Some("ended"));
        }
        eventually("it works", async || clock.0.load(Ordering::SeqCst) > 2).await;
        assert_eq!(jobs.work(), Work::Working);
        assert!(sight.last_seen().unwrap().reachable);
        jobs.pause().await;
        assert_eq!(jobs.work(), Work::Paused);
    }

    #[tokio::test]
    async fn a_worker_that_nobody_told_to_end_is_seen_and_begun_again() {
        let sight = Sight::new("jobs");
        let jobs = jobs(&sight);
        jobs.go_on().await;
        let works = async || sight.last_seen().is_some_and(|seen| seen.reachable);
        eventually("it works", works).await;
        jobs.running.lock().await.as_ref().unwrap().1.abort();
        eventually("the worker is dead", async || jobs.work() == Work::Ended).await;
        eventually("and seen to be", async || sight.last_seen().unwrap().cause.as_deref() == Some("ended")).await;
        jobs.go_on().await;
        assert_eq!(jobs.work(), Work::Working);
        eventually("it works again", works).await;
        jobs.pause().await;
        assert!(sight.last_seen().unwrap().reachable, "one that was told to end is no failure");
    }

    #[tokio::test]
    async fn jobs_go_on_after_a_pause_that_was_given_up_halfway() {
        let jobs = jobs(&Sight::new("jobs"));
        assert_eq!(jobs.work(), Work::Paused);
        jobs.go_on().await;
        assert_eq!(jobs.work(), Work::Working);
        {
            let mut pause = Box::pin(jobs.pause());
            assert!(poll!(&mut pause).is_pending(), "the worker has not noticed yet");
        }
        assert_eq!(jobs.work(), Work::Paused);
        jobs.go_on().await;
        assert_eq!(jobs.work(), Work::Working);
        jobs.pause().await;
        assert_eq!(jobs.work(), Work::Paused);
    }
}
