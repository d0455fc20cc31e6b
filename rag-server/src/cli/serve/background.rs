//! What goes on beside the requests, over one set of flows: jobs, the threshold of a refusal, forgotten sessions, and the change to another embedding model.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Source, moving::Mover};
use crate::{app::App, generate::Answers, ingest::Ingest, retrieve::Retrieve};

/// Between two looks whether the collection changed so much that the threshold of a refusal is to be found anew.
const CALIBRATE: Duration = Duration::from_secs(10);

/// Between two pages of sessions that are looked through for forgotten ones.
const SWEEP: Duration = Duration::from_secs(10);

/// The tasks over one set of flows.
pub(super) struct Background {
    stop: CancellationToken,
    jobs: Arc<Jobs>,
    mover: Option<JoinHandle<()>>,
}

impl Background {
    pub(super) async fn begin(source: &Source, app: &App) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(forget_sessions(Arc::clone(&app.answers), stop.clone()));
        tokio::spawn(calibrate(Arc::clone(&app.retrieve), stop.clone()));
        let jobs = Arc::new(Jobs::new(Arc::clone(&app.ingest), stop.clone()));
        jobs.go_on().await;
        let mover = Mover::new(source, app).map(|mover| tokio::spawn(mover.run(Arc::clone(&jobs), stop.clone())));
        Self { stop, jobs, mover }
    }

    /// Ends everything, the running job after the window that it is at.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if let Some(mover) = self.mover
            && let Err(error) = mover.await
        {
            tracing::warn!(%error, "the change to another embedding model ended unexpectedly; it goes on at the next start");
        }
        self.jobs.pause().await;
    }
}

/// The worker of jobs, which can be told to pause.
pub(super) struct Jobs {
    ingest: Arc<Ingest>,
    stop: CancellationToken,
    running: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

impl Jobs {
    fn new(ingest: Arc<Ingest>, stop: CancellationToken) -> Self {
        Self { ingest, stop, running: Mutex::default() }
    }

    /// Works, unless it does already.
    pub(super) async fn go_on(&self) {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(|(stop, _)| stop.is_cancelled()) {
            // A pause that was given up halfway.
            end(&mut running).await;
        }
        running.get_or_insert_with(|| {
            let stop = self.stop.child_token();
            (stop.clone(), tokio::spawn(Arc::clone(&self.ingest).run_jobs(stop)))
        });
    }

    /// Returns when nothing is written any more. Jobs are taken all the same, and wait.
    pub(super) async fn pause(&self) {
        end(&mut *self.running.lock().await).await;
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

/// Removes sessions that nobody went on with, a page at a time.
async fn forget_sessions(answers: Arc<Answers>, stop: CancellationToken) {
    let Some(sessions) = answers.sessions() else { return };
    let mut after = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        after = match sessions.sweep(after.as_deref()).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "forgotten sessions were not removed; tried again later");
                None
            }
        };
    }
}

/// Keeps the threshold of a refusal fitting the collection.
async fn calibrate(retrieve: Arc<Retrieve>, stop: CancellationToken) {
    let mut ticks = interval(CALIBRATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let calibrated = tokio::select! {
            () = stop.cancelled() => return,
            calibrated = async { ticks.tick().await; retrieve.calibrate().await } => calibrated,
        };
        if let Err(error) = calibrated {
            tracing::debug!(%error, "the threshold was not calibrated; tried again later");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        ports::{Epoch, SystemClock},
    };

    #[tokio::test]
    async fn jobs_go_on_after_a_pause_that_was_given_up_halfway() {
        let (store, records) = (Arc::new(StoreDouble::default()), Arc::new(RecordsDouble::default()));
        let embedder = Arc::new(EmbedderDouble::default());
        let ingest = Arc::new(Ingest::new(store, records, embedder, Arc::new(SystemClock), Epoch(1)));
        let jobs = Jobs::new(ingest, CancellationToken::new());
        let works = async || jobs.running.lock().await.as_ref().is_some_and(|(stop, _)| !stop.is_cancelled());
        jobs.go_on().await;
        assert!(works().await);
        {
            let mut pause = Box::pin(jobs.pause());
            assert!(poll!(&mut pause).is_pending(), "the worker has not noticed yet");
        }
        assert!(!works().await);
        jobs.go_on().await;
        assert!(works().await);
        jobs.pause().await;
        assert!(!works().await);
    }
}
