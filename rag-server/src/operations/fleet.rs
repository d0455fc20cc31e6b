//! Follows what holds for all servers of a corpus, has it hold here, and makes the changes of administrators.
//!
//! Flow: one record is read each second, and whether a restore has closed the gate; what it says and what is known settle what holds, and that takes effect at once: read-only, cache epochs, breakers, denied fingerprints. Blocks are looked up by whoever lets callers in.
//! Guarantees: while the record cannot be read, or says nothing that is understood, what was known holds on; a change is acknowledged once it stands in the record, and holds here by then.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Operations;
pub use crate::fleet::{Block, Change, FleetState};
use crate::{
    fleet::{self, Full, Settled, Unread},
    ports::{self, CacheEpochs, GATE, Kind, Record, Records, StoreError},
};

/// How this part is called among the others.
const PART: &str = "fleet state";
/// Id of the record.
const RECORD: &str = "fleet";
/// Between two looks at the record: what is decided on one server holds on all within about this.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks while the records do not answer, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one look may take, and one change with the looks that it needs.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
const CHANGE_DEADLINE: Duration = Duration::from_secs(5);

/// What this server knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// What holds.
    pub state: Arc<FleetState>,
    /// When that was last found in the record, or written to it; none before.
    pub seen: Option<Timestamp>,
}

