//! What was spent today, by what for, client and tenant, beside what is usual: for whoever looks at costs.
//!
//! Each process adds up what it spends, and writes it down every few seconds: one record for each process and day, which nobody else writes. What all of them spent is read from there.
//! Bounds: a record has at most some two hundred rows, and goes after [`DAYS`] days; there are as many of a day as processes spent something on it. What a process spent since it wrote last is lost when it crashes, here and nowhere else: the budget does not depend on this.

mod spending;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use self::spending::{Cause, Spending};
pub use self::spending::{LEAST, LEAST_DAYS, OTHERS, TIMES};
use crate::{
    model::MicroUsd,
    ports::{Change, Clock, Kind, Payer, Put, Record, Records, StoreError, update},
};

/// Days before today that tell what is usual: a week, so that weekends are among them.
pub const DAYS: i64 = 7;
/// For how long the days before are not read again: nothing comes to them but what a process had not written by midnight.
const READ_AGAIN: Duration = Duration::from_secs(3600);
/// Records that are read in one go.
const PAGE: usize = 100;
/// Rows of a report; the others are in its total.
const SHOWN: usize = 50;

/// What is spent by all replicas.
pub struct Costs {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    /// Names this process.
    process: Uuid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What this process spent, by day; those before today go once they are written.
    own: BTreeMap<Date, Own>,
    before: Option<Before>,
    report: Option<CostReport>,
}

#[derive(Default, Clone)]
struct Own {
    spending: Spending,
    is_written: bool,
}

/// What was spent on the days before one.
#[derive(Clone)]
struct Before {
    day: Date,
    days: Vec<Spending>,
    read: Duration,
}

/// What was spent on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostReport {
    /// The day, UTC.
    #[schema(value_type = String, format = "date")]
    pub day: Date,
    /// What all servers of this corpus spent on it so far, in US dollars.
    #[schema(value_type = f64)]
    pub total_usd: MicroUsd,
    /// By what for and by whom, the most first; at most fifty rows.
    pub by: Vec<CostRow>,
    /// What is spent in a day, as the mean of the days before; null while there is none.
    #[schema(value_type = Option<f64>)]
    pub usual_usd: Option<MicroUsd>,
    /// How many days that is the mean of; at most seven.
    pub usual_days: u32,
    /// Null unless the day costs more than three times of what is usual.
    pub spike: Option<CostSpike>,
}

/// What was spent for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostRow {
    /// `generate`, `embed` or `rerank`.
    pub part: String,
    /// The client, such as `api-key.shop`; `ingestion` for jobs and `server` for what the server does by itself.
    pub client: String,
    /// The tenant; empty for the default one.
    pub tenant: String,
    /// In US dollars.
    #[schema(value_type = f64)]
    pub usd: MicroUsd,
}

/// Why a day costs much more than the days before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostSpike {
    /// What grew most, and what was spent for it today.
    pub cause: CostRow,
    /// What is spent for it in a day otherwise, in US dollars.
    #[schema(value_type = f64)]
    pub usual_usd: MicroUsd,
}

