//! The change to another embedding model while the server answers with the previous one: build beside, measure, pause the jobs, look again, activate.
//!
//! Guarantees: questions are answered all the time; of replicas one builds, and another goes on where it ended; what a replica still wrote to the previous vectors in the moment of the
//! change is brought over afterwards. Whoever finds another epoch searched than its own begins new flows (see [`super::Source::successor`]), the one who built it as well.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Source;
use crate::{
    app::{self, App, Process, Trial},
    ingest::Ingest,
    model::DocumentRecord,
    operations::{Jobs, Moving},
    ports::{self, Epoch, Lease, StoreError},
    reindex::{Reindex, Reindexed},
};

/// Who builds, among replicas.
const LEASE_NAME: &str = "move";
/// How long a replica may be silent before another one goes on with its work.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Between two prolongations of the lease.
const RENEW: Duration = Duration::from_secs(10);
/// Before the next look while another replica works, and before the next try after a failure; doubled with each further one.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After a change over, the time in which the last claim of a replica that had not noticed ends.
const SETTLED: Duration = Duration::from_secs(60);
/// Between two lines about the progress.
const SAID_EACH: Duration = Duration::from_secs(10);

/// What changes the corpus over to the configured model.
pub(super) struct Mover {
    process: Arc<Process>,
    least: Option<f64>,
    ingest: Arc<Ingest>,
    outdated: bool,
    holder: String,
}

/// What a turn came to.
enum Turn {
    /// There is nothing more to do for these flows.
    Done,
    /// It has to be tried again after a while.
    Again,
}

impl Mover {
    /// None where no previous model is configured, and where nobody else could have written to its vectors.
    pub(super) fn new(source: &Source, app: &App) -> Option<Self> {
        let previous = source.config.embedding.previous.as_ref()?;
        let alone = app.process.stores.records.exclusive();
        let needed = app.outdated || !alone;
        // What holds the lease of stores that nobody else can open is an earlier process, which can only be dead.
        let holder = if alone { "alone".to_owned() } else { uuid::Uuid::new_v4().simple().to_string() };
        needed.then(|| Self {
            process: Arc::clone(&app.process),
            least: previous.least,
            ingest: Arc::clone(&app.ingest),
            outdated: app.outdated,
            holder,
        })
    }

