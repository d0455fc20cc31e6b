//! A vendor's quota, divided among all replicas of a corpus: a record for each provider tells how much of a minute was handed out, and each replica sends only what it was handed out.
//!
//! ```text
//! what was handed out and is left -> else ask the record, by compare-and-set -> else wait, as long as the caller can -> else no
//! ```
//!
//! Guarantees: within no minute do all replicas together send more than the quota, whatever crashes, as long as their clocks agree to five seconds; a replica that does not reach the records sends a small part of a large quota, and nothing of a small one. A replica that sends much asks for several requests at once, so that the record is not written for each of them.
//! Caveats: of a quota about four fifths are used when it is asked for without a pause, which is the price of not knowing when the vendor's minute begins; tokens are those that were estimated before the call.

mod grants;
mod share;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

pub use self::grants::{Amount, Limits};
use self::{
    grants::{Grants, Want},
    share::{Leave, Share},
};
use crate::ports::{self, Change, Clock, Kind, RateLimit, Record, Records, StoreError};

/// How long the records may take to answer: a call that waited longer is better made by somebody else.
const ANSWER: Duration = Duration::from_secs(5);
/// When a window is full again of which the vendor does not say it: theirs are of a minute.
const USUAL_WINDOW: Duration = Duration::from_secs(60);

/// How long to stay away after a refusal that says nothing about it.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// Why a call may not be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotGranted {
    /// The quota is used up.
    Used {
        /// When as much as is needed can be had, if nobody takes it before.
        retry_after: Duration,
    },
    /// It is not known what is left, because the records do not answer.
    Unknown {
        /// What they said.
        error: StoreError,
        /// When the part may be used that is kept for this; there is none of a small quota.
        retry_after: Duration,
    },
}

impl NotGranted {
    /// When another try makes sense.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Used { retry_after } | Self::Unknown { retry_after, .. } => *retry_after,
        }
    }

    /// The class, as a label: a closed set.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Used { .. } => "rate_limit_kept",
            Self::Unknown { .. } => "quota_unknown",
        }
    }
}

/// The quota of one provider, as this replica has its part in it.
pub struct Quota {
    name: String,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    share: Mutex<Share>,
    /// Calls of this process queue up here instead of losing against each other.
    turn: tokio::sync::Mutex<()>,
}

impl Quota {
    /// The quota of the provider with this name, which all replicas know it by. Without limits only what the vendor itself says counts.
    pub fn new(name: &str, limits: Limits, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let share = Mutex::new(Share::new(limits, clock.steady()));
        Self { name: name.to_owned(), records, clock, share, turn: tokio::sync::Mutex::default() }
    }

    /// Takes what a call needs, and waits at most this long until it can be had. What is taken is sent at once, or lost.
    pub async fn take(&self, need: Amount, patience: Duration) -> Result<(), NotGranted> {
        let until = self.clock.steady().saturating_add(patience);
        loop {
            let refused = match self.take_now(need).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let (wait, now) = (refused.retry_after(), self.clock.steady());
            if matches!(refused, NotGranted::Unknown { .. }) || now.saturating_add(wait) > until {
                return Err(refused);
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn take_now(&self, need: Amount) -> Result<(), NotGranted> {
        if let Some(known) = self.known(need) {
            return known;
        }
        let _turn = self.turn.lock().await;
        // Somebody may have asked for more than it needed meanwhile.
        if let Some(known) = self.known(need) {
            return known;
        }
        let asked = self.clock.steady();
        let want = match self.share().take(need, asked) {
            Leave::Ask(want) => want,
            known => return decided(known),
        };
        let late = |_| StoreError::Timeout { store: "the records", seconds: ANSWER.as_secs() };
        let answer = timeout(ANSWER, self.ask(want, asked)).await.map_err(late).flatten();
        let (mut share, now) = (self.share(), self.clock.steady());
        match answer {
            Ok(said) => decided(share.answered(want, said, (asked, now))),
            Err(error) => match share.unanswered(need, now) {
                Leave::Wait(retry_after) => Err(NotGranted::Unknown { error, retry_after }),
                Leave::Granted | Leave::Ask(_) => Ok(()),
            },
        }
    }

    /// What is known without asking the record.
    fn known(&self, need: Amount) -> Option<Result<(), NotGranted>> {
        match self.share().take(need, self.clock.steady()) {
            Leave::Ask(_) => None,
            known => Some(decided(known)),
        }
    }

    async fn ask(&self, want: Want, asked: Duration) -> Result<Result<Amount, u64>, StoreError> {
        let share = self.share().clone();
        ports::update(&*self.records, Kind::Quota, &self.name, |standing| {
            let before = grants(&self.name, standing)?;
            let mut grants = before.clone();
            let said = share.ask(&mut grants, want, (self.time(), asked));
            Ok::<_, StoreError>(match said {
                Ok(_) => Change::Write(serde_json::json!(grants), said),
                // What does not count any more is let go of by whoever is handed out something next.
                Err(_) => Change::Leave(said),
            })
        })
        .await
    }

    /// The vendor said this with an answer. What it says of little is told to the other replicas.
    pub fn heard(&self, said: &RateLimit) {
        if said.requests.is_none() && said.tokens.is_none() {
            return;
        }
        let ends = [said.requests, said.tokens].into_iter().flatten().map(|window| window.resets_in);
        let lasts = ends.map(|end| end.unwrap_or(USUAL_WINDOW)).min().unwrap_or(USUAL_WINDOW);
        let until = self.clock.steady().saturating_add(lasts);
        let left = |window: Option<ports::Window>| window.map(|window| window.remaining);
        self.share().told(left(said.requests), left(said.tokens), until);
    }

    /// The vendor refused a call for being over its limit, and said this with it: the other replicas need not find out for themselves.
    pub async fn refused(&self, said: &RateLimit) {
        let nothing = ports::Window { remaining: 0, resets_in: Some(said.retry_after.unwrap_or(USUAL_WAIT)) };
        let empty = said.requests.or(said.tokens).is_some_and(|window| window.remaining == 0);
        self.heard(&if empty { *said } else { RateLimit { requests: Some(nothing), ..*said } });
        let (share, now) = (self.share().clone(), self.clock.steady());
        let told = ports::update(&*self.records, Kind::Quota, &self.name, |standing| {
            let mut grants = grants(&self.name, standing)?;
            share.tell(&mut grants, (self.time(), now));
            Ok::<_, StoreError>(Change::Write(serde_json::json!(grants), ()))
        });
        match timeout(ANSWER, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, provider = self.name, "the other replicas were not told of a rate limit");
            }
            Err(_) => tracing::debug!(provider = self.name, "the other replicas were not told of a rate limit in time"),
        }
    }

    /// For how long nothing will be granted, as far as it is known.
    pub fn wait(&self) -> Duration {
        self.share().wait(self.clock.steady())
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, as all who write the record agree on it.
    fn time(&self) -> u64 {
        u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0)
    }
}

fn decided(leave: Leave) -> Result<(), NotGranted> {
    match leave {
        Leave::Granted => Ok(()),
        Leave::Wait(retry_after) => Err(NotGranted::Used { retry_after }),
        Leave::Ask(_) => Err(NotGranted::Used { retry_after: Duration::ZERO }),
    }
}

/// What a record tells, or nothing handed out.
fn grants(name: &str, standing: Option<&Record>) -> Result<Grants, StoreError> {
    let Some(record) = standing else { return Ok(Grants::default()) };
    serde_json::from_value(record.body.clone())
        .map_err(|e| StoreError::Corrupt { what: format!("the quota of {name}"), cause: e.to_string() })
}
