//! Only one process works: the one that holds the Lease.
//!
//! A lease that was won is renewed in the background until it is lost or released. A holder that cannot renew stops working
//! before anybody else may take over, so that there are never two. Everybody else waits with warm caches.
//!
//! Guarantees: every write carries the version that was read, so of two claims on one record one succeeds; and no decision
//! compares the clocks of two machines. Assumes that steady clocks run about equally fast.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Config};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Class, class, sentence};
use decide::{Pace, Seen, Step};

/// Which lease, and how it is held.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are; has to differ between processes.
    pub identity: String,
    /// How long the lease is good without being renewed; at least 2.
    pub seconds: u64,
}

/// Why we no longer lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The lease is in somebody else's name, or gone.
    Taken,
    /// The API server did not let us renew in time.
    NotRenewed,
}

/// Why a request about the lease led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused, or was not reached.
    #[error("{}", sentence(.0))]
    Call(#[source] Box<kube::Error>),
    /// The API server has not answered.
    #[error("no answer within {} s", .0.as_secs_f64())]
    NoAnswer(Duration),
}

impl LeaseError {
    /// Whether it is worth asking again without a change of the Role or of the settings.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Call(error) => !matches!(class(error), Class::Forbidden | Class::Invalid),
            Self::NoAnswer(_) => true,
        }
    }

    fn has_code(&self, code: u16) -> bool {
        matches!(self, Self::Call(error) if matches!(error.as_ref(), kube::Error::Api(status) if status.code == code))
    }

    /// Somebody wrote since we read.
    fn is_conflict(&self) -> bool {
        self.has_code(409)
    }

    fn is_not_found(&self) -> bool {
        self.has_code(404)
    }
}

/// Our part in the election.
pub struct Election {
    desk: Arc<Desk>,
    /// Renews from the moment in which the lease is won, whatever its holder waits for meanwhile.
    renewal: Mutex<Option<AbortOnDropHandle<Loss>>>,
}

impl Election {
    /// Joins: finds the Lease or creates it.
    pub async fn join(config: &Config, terms: Terms) -> Result<Self, LeaseError> {
        let client = Client::try_from(config.clone()).map_err(|error| LeaseError::Call(Box::new(error)))?;
        Self::enter(client, terms, Timestamp::now).await
    }

    /// `clock` gives the times that people read in the Lease; nothing is decided by them.
    async fn enter(client: Client, terms: Terms, clock: fn() -> Timestamp) -> Result<Self, LeaseError> {
        let api = Api::namespaced(client, &terms.namespace);
        let desk = Desk { api, pace: Pace::of(&terms), terms, clock };
        desk.read().await?;
        Ok(Self { desk: Arc::new(desk), renewal: Mutex::new(None) })
    }

    /// Resolves when we hold the lease. Trouble on the way is logged and outlasted.
    pub async fn won(&self) {
        let mut seen = None;
        loop {
            let pause = match self.desk.attempt(&mut seen).await {
                Ok(Attempt::Won(held)) => {
                    let desk = Arc::clone(&self.desk);
                    let renewal = tokio::spawn(async move { desk.hold(*held).await });
                    *self.renewal.lock().await = Some(AbortOnDropHandle::new(renewal));
                    return;
                }
                Ok(Attempt::Wait(pause)) => pause,
                Err(error) => {
                    tracing::warn!(%error, "the lease cannot be asked for");
                    self.desk.pace.retry()
                }
            };
            sleep(pause).await;
        }
    }

    /// Resolves when we no longer hold the lease that we won.
    pub async fn lost(&self) -> Loss {
        let mut renewal = self.renewal.lock().await;
        let Some(task) = renewal.as_mut() else { return Loss::NotRenewed };
        let loss = task.await.unwrap_or(Loss::NotRenewed);
        *renewal = None;
        loss
    }

    /// Frees the lease, so that the next process need not wait for its end.
    pub async fn release(&self) -> Result<(), LeaseError> {
        let renewal = self.renewal.lock().await.take();
        if let Some(renewal) = renewal {
            renewal.abort();
            let _ = renewal.await;
        }
        match self.desk.free().await {
            // A renewal that was under way has come in between.
            Err(error) if error.is_conflict() => self.desk.free().await,
            freed => freed,
        }
    }
}

/// The lease in our name, and the moment from which that counts: the one before the request, which may have been long on its way.
struct Held {
    lease: Lease,
    renewed: Instant,
}

