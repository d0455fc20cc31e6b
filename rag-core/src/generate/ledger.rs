//! The budget of all replicas: the books of a month in one record, changed by compare-and-set.
//!
//! Guarantees: a call is made only after its upper bound was written down, whichever replica makes it; what is reserved is settled or released however the call ends, also when its caller goes away, and also while it is being reserved. A process that dies leaves reservations that end by their time.
//! The bound of an overshoot: nothing while every provider keeps to the tokens that it was allowed and bills no more for a call that was given up than the prompt, as it was estimated, and what had come of the answer; after a crash, or where the books cannot be written for as long as a settlement is tried, at most what the calls under way cost.

use std::{
    sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    budget::{self, Books, BudgetLimits, Hold, MicroAmount, Period, Spent},
    meter::Meter,
};
use crate::{
    costs::Costs,
    model::MicroUsd,
    ports::{self, Change, Clock, Kind, Payer, Record, Records, StoreError},
};

/// What a reservation outlives the time of its call by: a slow settlement is no death.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Tries after the first to write down what a call cost, while the failure may pass: about two seconds.
const MORE_SETTLEMENTS: usize = 4;
/// Pause before the second of them.
const SETTLE_AGAIN: Duration = Duration::from_millis(100);

/// For how long the share that is spent is not looked at again, where no call writes it down.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Where the limits come from; they may change while the server runs.
pub type Limits = Arc<dyn Fn() -> BudgetLimits + Send + Sync>;

/// Keeps the budget.
pub struct Ledger {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    meter: Arc<dyn Meter>,
    costs: Option<Arc<Costs>>,
    /// The largest share of a limit that is spent, and when that was looked at.
    used: StdMutex<Option<(f64, Duration)>>,
    /// Calls of this process queue up here instead of losing against each other.
    turn: Mutex<()>,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotReserved {
    /// There is not enough left.
    Spent(Spent),
    /// It is not known what is left, so nothing may be spent.
    Unknown(StoreError),
}

impl Ledger {
    /// The ledger in these records.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, limits: Limits, meter: Arc<dyn Meter>) -> Self {
        Self { records, clock, limits, meter, costs: None, used: StdMutex::default(), turn: Mutex::default() }
    }

    /// The same, which tells these costs what was spent, and by whom.
    pub fn telling(self, costs: Arc<Costs>) -> Self {
        Self { costs: Some(costs), ..self }
    }

    /// This was spent; the books are told by the reservation.
    pub(super) fn spent_on(&self, part: &'static str, payer: &Payer, cost: MicroUsd) {
        if cost.0 > 0 {
            self.meter.cost(part, cost);
            self.costs.iter().for_each(|costs| costs.add(part, payer, cost));
        }
    }

    /// Whether so much is spent that the cheapest provider is to be called first. Where the books cannot be read, it is as it was.
    pub(super) async fn prefers_cheaper(&self) -> bool {
        let limits = self.current();
        let Some(percent) = limits.cheaper_percent.filter(|_| limits.is_limited()) else { return false };
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let fresh = self.used().filter(|(_, looked)| steady < *looked + LOOK_AGAIN);
        if fresh.is_none() {
            let row = budget::row(now);
            if let Ok(standing) = self.records.get(Kind::Budget, &row).await
                && let Ok(books) = books(&row, standing.as_ref(), now)
            {
                self.note_used(&books.shares_at(&limits, now));
            }
        }
        self.used().is_some_and(|(share, _)| share * 100.0 >= f64::from(percent))
    }

