//! What goes on beside the requests, over one set of flows: jobs, the threshold of a refusal, the removal of what is over, counts, and the change to another embedding model.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Source, moving::Mover};
use crate::{
    app::{App, Process},
    operations::Jobs,
    ports::{Epoch, SystemClock},
    retention::Retention,
    retrieve::Retrieve,
    snapshot,
};

/// Between two looks whether the collection changed so much that the threshold of a refusal is to be found anew.
const CALIBRATE: Duration = Duration::from_secs(10);

/// Between two passes that remove what was kept for long enough, and how much later than its time a document is removed.
const SWEEP: Duration = Duration::from_secs(10);

/// Between two looks for what a killed drill left; it takes room and is in nobody's way.
const CLEAR_DRILLS: Duration = Duration::from_secs(30);

/// Between two counts of what the records hold, for whoever looks at metrics and the status.
const COUNT: Duration = Duration::from_secs(2);

/// Between two counts of the chunks. A Qdrant looks at each of them for that, and every replica asks it.
const COUNT_CHUNKS: Duration = Duration::from_secs(30);

/// Between two times that what was spent is written down: as much of the report of costs is lost when the process crashes.
const KEEP_COSTS: Duration = Duration::from_secs(10);

/// Of these times one at which it is looked what all replicas spent: once a minute.
const LOOK_AT_COSTS: u32 = 6;

/// The tasks over one set of flows.
pub(super) struct Background {
    stop: CancellationToken,
    jobs: Arc<Jobs>,
    mover: Option<JoinHandle<()>>,
}

impl Background {
    pub(super) async fn begin(source: &Source, app: &App) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(forget(Arc::clone(&app.retention), stop.clone()));
        tokio::spawn(clear_drills(Arc::clone(&app.process), stop.clone()));
        tokio::spawn(calibrate(Arc::clone(&app.retrieve), stop.clone()));
        tokio::spawn(count(Arc::clone(&app.process), stop.clone()));
        tokio::spawn(count_chunks(Arc::clone(&app.process), app.epoch, stop.clone()));
        tokio::spawn(costs(Arc::clone(&app.process), stop.clone()));
        let operations = &app.process.operations;
        let jobs = Arc::new(Jobs::new(Arc::clone(&app.ingest), stop.clone(), operations.sight("jobs")));
        jobs.go_on().await;
        operations.searches(app.epoch, Arc::clone(&jobs));
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

/// Removes what was kept for long enough, a bounded number at a time. A pass that is cut short loses nothing.
async fn forget(retention: Arc<Retention>, stop: CancellationToken) {
    loop {
        let passed = tokio::select! {
            () = stop.cancelled() => return,
            passed = async { tokio::time::sleep(SWEEP).await; retention.pass().await } => passed,
        };
        if let Err(error) = passed {
            tracing::warn!(%error, "not all that was kept for long enough was removed; tried again later");
        }
    }
}

/// Removes what a killed drill left.
async fn clear_drills(process: Arc<Process>, stop: CancellationToken) {
    let mut ticks = interval(CLEAR_DRILLS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stores = &process.stores;
        let cleared = tokio::select! {
            () = stop.cancelled() => return,
            cleared = async {
                ticks.tick().await;
                snapshot::clear_drills(&*stores.vectors, &stores.records, Arc::new(SystemClock)).await
            } => cleared,
        };
        if let Err(error) = cleared {
            tracing::debug!(%error, "what a drill may have left was not removed; tried again later");
        }
    }
}

/// Counts what the records hold, so that nobody who looks has to.
async fn count(process: Arc<Process>, stop: CancellationToken) {
    let mut ticks = interval(COUNT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { ticks.tick().await; process.operations.count(&*process.stores.records, &process.changes).await } => {}
        }
    }
}

/// Counts the chunks of the epoch that is searched, for whoever looks at the status.
async fn count_chunks(process: Arc<Process>, epoch: Epoch, stop: CancellationToken) {
    let mut ticks = interval(COUNT_CHUNKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { ticks.tick().await; process.operations.count_chunks(&*process.stores.vectors, epoch).await } => {}
        }
    }
}

/// Writes down what was spent, and looks what all replicas spent.
async fn costs(process: Arc<Process>, stop: CancellationToken) {
    let mut ticks = interval(KEEP_COSTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        process.models.keep_costs().await;
        if tick.is_multiple_of(LOOK_AT_COSTS) {
            process.models.look_at_costs().await;
        }
        tick = tick.wrapping_add(1);
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
