//! The budget of all replicas: the books of a month in one record, changed by compare-and-set.
//!
//! Guarantees: a call is made only after its upper bound was written down, whichever replica makes it; what is reserved is settled or released however the call ends, also when its caller goes away. A process that dies leaves reservations that end by their time.
//! The bound of an overshoot: nothing while every provider keeps to the tokens that it was allowed; after a crash at most what the calls under way in that process cost, because nobody was left to write it down.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    budget::{self, Books, BudgetLimits, Hold, MicroAmount, Period, Spent},
    meter::Meter,
};
use crate::{
    model::MicroUsd,
    ports::{Clock, Kind, Put, Records, StoreError, Swap},
};

/// Tries against other replicas that change the same record; each of them loses only to one that wins.
const ATTEMPTS: usize = 100;
/// What a reservation outlives the time of its call by: a slow settlement is no death.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// Where the limits come from; they may change while the server runs.
pub type Limits = Arc<dyn Fn() -> BudgetLimits + Send + Sync>;

/// Keeps the budget.
pub struct Ledger {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    meter: Arc<dyn Meter>,
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
        Self { records, clock, limits, meter, turn: Mutex::default() }
    }

    /// What holds now.
    pub(super) fn limits(&self) -> BudgetLimits {
        (self.limits)()
    }

    /// Puts aside what a call of at most this duration can cost.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        amount: MicroUsd,
        lasts: std::time::Duration,
    ) -> Result<Reservation, NotReserved> {
        let limits = self.limits();
        // What costs nothing needs no budget; without a limit nothing has to be written down.
        if amount.0 == 0 || !limits.is_limited() {
            return Ok(Reservation { kept: None, cost: MicroUsd(0) });
        }
        let now = self.clock.now();
        let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::ZERO) + GRACE;
        let until = now.checked_add(lasts).unwrap_or(now);
        let hold = Hold { id: Uuid::new_v4(), amount: MicroAmount(amount.0), until };
        let row = budget::row(now);
        let reserve = |books: &mut Books| books.reserve(hold, &limits, now);
        self.change(&row, reserve).await.map_err(NotReserved::Unknown)?.map_err(NotReserved::Spent)?;
        Ok(Reservation { kept: Some(Kept { ledger: Arc::clone(self), row, id: hold.id }), cost: MicroUsd(0) })
    }

    async fn settle(&self, row: &str, id: Uuid, cost: MicroUsd) {
        let (limits, now) = (self.limits(), self.clock.now());
        let settle = |books: &mut Books| {
            books.settle(id, cost, now);
            Ok::<_, Spent>(books.alerts(&limits))
        };
        match self.change(row, settle).await {
            Ok(alerts) => self.tell(&alerts.unwrap_or_default(), &limits),
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

    /// Changes the books, or leaves them as they are when the change is refused.
    async fn change<T, E>(
        &self,
        row: &str,
        mut change: impl FnMut(&mut Books) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let _turn = self.turn.lock().await;
        let mut standing = match self.records.get(Kind::Budget, row).await? {
            Some(record) => record,
            None => {
                let new = serde_json::json!(Books::new(self.clock.now()));
                match self.records.put_if_absent(Kind::Budget, row, new).await? {
                    Put::Created(record) | Put::Existing(record) => record,
                }
            }
        };
        for _ in 0..ATTEMPTS {
            let mut books: Books = serde_json::from_value(standing.body)
                .map_err(|e| StoreError::Corrupt { what: format!("the budget {row}"), cause: e.to_string() })?;
            let changed = match change(&mut books) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            let body = serde_json::json!(books);
            match self.records.compare_and_set(Kind::Budget, row, standing.version, body).await? {
                Swap::Done(_) => {
                    let shares = books.shares(&self.limits());
                    shares.iter().for_each(|(period, share)| self.meter.budget_used(period.as_str(), *share));
                    return Ok(Ok(changed));
                }
                Swap::Conflict(Some(record)) => standing = record,
                Swap::Conflict(None) => break,
            }
        }
        let cause = format!("the budget {row} changes too often to be written");
        Err(StoreError::Failed { store: "the records", cause })
    }
}

struct Kept {
    ledger: Arc<Ledger>,
    row: String,
    id: Uuid,
}

/// What was put aside for one call. Dropped, it is settled at what the call is known to have cost by then: nothing before the first text.
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
mod tests {
    use std::{sync::Mutex as StdMutex, time::Duration};

    use jiff::Timestamp;

    use super::*;
    use crate::doubles::{RecordsDouble, eventually};

    #[derive(Default)]
    struct Alerts(StdMutex<Vec<(&'static str, u8)>>);

    impl Meter for Alerts {
        fn budget_alert(&self, period: &'static str, percent: u8) {
            self.0.lock().unwrap().push((period, percent));
        }
    }

    struct Fixed(StdMutex<Timestamp>);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    struct World {
        records: Arc<RecordsDouble>,
        clock: Arc<Fixed>,
        alerts: Arc<Alerts>,
    }

    impl World {
        fn new() -> Self {
            let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
            Self { records: Arc::default(), clock: Arc::new(Fixed(StdMutex::new(noon))), alerts: Arc::default() }
        }

        /// A replica's ledger with a limit of so many millionths a day.
        fn replica(&self, daily: u64) -> Arc<Ledger> {
            let limits = BudgetLimits {
                daily: Some(MicroUsd(daily)),
                alert_percents: vec![50, 80, 100],
                ..BudgetLimits::default()
            };
            let (records, clock) = (Arc::clone(&self.records) as _, Arc::clone(&self.clock) as _);
            let limits: Limits = Arc::new(move || limits.clone());
            Arc::new(Ledger::new(records, clock, limits, Arc::clone(&self.alerts) as _))
        }

        async fn books(&self) -> Books {
            let record = self.records.get(Kind::Budget, "2026-11").await.unwrap().unwrap();
            serde_json::from_value(record.body).unwrap()
        }
    }

    const LASTS: Duration = Duration::from_secs(30);

    /// The books once nothing is reserved any more: what is dropped settles beside the test.
    async fn settled(world: &World) -> Books {
        let holds_nothing = |books: &Books| serde_json::json!(books)["holds"].as_array().unwrap().is_empty();
        eventually("nothing is reserved any more", async || holds_nothing(&world.books().await)).await;
        world.books().await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn parallel_calls_do_not_all_pass_a_budget_that_is_enough_for_some() {
        let world = World::new();
        // Two replicas, fifty calls each, of 100 with a limit of 1,050: ten may pass.
        let (one, other) = (world.replica(1_050), world.replica(1_050));
        let calls = (0..100).map(|n| {
            let ledger = Arc::clone(if n % 2 == 0 { &one } else { &other });
            tokio::spawn(async move {
                let reserved = ledger.reserve(MicroUsd(100), LASTS).await;
                tokio::task::yield_now().await;
                match reserved {
                    Ok(mut reservation) => {
                        reservation.costs(MicroUsd(100));
                        reservation.settle().await;
                        true
                    }
                    Err(_) => false,
                }
            })
        });
        let mut passed = 0;
        for call in calls.collect::<Vec<_>>() {
            passed += usize::from(call.await.unwrap());
        }
        assert_eq!(passed, 10);
        let books = serde_json::json!(settled(&world).await);
        assert_eq!(books["day_spent"], 1_000);
        let mut alerts = world.alerts.0.lock().unwrap().clone();
        alerts.sort_unstable();
        assert_eq!(alerts, [("day", 50), ("day", 80)], "each once, whichever replica passed it");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_before_there_are_any_books_do_not_all_pass() {
        let world = World::new();
        assert!(world.records.get(Kind::Budget, "2026-11").await.unwrap().is_none());
        // Twenty replicas that have never spent anything ask at the same moment; the limit is enough for three.
        let calls = (0..20).map(|_| {
            let ledger = world.replica(300);
            tokio::spawn(async move { ledger.reserve(MicroUsd(100), LASTS).await.ok() })
        });
        let mut reserved = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            reserved.extend(call.await.unwrap());
        }
        assert_eq!(reserved.len(), 3);
    }

    #[tokio::test]
    async fn a_call_whose_caller_went_away_releases_what_it_did_not_cost() {
        let world = World::new();
        let ledger = world.replica(100);
        drop(ledger.reserve(MicroUsd(100), LASTS).await.unwrap_or_else(|_| panic!("reserved")));
        assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 0);
        let mut begun = ledger.reserve(MicroUsd(100), LASTS).await.unwrap_or_else(|_| panic!("reserved"));
        begun.costs(MicroUsd(30));
        drop(begun);
        assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 30);
        assert!(matches!(ledger.reserve(MicroUsd(71), LASTS).await, Err(NotReserved::Spent(_))));
        assert!(ledger.reserve(MicroUsd(70), LASTS).await.is_ok());
    }

    #[tokio::test]
    async fn a_crash_leaves_a_reservation_that_ends_by_its_time() {
        let world = World::new();
        std::mem::forget(world.replica(100).reserve(MicroUsd(100), LASTS).await);
        let ledger = world.replica(100);
        assert!(matches!(ledger.reserve(MicroUsd(1), LASTS).await, Err(NotReserved::Spent(_))));
        *world.clock.0.lock().unwrap() += SignedDuration::from_secs(90);
        assert!(ledger.reserve(MicroUsd(100), LASTS).await.is_ok());
    }

    #[tokio::test]
    async fn where_the_books_cannot_be_read_nothing_is_spent_and_without_a_limit_they_are_not_asked() {
        let world = World::new();
        world.records.fail();
        assert!(matches!(world.replica(100).reserve(MicroUsd(1), LASTS).await, Err(NotReserved::Unknown(_))));
        assert!(world.replica(100).reserve(MicroUsd(0), LASTS).await.is_ok(), "what costs nothing needs no budget");
        let (records, clock) = (Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
        let unlimited = Ledger::new(records, clock, Arc::new(BudgetLimits::default), Arc::clone(&world.alerts) as _);
        assert!(Arc::new(unlimited).reserve(MicroUsd(1), LASTS).await.is_ok());
    }
}