/// What a look at the lease has led to.
enum Attempt {
    Won(Box<Held>),
    Wait(Duration),
}

/// Where the Lease is read and written.
struct Desk {
    api: Api<Lease>,
    terms: Terms,
    pace: Pace,
    clock: fn() -> Timestamp,
}

impl Desk {
    /// Looks at the lease, and claims it if it is to be had.
    async fn attempt(&self, seen: &mut Option<Seen>) -> Result<Attempt, LeaseError> {
        let lease = self.read().await?;
        let now = Seen::next(seen.take(), lease, Instant::now());
        let step = decide::step(&now, &self.terms, Instant::now());
        let lease = seen.insert(now).lease.clone();
        match step {
            Step::Wait(pause) => Ok(Attempt::Wait(pause)),
            Step::Claim => match self.claim(&lease).await {
                Err(error) if error.is_conflict() => Ok(Attempt::Wait(self.pace.retry())),
                claimed => claimed.map(|held| Attempt::Won(Box::new(held))),
            },
        }
    }

    /// Renews until the lease is somebody else's, or until it could not be renewed in time.
    async fn hold(&self, mut held: Held) -> Loss {
        loop {
            let renewed = timeout_at(self.pace.end(held.renewed), self.renewed(&held)).await;
            match renewed {
                Ok(Some(renewed)) => held = renewed,
                Ok(None) => return Loss::Taken,
                Err(_) => return Loss::NotRenewed,
            }
        }
    }

    /// The next renewal, however often it has to be tried; nothing if the lease is no longer ours.
    async fn renewed(&self, held: &Held) -> Option<Held> {
        sleep_until(self.pace.renewal(held.renewed)).await;
        loop {
            match self.renew(&held.lease).await {
                Ok(renewed) => return renewed,
                Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
            }
            sleep(self.pace.retry()).await;
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Held>, LeaseError> {
        match self.claim(lease).await {
            // By a request of ours whose answer was lost, by somebody who labelled it, or by whoever holds it now.
            Err(error) if error.is_conflict() => {}
            Err(error) if error.is_not_found() => return Ok(None),
            claimed => return claimed.map(Some),
        }
        let found = self.ask(self.api.get_opt(&self.terms.name)).await?;
        match found.filter(|lease| decide::is_held_by(lease, &self.terms.identity)) {
            Some(lease) => self.claim(&lease).await.map(Some),
            None => Ok(None),
        }
    }

    async fn claim(&self, lease: &Lease) -> Result<Held, LeaseError> {
        let renewed = Instant::now();
        let wanted = decide::claimed(lease, &self.terms, (self.clock)());
        let lease = self.ask(self.api.replace(&self.terms.name, &self.parameters(), &wanted)).await?;
        Ok(Held { lease, renewed })
    }

    async fn free(&self) -> Result<(), LeaseError> {
        let found = self.ask(self.api.get_opt(&self.terms.name)).await?;
        match found.filter(|lease| decide::is_held_by(lease, &self.terms.identity)) {
            Some(lease) => {
                let freed = decide::freed(&lease);
                self.ask(self.api.replace(&self.terms.name, &self.parameters(), &freed)).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Reads the Lease, and creates it in nobody's name where there is none.
    async fn read(&self) -> Result<Lease, LeaseError> {
        if let Some(lease) = self.ask(self.api.get_opt(&self.terms.name)).await? {
            return Ok(lease);
        }
        let metadata = ObjectMeta { name: Some(self.terms.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, ..Lease::default() };
        match self.ask(self.api.create(&self.parameters(), &lease)).await {
            // Another process was quicker.
            Err(error) if error.is_conflict() => self.ask(self.api.get(&self.terms.name)).await,
            created => created,
        }
    }

    /// One request, which must fail well before the lease ends.
    async fn ask<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, LeaseError> {
        let patience = self.pace.patience();
        match timeout(patience, request).await {
            Ok(answer) => answer.map_err(|error| LeaseError::Call(Box::new(error))),
            Err(_) => Err(LeaseError::NoAnswer(patience)),
        }
    }

    fn parameters(&self) -> PostParams {
        let manager = format!("ragops-operator-{}", self.terms.identity);
        PostParams { field_manager: Some(manager), ..PostParams::default() }
    }
}

#[cfg(test)]
mod tests;
