//! The change to another embedding model while the server answers with the previous one: build beside, measure, pause the jobs, look again, activate.
//!
//! Guarantees: questions are answered all the time; of replicas one builds, and another goes on where it ended; what a replica still wrote to the previous vectors in the moment of the
//! change is brought over afterwards. Whoever finds another epoch searched than its own begins new flows (see [`super::Source::successor`]), the one who built it as well.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::Source;
use crate::{
    app::{self, App, Process, Trial},
    cli::this_process::this_process,
    model::DocumentRecord,
    operations::{Jobs, Moving},
    ports::{Epoch, Holds, SystemClock},
    reindex::{self, Reindex, ReindexError, Reindexed},
};

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
    epoch: Epoch,
    outdated: bool,
    holds: Holds,
}

/// What a turn came to.
enum Turn {
    /// There is nothing more to do for these flows.
    Done,
    /// Another replica works; it has to be tried again after a while.
    Held,
    /// Once more, when the last claim of a replica that had not noticed has ended. Nothing is held until then: others wait for it.
    Settling,
}

impl Mover {
    /// None where no previous model is configured, and where nobody else could have written to its vectors.
    pub(super) fn new(source: &Source, app: &App) -> Option<Self> {
        let previous = source.config.embedding.previous.as_ref()?;
        let records = &app.process.stores.records;
        let needed = app.outdated || !records.exclusive();
        let holds = Holds::new(Arc::clone(records), Arc::new(SystemClock));
        needed.then(|| Self {
            process: Arc::clone(&app.process),
            least: previous.least,
            epoch: app.epoch,
            outdated: app.outdated,
            holds,
        })
    }

    /// Works until there is nothing more to do, or until `stop`.
    pub(super) async fn run(self, jobs: Arc<Jobs>, stop: CancellationToken) {
        let (mut pause, mut settled) = (PAUSE, false);
        loop {
            match self.turn(settled, &jobs, &stop).await {
                Ok(Turn::Done) => break,
                Ok(Turn::Held) => pause = PAUSE,
                Ok(Turn::Settling) => (pause, settled) = (SETTLED, true),
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

    /// One try, by the replica that holds the change.
    async fn turn(
        &self,
        settled: bool,
        jobs: &Jobs,
        stop: &CancellationToken,
    ) -> Result<Turn, Box<dyn Error + Send + Sync>> {
        // Before anything is held: a replica that cannot use the configured model shall be known before the others change over.
        let (reindex, trial) = app::reindex(&self.process.models, &self.process.stores).await?;
        let hold = match reindex::hold(&self.holds, &this_process("serve")).await {
            Ok(hold) => Arc::new(hold),
            Err(ReindexError::Held { .. }) => {
                // Another replica builds them now, and says how far it is.
                self.process.operations.moves(None);
                return Ok(Turn::Held);
            }
            Err(error) => return Err(error.into()),
        };
        let reindex = reindex.under(Arc::clone(&hold));
        let work = async {
            match self.outdated {
                true => self.change_over(reindex, trial, jobs, stop).await,
                false => self.bring_over(&reindex, settled, stop).await,
            }
        };
        let turn = tokio::select! {
            turn = work => turn,
            () = hold.lost() => Err(ReindexError::TakenOver.into()),
            () = stop.cancelled() => Ok(Turn::Done),
        };
        if let Err(error) = hold.give_back().await {
            tracing::warn!(%error, "the change of the epoch was not given back; another replica waits until its time is over");
        }
        turn
    }

    /// Brings over what replicas still wrote to the previous vectors.
    async fn bring_over(
        &self,
        reindex: &Reindex,
        settled: bool,
        stop: &CancellationToken,
    ) -> Result<Turn, Box<dyn Error + Send + Sync>> {
        let Some(previous) = self.process.models.previous_identity() else { return Ok(Turn::Done) };
        let brought = reindex.catch_up(&previous, self.epoch, stop).await?;
        if brought > 0 {
            tracing::info!(
                chunks = brought,
                "brought over what was written beside the change to the configured embedding model"
            );
        }
        Ok(if settled { Turn::Done } else { Turn::Settling })
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