    fn used(&self) -> Option<(f64, Duration)> {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_used(&self, shares: &[(Period, f64)]) {
        let most = shares.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some((most, self.clock.steady()));
    }

    /// The limits that hold now.
    pub(super) fn current(&self) -> BudgetLimits {
        (self.limits)()
    }

    /// Puts aside what a call of at most this duration can cost.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        amount: MicroUsd,
        lasts: Duration,
    ) -> Result<Reservation, NotReserved> {
        if !self.is_limited(amount) {
            return Ok(Reservation { kept: None, cost: MicroUsd(0) });
        }
        let now = self.clock.now();
        let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::ZERO).saturating_add(GRACE);
        let until = now.checked_add(lasts).unwrap_or(now);
        let hold = Hold { id: Uuid::new_v4(), amount: MicroAmount(amount.0), until };
        // A task of its own: when the caller goes away meanwhile the write comes to its end all the same, and the reservation that nobody waits for is dropped, which gives it back.
        let reserving = tokio::spawn(Arc::clone(self).put_aside(hold, now).in_current_span());
        reserving.await.unwrap_or_else(|error| {
            Err(NotReserved::Unknown(StoreError::Failed { store: "the budget", cause: error.to_string() }))
        })
    }

    async fn put_aside(self: Arc<Self>, hold: Hold, now: Timestamp) -> Result<Reservation, NotReserved> {
        let (row, limits) = (budget::row(now), self.current());
        // Held before it is written: a write whose answer is lost may have been done, and is given back.
        let kept = Kept { ledger: Arc::clone(&self), row: row.clone(), id: hold.id };
        let mut reservation = Reservation { kept: Some(kept), cost: MicroUsd(0) };
        let reserve = |books: &mut Books| match books.holds(hold.id) {
            // Written by a try whose answer was lost.
            true => Ok(()),
            false => books.reserve(hold, &limits, now).map_err(NotReserved::Spent),
        };
        let reserved = self.change(&row, reserve).await;
        if matches!(reserved, Err(NotReserved::Spent(_))) {
            reservation.kept = None;
        }
        reserved.map(|()| reservation)
    }

    /// Whether a call that can cost this is more than what is left. Nothing is put aside; where the books cannot be read, nothing is said.
    pub(super) async fn spent(&self, amount: MicroUsd) -> Option<Spent> {
        if !self.is_limited(amount) {
            return None;
        }
        let now = self.clock.now();
        let row = budget::row(now);
        let standing = self.records.get(Kind::Budget, &row).await.ok()?;
        let mut books = books(&row, standing.as_ref(), now).ok()?;
        let hold = Hold { id: Uuid::nil(), amount: MicroAmount(amount.0), until: now };
        books.reserve(hold, &self.current(), now).err()
    }

    /// What costs nothing needs no budget; without a limit nothing has to be written down.
    fn is_limited(&self, amount: MicroUsd) -> bool {
        amount.0 > 0 && self.current().is_limited()
    }

    async fn settle(&self, row: &str, id: Uuid, cost: MicroUsd) {
        let (limits, now, held) = (self.current(), self.clock.now(), OnceLock::new());
        let settle = |books: &mut Books| {
            let is_held = books.holds(id);
            let was_held = *held.get_or_init(|| is_held);
            // What was reserved and is not any more was settled by a try whose answer was lost; what had ended by its time is owed all the same.
            if is_held || !was_held {
                books.settle(id, cost, now);
            }
            Ok::<_, StoreError>(books.alerts(&limits))
        };
        let pauses =
            ExponentialBuilder::new().with_jitter().with_min_delay(SETTLE_AGAIN).with_max_times(MORE_SETTLEMENTS);
        match (|| self.change(row, &settle)).retry(pauses).when(StoreError::is_transient).await {
            Ok(alerts) => self.tell(&alerts, &limits),
            Err(error) => tracing::warn!(%error, %cost, "the cost of a call was not written to the budget"),
        }
    }

    fn tell(&self, alerts: &[(Period, u8)], limits: &BudgetLimits) {
        for (period, percent) in alerts {
            let limit = match period {
                Period::Month => limits.monthly,
                Period::Day => limits.daily,
            };
            let limit = limit.unwrap_or_default();
            tracing::warn!(period = period.as_str(), percent, %limit, "{percent} % of the budget of this {} are spent", period.as_str());
            self.meter.budget_alert(period.as_str(), *percent);
        }
    }

    /// Changes the books; a change that is refused, or changes nothing, writes nothing.
    async fn change<T, E: From<StoreError>>(
        &self,
        row: &str,
        change: impl Fn(&mut Books) -> Result<T, E>,
    ) -> Result<T, E> {
        let _turn = self.turn.lock().await;
        let (limits, now) = (self.current(), self.clock.now());
        let (changed, shares) = ports::update(&*self.records, Kind::Budget, row, |standing| {
            let before = books(row, standing, now)?;
            let mut books = before.clone();
            let told = (change(&mut books)?, books.shares(&limits));
            Ok::<_, E>(if books == before {
                Change::Leave(told)
            } else {
                Change::Write(serde_json::json!(books), told)
            })
        })
        .await?;
        self.note_used(&shares);
        shares.iter().for_each(|(period, share)| self.meter.budget_used(period.as_str(), *share));
        Ok(changed)
    }
}

/// The books of a record, or new ones.
fn books(row: &str, standing: Option<&Record>, now: Timestamp) -> Result<Books, StoreError> {
    let Some(record) = standing else { return Ok(Books::new(now)) };
    serde_json::from_value(record.body.clone())
        .map_err(|e| StoreError::Corrupt { what: format!("the budget {row}"), cause: e.to_string() })
}

impl From<StoreError> for NotReserved {
    fn from(error: StoreError) -> Self {
        Self::Unknown(error)
    }
}

struct Kept {
    ledger: Arc<Ledger>,
    row: String,
    id: Uuid,
}

/// What was put aside for one call. Dropped, it is settled at what the call is known to cost by then: nothing before it was made.
#[must_use = "a reservation that is dropped at once reserves nothing"]
pub(super) struct Reservation {
    kept: Option<Kept>,
    cost: MicroUsd,
}

impl Reservation {
    /// The call costs this as far as is known.
    pub(super) fn costs(&mut self, cost: MicroUsd) {
        self.cost = cost;
    }

    /// Settles, and waits for it. It goes on when the caller goes away meanwhile.
    pub(super) async fn settle(mut self) {
        if let Some(settling) = self.begin() {
            let _panicked = settling.await;
        }
    }

    fn begin(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let (Kept { ledger, row, id }, cost) = (self.kept.take()?, self.cost);
        // Without a runtime the process is ending: the reservation ends by its time.
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn(async move { ledger.settle(&row, id, cost).await }))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let _settles_by_itself = self.begin();
    }
}

#[cfg(test)]
mod tests;
