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
        let limits =
            BudgetLimits { daily: Some(MicroUsd(daily)), alert_percents: vec![50, 80, 100], ..BudgetLimits::default() };
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
async fn a_caller_that_goes_away_while_it_reserves_leaves_nothing_reserved() {
    let world = World::new();
    let ledger = world.replica(100);
    drop(ledger.reserve(MicroUsd(1), LASTS).await);
    settled(&world).await;
    // What is reserved is written down, and the answer to that is still on its way.
    world.records.linger();
    {
        let mut reserving = std::pin::pin!(ledger.reserve(MicroUsd(100), LASTS));
        let mut is_held = false;
        while !is_held {
            assert!(futures::poll!(&mut reserving).is_pending(), "it has its answer already");
            tokio::task::yield_now().await;
            let record = world.records.get(Kind::Budget, "2026-11").await.unwrap();
            is_held = record.is_some_and(|record| !record.body["holds"].as_array().unwrap().is_empty());
        }
    }
    world.records.answer();
    assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 0);
    assert!(ledger.reserve(MicroUsd(100), LASTS).await.is_ok());
}

#[tokio::test]
async fn what_a_call_cost_is_written_down_once_the_books_can_be_written_again() {
    let world = World::new();
    let ledger = world.replica(100);
    let mut reservation = ledger.reserve(MicroUsd(100), LASTS).await.unwrap_or_else(|_| panic!("reserved"));
    reservation.costs(MicroUsd(40));
    world.records.fail();
    let settling = tokio::spawn(reservation.settle());
    eventually("a first try failed", async || world.records.failed()).await;
    world.records.die_after(i64::MAX);
    settling.await.unwrap();
    assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 40);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_counted_once() {
    let world = World::new();
    let ledger = world.replica(100);
    drop(ledger.reserve(MicroUsd(1), LASTS).await);
    settled(&world).await;
    // Of each change the second call writes.
    world.records.lose_answer_of(2);
    let mut reservation = ledger.reserve(MicroUsd(60), LASTS).await.unwrap_or_else(|_| panic!("reserved"));
    assert_eq!(ledger.spent(MicroUsd(41)).await.map(|spent| spent.limit), Some(MicroUsd(100)), "60 are reserved");
    assert_eq!(ledger.spent(MicroUsd(40)).await, None, "and no more");
    reservation.costs(MicroUsd(40));
    world.records.lose_answer_of(2);
    reservation.settle().await;
    assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 40);
}

#[tokio::test]
async fn what_is_settled_after_it_ended_by_its_time_is_money_all_the_same() {
    let world = World::new();
    let ledger = world.replica(100);
    let mut late = ledger.reserve(MicroUsd(50), LASTS).await.unwrap_or_else(|_| panic!("reserved"));
    late.costs(MicroUsd(50));
    *world.clock.0.lock().unwrap() += SignedDuration::from_secs(90);
    drop(ledger.reserve(MicroUsd(100), LASTS).await);
    late.settle().await;
    assert_eq!(serde_json::json!(settled(&world).await)["day_spent"], 50);
}

#[tokio::test]
async fn whether_too_much_is_spent_is_told_without_reserving_anything() {
    let world = World::new();
    let ledger = world.replica(100);
    assert_eq!(ledger.spent(MicroUsd(100)).await, None);
    assert!(ledger.spent(MicroUsd(101)).await.is_some());
    let held = ledger.reserve(MicroUsd(60), LASTS).await.unwrap_or_else(|_| panic!("reserved"));
    assert_eq!((ledger.spent(MicroUsd(40)).await, ledger.spent(MicroUsd(0)).await), (None, None));
    assert!(ledger.spent(MicroUsd(41)).await.is_some());
    drop(held);
    settled(&world).await;
    assert_eq!(ledger.spent(MicroUsd(100)).await, None);
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