/// Why what holds for all was not read or not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The records do not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record tells nothing that is understood.
    #[error("the record {RECORD} of what holds for all servers is not understood: {0}")]
    Unread(#[from] Unread),
    /// There is no room for the change.
    #[error(transparent)]
    Full(#[from] Full),
    /// What is to be written cannot be.
    #[error("what holds for all servers cannot be written: {0}")]
    Unwritten(String),
}

impl FleetError {
    /// The class, in a word.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Store(error) => error.cause(),
            Self::Unread(unread) => unread.cause(),
            Self::Full(_) => "full",
            Self::Unwritten(_) => "unwritten",
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What holds after it.
    pub state: Arc<FleetState>,
    /// Whether it changed anything.
    pub did: bool,
}

/// What is kept of it between two looks.
#[derive(Debug)]
pub(super) struct Handle {
    known: Mutex<Known>,
    /// The last problem that was said, so that it is said once.
    said: Mutex<Option<&'static str>>,
    epochs: CacheEpochs,
    denied: watch::Sender<Arc<BTreeSet<String>>>,
}

impl Default for Handle {
    fn default() -> Self {
        let (known, said, denied) = (Mutex::default(), Mutex::default(), watch::Sender::default());
        // Until the record was read once, what was cleared is unknown.
        Self { known, said, epochs: CacheEpochs::unknown(), denied }
    }
}

impl Operations {
    /// What is known of what holds for all servers.
    pub fn fleet(&self) -> Known {
        self.0.fleet.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The class of what kept the record from being read at the last look; none if it was read.
    pub fn fleet_problem(&self) -> Option<&'static str> {
        *self.0.fleet.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epochs of the caches, unknown before the first look.
    pub fn cache_epochs(&self) -> CacheEpochs {
        self.0.fleet.epochs.clone()
    }

    /// The fingerprints that open nothing, and every change of them.
    pub fn denied(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.0.fleet.denied.subscribe()
    }

    /// Reads the record, has what it says hold here, and restores it where it was lost.
    pub async fn look_at_fleet(&self, records: &dyn Records) -> Result<(), FleetError> {
        let looked = within(LOOK_DEADLINE, self.look(records)).await;
        let sight = self.sight(PART);
        let before = {
            let mut said = self.0.fleet.said.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *said, looked.as_ref().err().map(FleetError::cause))
        };
        match &looked {
            Ok(()) => sight.answered(Timestamp::now()),
            Err(error) => {
                if before != Some(error.cause()) {
                    let seen = self.fleet().seen.map(|at| at.to_string());
                    tracing::warn!(%error, cause = error.cause(), seen, "what holds for all servers was not read; what is known of it holds on");
                }
                sight.failed(error.cause(), Timestamp::now());
            }
        }
        looked
    }

    async fn look(&self, records: &dyn Records) -> Result<(), FleetError> {
        let (_, gate) = GATE;
        let mut found = records.get_many(Kind::Fleet, &[RECORD, gate]).await?;
        let gate = found.iter().position(|record| record.id == gate).map(|at| found.swap_remove(at));
        // Where nobody else can write, nobody can be at it.
        self.obey(gate.filter(|_| !records.exclusive()))?;
        let row = found.first().map(|record| fleet::read(&record.body)).transpose()?;
        match fleet::settled(&self.fleet().state, row, new_id()) {
            Settled::Take(state) => self.take(state),
            Settled::Restore(_) => self.restore(records).await?,
        }
        Ok(())
    }

    /// Refuses writes while a restore is at work, as the record of its gate says.
    fn obey(&self, gate: Option<Record>) -> Result<(), StoreError> {
        let holder = gate.map(|gate| ports::holder_of(gate, Timestamp::now())).transpose()?.flatten();
        let was = self.live().state().read_only_by.restore;
        self.live().set_restore_read_only(holder.is_some());
        match (was, holder) {
            (false, Some(_)) => {
                tracing::info!("a restore is at work over this corpus; writes are refused until it is done")
            }
            (true, None) => tracing::info!("no restore is at work any more"),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }

    /// Writes what is known where the record does not say it. An own change may have been made since the look that found that, so the record is looked at again.
    async fn restore(&self, records: &dyn Records) -> Result<(), FleetError> {
        let mut did = false;
        let state = ports::update(records, Kind::Fleet, RECORD, |standing| {
            let row = standing.map(|record| fleet::read(&record.body)).transpose()?;
            Ok::<_, FleetError>(match fleet::settled(&self.fleet().state, row, new_id()) {
                Settled::Take(state) => ports::Change::Leave(state),
                Settled::Restore(state) => {
                    did = true;
                    ports::Change::Write(written(&state)?, state)
                }
            })
        })
        .await?;
        if did {
            tracing::warn!(
                revision = state.revision,
                "the record of what holds for all servers was behind what this server knows, and was restored"
            );
        }
        self.take(state);
        Ok(())
    }

    /// Makes a change, for all servers; it holds here when this returns. A damaged record is written anew from what is known.
    pub async fn change_fleet(&self, records: &dyn Records, change: &Change, by: &str) -> Result<Changed, FleetError> {
        let mut did = false;
        let make = ports::update(records, Kind::Fleet, RECORD, |standing| {
            let row = match standing.map(|record| fleet::read(&record.body)).transpose() {
                Ok(row) => row,
                Err(Unread::Damaged(cause)) => {
                    tracing::warn!(
                        cause,
                        "a damaged record of what holds for all servers is written anew from what is known"
                    );
                    None
                }
                Err(newer) => return Err(FleetError::from(newer)),
            };
            let base = fleet::over(&self.fleet().state, row, new_id());
            Ok(match base.changed(change, by, Timestamp::now())? {
                None => ports::Change::Leave(base),
                Some(next) => {
                    did = true;
                    let next = next.written(new_id());
                    ports::Change::Write(written(&next)?, next)
                }
            })
        });
        let state = within(CHANGE_DEADLINE, make).await?;
        self.take(state);
        Ok(Changed { state: self.fleet().state, did })
    }

    /// Has a state hold here, unless what holds goes back to it already.
    fn take(&self, state: FleetState) {
        let handle = &self.0.fleet;
        let mut known = handle.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = known.seen.is_none();
        known.seen = Some(Timestamp::now());
        if !is_first && (*known.state == state || !fleet::goes_back_to(&state, &known.state)) {
            return;
        }
        let before = std::mem::replace(&mut known.state, Arc::new(state));
        let now = &known.state;
        if before.revision != now.revision {
            tracing::info!(
                revision = now.revision,
                read_only = now.read_only.on,
                blocks = now.blocks.len(),
                denied = now.denied.len(),
                "what holds for all servers changed"
            );
        }
        // Under the lock, so that of two changes the later one takes effect last.
        self.live().set_administrators_read_only(now.read_only.on);
        handle.epochs.hold(now.cache_epochs());
        handle.denied.send_replace(Arc::new(now.denied.keys().cloned().collect()));
        for (service, reset) in &now.resets {
            // A breaker that was made after its reset has seen nothing.
            if !is_first && before.resets.get(service).is_none_or(|earlier| reset > earlier) {
                self.reset_breaker(service);
            }
        }
    }

    /// Follows the record until told to stop.
    pub async fn follow_fleet(self, records: Arc<dyn Records>, stop: CancellationToken) {
        let mut pause = LOOK;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.look_at_fleet(&*records).await {
                Ok(()) => LOOK,
                Err(_) => LONGEST_PAUSE.min(pause * 2),
            };
        }
    }
}

fn written(state: &FleetState) -> Result<serde_json::Value, FleetError> {
    fleet::body(state).map_err(|error| FleetError::Unwritten(error.to_string()))
}

/// Names a write. Of two that are drawn so, both are alike once in 2^60 times.
fn new_id() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

async fn within<T>(deadline: Duration, work: impl Future<Output = Result<T, FleetError>>) -> Result<T, FleetError> {
    let late = StoreError::Timeout { store: "the records", seconds: deadline.as_secs() };
    timeout(deadline, work).await.unwrap_or(Err(FleetError::Store(late)))
}

#[cfg(test)]
mod tests;
