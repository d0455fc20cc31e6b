//! What embedding and reranking services take: the same budget as answers, and a quota that all replicas share.
//!
//! ```text
//! budget -> quota -> the call -> what it took -> settled, and counted for who pays
//! ```

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::ledger::{Ledger, NotReserved, Reservation};
use crate::{
    model::MicroUsd,
    ports::{Bill, Fare, NotAdmitted, Payer, Toll, Trip},
    quota::{Amount, NotGranted, Quota},
};

/// When to ask again what is left, where the records did not tell.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What a service charges that writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServicePrice {
    /// For a million tokens that it reads.
    pub million_tokens: MicroUsd,
    /// For a thousand of what it bills by the piece.
    pub thousand_requests: MicroUsd,
}

impl ServicePrice {
    fn of(self, fare: Fare) -> MicroUsd {
        self.million_tokens.for_tokens(fare.tokens).plus(self.thousand_requests.for_requests(fare.requests))
    }
}

/// A service that is paid for.
pub struct ServiceToll {
    part: &'static str,
    price: ServicePrice,
    ledger: Arc<Ledger>,
    quota: Quota,
}

impl ServiceToll {
    /// What a service takes that does this part of the work, such as `embed`.
    pub fn new(part: &'static str, price: ServicePrice, ledger: Arc<Ledger>, quota: Quota) -> Self {
        Self { part, price, ledger, quota }
    }
}

#[async_trait]
impl Toll for ServiceToll {
    async fn admit(&self, Trip { estimate, most, lasts, patience }: Trip) -> Result<Box<dyn Bill>, NotAdmitted> {
        let reservation = self.ledger.reserve(self.price.of(most), lasts).await.map_err(not_reserved)?;
        self.quota.take(Amount::request(estimate.tokens), patience).await.map_err(not_granted)?;
        let (part, price, ledger) = (self.part, self.price, Arc::clone(&self.ledger));
        let (payer, cost) = (Payer::current(), MicroUsd(0));
        Ok(Box::new(Owed { part, price, ledger, payer, cost, reservation }))
    }
}

fn not_reserved(refused: NotReserved) -> NotAdmitted {
    match refused {
        NotReserved::Spent(spent) => {
            let retry_after = Duration::try_from(spent.resets_in).unwrap_or(ASK_AGAIN);
            NotAdmitted::OverBudget { retry_after }
        }
        NotReserved::Unknown(error) => {
            tracing::warn!(%error, "it is not known what is left of the budget");
            NotAdmitted::Unknown { retry_after: ASK_AGAIN }
        }
    }
}

fn not_granted(refused: NotGranted) -> NotAdmitted {
    match refused {
        NotGranted::Used { retry_after } => NotAdmitted::RateLimited { retry_after },
        NotGranted::Unknown { error, .. } => {
            tracing::warn!(%error, "it is not known what is left of the rate limit");
            NotAdmitted::Unknown { retry_after: ASK_AGAIN }
        }
    }
}

/// See [`Bill`].
struct Owed {
    part: &'static str,
    price: ServicePrice,
    ledger: Arc<Ledger>,
    payer: Payer,
    cost: MicroUsd,
    /// Dropped, it settles by itself.
    reservation: Reservation,
}

impl Bill for Owed {
    fn owes(&mut self, fare: Fare) {
        self.cost = self.price.of(fare);
        self.reservation.costs(self.cost);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.ledger.spent_on(self.part, &self.payer, self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles::{RecordsDouble, SetClock, eventually},
        generate::{BudgetLimits, NoMeter},
        ports::{Kind, Records},
        quota::Limits,
    };

    const PRICE: ServicePrice =
        ServicePrice { million_tokens: MicroUsd(1_000_000), thousand_requests: MicroUsd(2_000) };

    /// A toll whose budget is so many millionths a day, and whose quota so many requests a minute.
    fn toll(records: &Arc<RecordsDouble>, daily: u64, requests: u64) -> ServiceToll {
        let (clock, limits) =
            (Arc::<SetClock>::default(), BudgetLimits { daily: Some(MicroUsd(daily)), ..BudgetLimits::default() });
        let ledger = Ledger::new(
            Arc::clone(records) as _,
            Arc::clone(&clock) as _,
            Arc::new(move || limits.clone()),
            Arc::new(NoMeter),
        );
        let limits = Limits { requests: Some(requests), tokens: None };
        let quota = Quota::new("embedding_provider", limits, Arc::clone(records) as _, clock);
        ServiceToll::new("embed", PRICE, Arc::new(ledger), quota)
    }

    fn trip(tokens: u64) -> Trip {
        let fare = Fare { tokens, requests: 1 };
        Trip { estimate: fare, most: fare, lasts: Duration::from_secs(5), patience: Duration::ZERO }
    }

    async fn spent(records: &RecordsDouble) -> (u64, usize) {
        let record = records.get(Kind::Budget, "2026-11").await.unwrap().unwrap();
        (record.body["day_spent"].as_u64().unwrap(), record.body["holds"].as_array().unwrap().len())
    }

    #[tokio::test]
    async fn a_call_reserves_its_bound_and_settles_what_it_took() {
        let records = Arc::<RecordsDouble>::default();
        let toll = toll(&records, 100, 10);
        let mut bill = toll.admit(trip(90)).await.unwrap();
        assert_eq!(spent(&records).await, (0, 1));
        // 90 tokens and a request are 92 of 100.
        assert!(matches!(toll.admit(trip(7)).await, Err(NotAdmitted::OverBudget { .. })));
        bill.owes(Fare { tokens: 10, requests: 1 });
        drop(bill);
        eventually("it is settled", async || spent(&records).await == (12, 0)).await;
        drop(toll.admit(trip(80)).await.unwrap());
        eventually("what was never sent costs nothing", async || spent(&records).await == (12, 0)).await;
    }

    #[tokio::test]
    async fn a_quota_that_is_used_up_and_records_that_are_away_keep_a_call_from_being_made() {
        let records = Arc::<RecordsDouble>::default();
        let toll = toll(&records, 1_000, 1);
        drop(toll.admit(trip(1)).await.unwrap());
        assert!(matches!(toll.admit(trip(1)).await, Err(NotAdmitted::RateLimited { .. })));
        eventually("nothing stays reserved", async || spent(&records).await == (0, 0)).await;
        records.fail();
        assert!(matches!(toll.admit(trip(1)).await, Err(NotAdmitted::Unknown { .. })));
    }
}
