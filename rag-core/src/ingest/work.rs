//! Works through jobs: a few at a time in each replica, each under a hold, so that replicas share the jobs and take over those of a dead one.
//!
//! Guarantees: a job is never lost; an error that may pass is waited for, by the job that it befell; a job that breaks its task down costs the others nothing.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Ingest, Interrupted,
    jobs::{Job, JobId, job_of},
    line::Queued,
    pick::{PLACES, Turns, pick},
    tries::HeldUp,
    working::{Turn, Working},
};
use crate::ports::{EmbedError, Hold, Kind, Payer, StoreError};

/// Pause between two rounds of cleaning up.
pub(super) const CLEANING: Duration = Duration::from_secs(60);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Age after which a place in the line without a job was left by a submission that died.
const ORPHAN: SignedDuration = SignedDuration::from_mins(15);

impl Ingest {
    /// Works through jobs until `stop`; ends after the windows in work.
    pub async fn run_jobs(self: Arc<Self>, stop: CancellationToken) {
        let mut worker = Worker::new(Arc::clone(&self), stop.clone());
        while !stop.is_cancelled() {
            let wait = worker.fill().await;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = worker.tasks.join_next_with_id(), if !worker.tasks.is_empty() => worker.ended(ended).await,
                () = self.submitted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while let Some(ended) = worker.tasks.join_next_with_id().await {
            worker.ended(ended).await;
        }
    }

    /// Works through what is due just now.
    #[cfg(test)]
    pub(super) async fn work_once(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        self.tidy().await.map_err(Interrupted::Store)?;
        self.work_turns(usize::MAX, stop).await
    }

    /// Gives so many turns, one after the other.
    #[cfg(test)]
    pub(super) async fn work_turns(&self, most: usize, stop: &CancellationToken) -> Result<(), Interrupted> {
        let mut turns = Turns::default();
        for _ in 0..most {
            let next = self.next_job(&turns).await.map_err(Interrupted::Store)?;
            let Some((queued, job, hold)) = next else { break };
            turns.begin(&queued);
            let id = queued.id.clone();
            self.turn(queued, job, hold, stop).await?;
            turns.end(&id);
        }
        Ok(())
    }

    /// The job that is next, and the hold on it; none while nobody has anything to do.
    async fn next_job(&self, turns: &Turns) -> Result<Option<(Queued, Job, Hold)>, StoreError> {
        let mut line = self.line().await?;
        while let Some(next) = pick(&line, turns, self.clock.now()) {
            let queued = line.swap_remove(next);
            if let Some((job, hold)) = self.take_up(&queued.id).await? {
                return Ok(Some((queued, job, hold)));
            }
        }
        Ok(None)
    }

    /// Takes a job up, unless another replica has it.
    async fn take_up(&self, id: &JobId) -> Result<Option<(Job, Hold)>, StoreError> {
        let record = self.patiently(|| self.records.get(Kind::Job, id.as_str())).await?;
        let Some(record) = record else {
            // Its submission is still at it, or died.
            if self.clock.now().duration_since(id.submitted()) >= ORPHAN {
                self.put_away(id).await?;
            }
            return Ok(None);
        };
        let job = job_of(id.as_str(), record.body)?;
        Ok(self.hold_job(id).await?.map(|hold| (job, hold)))
    }

    /// Whether another job could be worked on.
    pub(super) async fn others_wait(&self, id: &JobId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        Ok(self.line().await?.iter().any(|queued| queued.id != *id && queued.place.is_due(now)))
    }

    /// One turn of a job, and what follows from how it ended.
    async fn turn(
        &self,
        mut queued: Queued,
        job: Job,
        hold: Hold,
        stop: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut working = Working::new(self, job, hold);
        let ended = Payer::ingestion(queued.place.tenant.clone()).pays(working.run(stop)).await;
        if ended == Err(Interrupted::Outdated) {
            // Whoever writes to the other epoch need not wait until the claims end.
            working.writer.cancel().await?;
        }
        let (achieved, hold) = (working.achieved, working.into_hold());
        queued.place.give_back(achieved.given_back);
        match ended {
            Ok(Turn::Finished) => {
                self.let_go(&hold).await.map_err(Interrupted::Store)?;
                self.put_away(&queued.id).await.map_err(Interrupted::Store)
            }
            Ok(Turn::Stopped) | Err(Interrupted::Outdated | Interrupted::Embed(EmbedError::Stopping)) => {
                self.let_go(&hold).await.map_err(Interrupted::Store)
            }
            Ok(Turn::GaveWay) => self.stand_again(queued, hold, None).await.map_err(Interrupted::Store),
            Ok(Turn::Waits(until)) => self.stand_again(queued, hold, Some(until)).await.map_err(Interrupted::Store),
            Err(Interrupted::Store(error @ (StoreError::Corrupt { .. } | StoreError::Refused { .. }))) => {
                tracing::error!(job = %queued.id, %error, "the job cannot be worked on and fails");
                self.fail(&queued.id, &error.to_string()).await.map_err(Interrupted::Store)?;
                self.let_go(&hold).await.map_err(Interrupted::Store)
            }
            Err(interrupted) => {
                if achieved.outcomes {
                    queued.place.held_up = None;
                }
                self.hold_up(queued, &interrupted).await.map_err(Interrupted::Store)?;
                self.let_go(&hold).await.map_err(Interrupted::Store)?;
                Err(interrupted)
            }
        }
    }

    /// Puts a job back into the line, behind those that have waited for longer.
    async fn stand_again(&self, mut queued: Queued, hold: Hold, until: Option<Timestamp>) -> Result<(), StoreError> {
        let place = &mut queued.place;
        (place.since, place.until, place.held_up) = (self.clock.now(), until, None);
        self.move_in_line(&queued).await?;
        self.let_go(&hold).await
    }

    /// Lets a job wait whose turn was interrupted, and gives it up where that has gone on for too long.
    async fn hold_up(&self, mut queued: Queued, why: &Interrupted) -> Result<(), StoreError> {
        let (now, place) = (self.clock.now(), &mut queued.place);
        let held_up = HeldUp::again(place.held_up, now);
        if held_up.is_over(now) {
            tracing::error!(job = %queued.id, error = %why, "the job was held up for a day and fails");
            return self.fail(&queued.id, &format!("it was held up for a day: {why}")).await;
        }
        (place.since, place.until, place.held_up) = (now, Some(held_up.until(now)), Some(held_up));
        self.move_in_line(&queued).await
    }

    async fn fail(&self, id: &JobId, why: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.change_job(id, |job| job.fail(why, now)).await?;
        self.put_away(id).await
    }

    /// Removes what is left of a job that is finished, or whose submission died.
    ///
    /// The place goes last: whoever finds it gets here, so that nothing is left behind.
    async fn put_away(&self, id: &JobId) -> Result<(), StoreError> {
        self.drop_kept(id).await?;
        self.leave_line(id).await
    }

    async fn hold_job(&self, id: &JobId) -> Result<Option<Hold>, StoreError> {
        self.holds.take(Kind::Lease, &format!("job/{id}"), |_| serde_json::Value::Null).await
    }

    async fn let_go(&self, hold: &Hold) -> Result<(), StoreError> {
        hold.give_back().await.map(drop)
    }
}

/// Gives turns to jobs, each a task of its own.
struct Worker {
    ingest: Arc<Ingest>,
    stop: CancellationToken,
    turns: Turns,
    tasks: JoinSet<Result<(), Interrupted>>,
    jobs: HashMap<Id, Queued>,
    /// Pause after the next failure.
    pause: Duration,
    /// No turn begins before, since turns failed.
    rests_until: Option<Instant>,
    cleaned: Option<Instant>,
}

impl Worker {
    fn new(ingest: Arc<Ingest>, stop: CancellationToken) -> Self {
        let pause = ingest.patience.first;
        Self {
            ingest,
            stop,
            turns: Turns::default(),
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            pause,
            rests_until: None,
            cleaned: None,
        }
    }

