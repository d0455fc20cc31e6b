//! The worker of jobs, which can be told to pause.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{ingest::Ingest, ports::Sight};

/// The worker of jobs over one set of flows.
pub struct Jobs {
    ingest: Arc<Ingest>,
    stop: CancellationToken,
    sight: Arc<Sight>,
    running: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

/// What the worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It takes jobs.
    Working,
    /// It was told to pause, or is just ending the window that it is at.
    Paused,
    /// It ended and nobody told it to.
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
        Self { ingest, stop, sight, running: Mutex::default() }
    }

    /// What the worker does now.
    pub fn work(&self) -> Work {
        match self.running.try_lock() {
            Ok(running) => match &*running {
                Some((stop, _)) if stop.is_cancelled() => Work::Paused,
                Some((_, worker)) if worker.is_finished() => Work::Ended,
                Some(_) => Work::Working,
                None => Work::Paused,
            },
            // Somebody is at it, which takes long only while a window is ended.
            Err(_) => Work::Paused,
        }
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
            let alive = Alive::new(stop.clone(), Arc::clone(&self.sight));
            let work = Arc::clone(&self.ingest).run_jobs(stop.clone());
            let worker = async move {
                let _alive = alive;
                work.await;
            };
            (stop, tokio::spawn(worker))
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
    use futures::poll;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble, eventually},
        ports::{Epoch, SystemClock},
    };

    fn jobs(sight: &Arc<Sight>) -> Jobs {
        let (store, records) = (Arc::new(StoreDouble::default()), Arc::new(RecordsDouble::default()));
        let embedder = Arc::new(EmbedderDouble::default());
        let ingest = Arc::new(Ingest::new(store, records, embedder, Arc::new(SystemClock), Epoch(1)));
        Jobs::new(ingest, CancellationToken::new(), Arc::clone(sight))
    }

    #[tokio::test]
    async fn a_worker_that_nobody_told_to_end_is_seen_and_begun_again() {
        let sight = Sight::new("jobs");
        let jobs = jobs(&sight);
        jobs.go_on().await;
        assert!(sight.last_seen().unwrap().reachable);
        jobs.running.lock().await.as_ref().unwrap().1.abort();
        eventually("the worker is dead", async || jobs.work() == Work::Ended).await;
        assert_eq!(sight.last_seen().unwrap().cause.as_deref(), Some("ended"));
        jobs.go_on().await;
        assert_eq!(jobs.work(), Work::Working);
        assert!(sight.last_seen().unwrap().reachable);
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