impl Costs {
    /// Nothing was spent by this process yet.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, process: Uuid::new_v4(), state: Mutex::default() }
    }

    /// So much was spent.
    pub fn add(&self, part: &str, payer: &Payer, cost: MicroUsd) {
        if cost.0 == 0 {
            return;
        }
        let (client, tenant) = (payer.client.clone(), payer.tenant.as_str().to_owned());
        let cause = Cause { part: part.to_owned(), client, tenant };
        let today = self.today();
        let mut state = self.state();
        let own = state.own.entry(today).or_default();
        own.spending.add(cause, cost);
        own.is_written = false;
    }

    /// Writes down what this process spent since it did so last.
    pub async fn keep(&self) -> Result<(), StoreError> {
        let unwritten: Vec<(Date, Spending)> = {
            let state = self.state();
            let unwritten = state.own.iter().filter(|(_, own)| !own.is_written);
            unwritten.map(|(day, own)| (*day, own.spending.clone())).collect()
        };
        for (day, spending) in unwritten {
            let (id, body) = (format!("{day}/{}", self.process), serde_json::json!(spending));
            // Nobody else writes it, so what is written twice is the same.
            update(&*self.records, Kind::Cost, &id, |_| Ok::<_, StoreError>(Change::Write(body.clone(), ()))).await?;
            let mut state = self.state();
            if let Some(own) = state.own.get_mut(&day) {
                own.is_written = own.spending == spending;
            }
        }
        let today = self.today();
        self.state().own.retain(|day, own| *day >= today || !own.is_written);
        Ok(())
    }

    /// Looks what all replicas spent, removes what is too old to matter, and says it in the log, once for all replicas, if the day is out of the ordinary.
    pub async fn look(&self) -> Result<CostReport, StoreError> {
        let today = self.today();
        let before = self.before(today).await?;
        let spent = self.spent_on(today).await?;
        let report = report(today, &spent, &before);
        self.state().report = Some(report.clone());
        if let Some(spike) = &report.spike {
            self.tell(&report, spike).await?;
        }
        Ok(report)
    }

    /// What was found when it was looked last; none before that was done once.
    pub fn report(&self) -> Option<CostReport> {
        self.state().report.clone()
    }

    async fn tell(&self, report: &CostReport, spike: &CostSpike) -> Result<(), StoreError> {
        let (id, body) = (format!("{}/told", report.day), serde_json::json!(spike));
        if let Put::Created(_) = self.records.put_if_absent(Kind::Cost, &id, body).await? {
            let CostSpike { cause, usual_usd } = spike;
            let (total, usual) = (report.total_usd, report.usual_usd.unwrap_or_default());
            tracing::warn!(
                part = cause.part, client = cause.client, tenant = cause.tenant, today = %cause.usd, usual = %usual_usd,
                "today {total} are spent, and {usual} in a day otherwise; most of it is {} for {}", cause.part, cause.client
            );
        }
        Ok(())
    }

    /// The days before this one, from the first of which anything is known.
    async fn before(&self, today: Date) -> Result<Vec<Spending>, StoreError> {
        let now = self.clock.steady();
        let known = self.state().before.clone();
        if let Some(before) = known.filter(|known| known.day == today && now < known.read + READ_AGAIN) {
            return Ok(before.days);
        }
        self.forget(today).await?;
        let mut days = Vec::new();
        for back in (1..=DAYS).rev() {
            let spent = self.spent_on(today.saturating_sub(back.days())).await?;
            if spent.total().0 > 0 || !days.is_empty() {
                days.push(spent);
            }
        }
        self.state().before = Some(Before { day: today, days: days.clone(), read: now });
        Ok(days)
    }

    /// What all processes wrote of a day.
    async fn spent_on(&self, day: Date) -> Result<Spending, StoreError> {
        let (mut all, mut after) = (Spending::default(), None::<String>);
        loop {
            let page = self.records.list(Kind::Cost, &format!("{day}/"), after.as_deref(), PAGE).await?;
            for record in page.records.iter().filter(|record| !record.id.ends_with("/told")) {
                all.join(spending(record)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Removes a page of what is too old.
    async fn forget(&self, today: Date) -> Result<(), StoreError> {
        let oldest = today.saturating_sub(DAYS.days());
        let page = self.records.list(Kind::Cost, "", None, PAGE).await?;
        for record in page.records {
            let day = record.id.split('/').next().and_then(|day| day.parse::<Date>().ok());
            if day.is_none_or(|day| day < oldest) {
                self.records.remove(Kind::Cost, &record.id, record.version).await?;
            }
        }
        Ok(())
    }

    fn today(&self) -> Date {
        self.clock.now().to_zoned(TimeZone::UTC).date()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(day: Date, spent: &Spending, before: &[Spending]) -> CostReport {
    let row = |(Cause { part, client, tenant }, usd)| CostRow { part, client, tenant, usd };
    let spike = spending::spike(spent, before);
    CostReport {
        day,
        total_usd: spent.total(),
        by: spent.by_amount().into_iter().take(SHOWN).map(row).collect(),
        usual_usd: spending::usual(before),
        usual_days: u32::try_from(before.len()).unwrap_or(u32::MAX),
        spike: spike.map(|spike| CostSpike { cause: row((spike.cause, spike.today)), usual_usd: spike.usual }),
    }
}

fn spending(record: &Record) -> Result<Spending, StoreError> {
    serde_json::from_value(record.body.clone())
        .map_err(|e| StoreError::Corrupt { what: format!("the costs {}", record.id), cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::doubles::{RecordsDouble, SetClock};

    const USD: u64 = 1_000_000;

    fn payer(client: &str, tenant: &str) -> Payer {
        Payer { client: client.to_owned(), tenant: tenant.to_owned().try_into().unwrap() }
    }

    fn costs(records: &Arc<RecordsDouble>, clock: &Arc<SetClock>) -> Costs {
        Costs::new(Arc::clone(records) as _, Arc::clone(clock) as _)
    }

    #[tokio::test]
    async fn what_all_processes_spent_today_is_added_up_by_part_client_and_tenant() {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let (one, other) = (costs(&records, &clock), costs(&records, &clock));
        assert_eq!(one.report(), None);
        for costs in [&one, &other] {
            costs.add("generate", &payer("api-key.shop", "acme"), MicroUsd(USD));
            costs.add("embed", &payer("ingestion", "acme"), MicroUsd(5));
            costs.add("rerank", &Payer::server(), MicroUsd(0));
            costs.keep().await.unwrap();
        }
        one.add("generate", &payer("api-key.shop", ""), MicroUsd(7));
        for _ in 0..2 {
            // What is written again is not counted twice.
            one.keep().await.unwrap();
        }
        let report = other.look().await.unwrap();
        let rows: Vec<_> = report.by.iter().map(|row| (row.part.as_str(), row.tenant.as_str(), row.usd.0)).collect();
        assert_eq!(rows, [("generate", "acme", 2 * USD), ("embed", "acme", 10), ("generate", "", 7)]);
        assert_eq!((report.total_usd, report.usual_usd, &report.spike), (MicroUsd(2 * USD + 17), None, &None));
        assert_eq!((other.report(), records.count(Kind::Cost).await), (Some(report), Ok(2)));
    }

    #[tokio::test]
    async fn a_day_is_compared_with_those_before_it_and_old_ones_go() {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let costs = costs(&records, &clock);
        for _ in 0..12 {
            costs.add("generate", &payer("api-key.shop", ""), MicroUsd(2 * USD));
            costs.keep().await.unwrap();
            let report = costs.look().await.unwrap();
            assert_eq!(report.spike, None, "{report:?}");
            clock.advance(SignedDuration::from_hours(24));
        }
        costs.add("embed", &payer("ingestion", ""), MicroUsd(7 * USD));
        costs.keep().await.unwrap();
        let report = costs.look().await.unwrap();
        assert_eq!((report.usual_usd, report.usual_days), (Some(MicroUsd(2 * USD)), 7));
        let spike = report.spike.unwrap();
        assert_eq!((spike.cause.part.as_str(), spike.usual_usd), ("embed", MicroUsd(0)));
        let told = async || records.get(Kind::Cost, &format!("{}/told", report.day)).await.unwrap().unwrap().version;
        let first = told().await;
        costs.look().await.unwrap();
        assert_eq!(told().await, first, "it is told once");
        assert!(records.count(Kind::Cost).await.unwrap() <= 7 + 2, "a week, today, and that it was told");
        assert!(costs.state().own.len() == 1, "what is written of the days before is not kept here");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later() {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let costs = costs(&records, &clock);
        costs.add("generate", &Payer::server(), MicroUsd(3));
        records.fail();
        assert!(costs.keep().await.is_err());
        clock.advance(SignedDuration::from_hours(24));
        costs.add("generate", &Payer::server(), MicroUsd(4));
        records.die_after(i64::MAX);
        costs.keep().await.unwrap();
        let report = costs.look().await.unwrap();
        assert_eq!((report.total_usd, report.usual_usd), (MicroUsd(4), Some(MicroUsd(3))));
    }

    #[tokio::test]
    async fn what_is_spent_while_it_is_written_is_written_the_next_time() {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let costs = costs(&records, &clock);
        costs.add("generate", &Payer::server(), MicroUsd(3));
        costs.keep().await.unwrap();
        costs.add("generate", &Payer::server(), MicroUsd(4));
        records.linger();
        let meanwhile = async {
            costs.add("generate", &Payer::server(), MicroUsd(5));
            // Midnight passes.
            clock.advance(SignedDuration::from_hours(24));
            records.answer();
        };
        let (kept, ()) = tokio::join!(costs.keep(), meanwhile);
        kept.unwrap();
        costs.keep().await.unwrap();
        assert_eq!(costs.look().await.unwrap().usual_usd, Some(MicroUsd(12)));
    }

    #[tokio::test]
    async fn days_on_which_nothing_was_spent_count_from_the_first_one_on() {
        let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
        let costs = costs(&records, &clock);
        costs.add("generate", &Payer::server(), MicroUsd(6));
        costs.keep().await.unwrap();
        clock.advance(SignedDuration::from_hours(3 * 24));
        let report = costs.look().await.unwrap();
        assert_eq!((report.usual_usd, report.usual_days), (Some(MicroUsd(2)), 3));
    }
}