    /// Begins turns while there is room and something is due; says how long until it is to be asked again.
    async fn fill(&mut self) -> Duration {
        let rest = self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if !rest.is_zero() {
            return rest;
        }
        let poll = self.ingest.patience.poll;
        let looked = tokio::select! {
            () = self.stop.cancelled() => return poll,
            looked = self.ingest.up_to_date() => looked,
        };
        if looked == Err(Interrupted::Outdated) {
            // Jobs, and what dead writers left, are for those who write to the epoch that is searched.
            return poll;
        }
        if self.cleaned.is_none_or(|at| at.elapsed() >= CLEANING) {
            self.cleaned = Some(Instant::now());
            if let Err(error) = self.ingest.tidy().await {
                tracing::warn!(%error, "cleaning up after ingestion failed; it is tried again in a minute");
            }
        }
        while self.tasks.len() < PLACES {
            match self.ingest.next_job(&self.turns).await {
                Ok(Some((queued, job, hold))) => self.begin(queued, job, hold),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the line of jobs cannot be read; tried again");
                    self.ingest.waits.looked_at_the_line(Some(&Interrupted::Store(error)));
                    return self.rest();
                }
            }
        }
        self.ingest.waits.looked_at_the_line(None);
        poll
    }

    fn begin(&mut self, queued: Queued, job: Job, hold: Hold) {
        self.turns.begin(&queued);
        let (ingest, stop, at) = (Arc::clone(&self.ingest), self.stop.clone(), queued.clone());
        let task = self.tasks.spawn(async move { ingest.turn(at, job, hold, &stop).await });
        self.jobs.insert(task.id(), queued);
    }

    async fn ended(&mut self, ended: Result<(Id, Result<(), Interrupted>), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(queued) = self.jobs.remove(&id) else { return };
        let job = queued.id.clone();
        self.turns.end(&job);
        let interrupted = match ended {
            Ok((_, Ok(()))) => {
                self.ingest.waits.went_on(&job);
                (self.pause, self.rests_until) = (self.ingest.patience.first, None);
                return;
            }
            Ok((_, Err(interrupted))) => interrupted,
            Err(_) => {
                let broke_down = Interrupted::Worker { cause: "the task of the job".to_owned() };
                if let Err(error) = self.ingest.hold_up(queued, &broke_down).await {
                    tracing::warn!(%job, %error, "that a job broke its task down was not written down");
                }
                broke_down
            }
        };
        tracing::warn!(%job, error = %interrupted, "ingestion is interrupted; the job stays and is tried again");
        self.ingest.waits.interrupted(job, &interrupted);
        self.rest();
    }

    fn rest(&mut self) -> Duration {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.rests_until = Some(Instant::now() + self.pause);
        self.pause
    }
}