    /// Works until there is nothing more to do, or until `stop`.
    pub(super) async fn run(self, jobs: Arc<Jobs>, stop: CancellationToken) {
        let mut pause = PAUSE;
        loop {
            match self.turn(&jobs, &stop).await {
                Ok(Turn::Done) => break,
                Ok(Turn::Again) => pause = PAUSE,
                Err(error) => {
                    tracing::warn!(%error, seconds = pause.as_secs(), "the change to the configured embedding model is interrupted; what was built is kept, and it goes on");
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
            jobs.go_on().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.process.operations.moves(None);
    }

    /// One try, under the lease.
    async fn turn(&self, jobs: &Jobs, stop: &CancellationToken) -> Result<Turn, Box<dyn Error + Send + Sync>> {
        // Before the lease: a replica that cannot use the configured model shall be known before the others change over.
        let (reindex, trial) = app::reindex(&self.process.models, &self.process.stores).await?;
        let records = &*self.process.stores.records;
        let lease = ports::acquire(records, LEASE_NAME, &self.holder, Timestamp::now(), LEASE).await?;
        let Some(mut lease) = lease else { return Ok(Turn::Again) };
        let turn = tokio::select! {
            turn = self.work((reindex, trial), jobs, stop) => turn,
            lost = self.keep(&mut lease) => Err(lost.into()),
            () = stop.cancelled() => Ok(Turn::Done),
        };
        if let Err(error) = ports::release(records, &lease, Timestamp::now()).await {
            tracing::warn!(%error, "the lease was not given back; another replica waits until it ends");
        }
        turn
    }

    /// Prolongs the lease until it is lost; tells how.
    async fn keep(&self, lease: &mut Lease) -> StoreError {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEW).await;
            match ports::renew(&*self.process.stores.records, lease, &self.holder, Timestamp::now(), LEASE).await {
                Ok(Some(prolonged)) => (*lease, renewed) = (prolonged, Instant::now()),
                Ok(None) => {
                    let cause = "another replica took the lease".to_owned();
                    return StoreError::Failed { store: "the records", cause };
                }
                // It stands for two more tries.
                Err(error) if error.is_transient() && renewed.elapsed() < 2 * RENEW => {}
                Err(error) => return error,
            }
        }
    }

    async fn work(
        &self,
        (reindex, trial): (Reindex, Trial),
        jobs: &Jobs,
        stop: &CancellationToken,
    ) -> Result<Turn, Box<dyn Error + Send + Sync>> {
        if self.outdated {
            return self.change_over(reindex, trial, jobs, stop).await;
        }
        let Some(previous) = self.process.models.previous_identity() else { return Ok(Turn::Done) };
        for pause in [Duration::ZERO, SETTLED] {
            tokio::time::sleep(pause).await;
            let brought = reindex.catch_up(&previous, &self.ingest, stop).await?;
            if brought > 0 {
                tracing::info!(
                    chunks = brought,
                    "brought over what was written beside the change to the configured embedding model"
                );
            }
        }
        Ok(Turn::Done)
    }

    async fn change_over(
        &self,
        reindex: Reindex,
        trial: Trial,
        jobs: &Jobs,
        stop: &CancellationToken,
    ) -> Result<Turn, Box<dyn Error + Send + Sync>> {
        let mut moving = Moving { model: reindex.model().name.clone(), documents: 0, of: reindex.documents().await? };
        tracing::info!(
            model = moving.model,
            documents = moving.of,
            "building the vectors of the configured embedding model; those of the previous one are searched meanwhile"
        );
        self.process.operations.moves(Some(moving.clone()));
        let mut said = Instant::now();
        let tell = |_: &DocumentRecord, _| {
            // Later looks at the same documents find what changed meanwhile.
            moving.documents = moving.of.min(moving.documents + 1);
            self.process.operations.moves(Some(moving.clone()));
            if said.elapsed() >= SAID_EACH {
                said = Instant::now();
                tracing::info!(
                    documents = moving.documents,
                    of = moving.of,
                    "building the vectors of the configured embedding model"
                );
            }
        };
        let judge = async |epoch| {
            let is_good_enough = self.is_good_enough(trial, epoch).await?;
            if is_good_enough {
                jobs.pause().await;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(is_good_enough)
        };
        match reindex.run(stop, tell, judge).await? {
            Reindexed::Activated { from, to, embedded } => {
                tracing::info!(
                    from = from.0,
                    to = to.0,
                    chunks = embedded,
                    "changed over to the configured embedding model"
                );
                Ok(Turn::Done)
            }
            Reindexed::Rejected { from, to } => {
                tracing::error!(
                    searched = from.0,
                    built = to.0,
                    "the vectors of the configured embedding model are kept and not searched, because of embedding.previous.least; change that, or the model, and start again"
                );
                Ok(Turn::Done)
            }
            Reindexed::Fits(_) | Reindexed::Stopped => Ok(Turn::Done),
        }
    }

    /// Measures an epoch and says what was found, or why nothing was.
    async fn is_good_enough(&self, trial: Trial, epoch: Epoch) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let verdict = trial.of(epoch, self.least, |_, _| {}).await?;
        let least = self.least;
        match verdict.measured {
            Ok(report) => {
                let share = report.modes.first().map(|configured| configured.success_at_5);
                tracing::info!(
                    epoch = epoch.0,
                    queries = report.queries,
                    share,
                    least,
                    "measured: the share of headings whose document is among the first five"
                );
            }
            Err(error) => {
                tracing::info!(epoch = epoch.0, %error, least, "not measured, which embedding.previous.least does not allow if it is set");
            }
        }
        Ok(verdict.is_good_enough)
    }
}
