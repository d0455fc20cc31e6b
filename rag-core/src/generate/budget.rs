//! The books of one month: what was spent, and what is reserved by calls under way.
//!
//! Pure: the time is passed in. A call reserves the most that it can cost before it is made, and settles what it did cost. What is spent and reserved together never exceeds a limit, so calls side by side cannot overrun it; a reservation whose holder died ends by its time.
//! The caller keeps the books in one record per month, changed by compare-and-set.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::MicroUsd;

/// Reservations that may stand at once; the record has to stay small.
const MAX_HOLDS: usize = 4096;

/// How much may be spent, and what is told about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BudgetLimits {
    /// In a calendar month, UTC.
    pub monthly: Option<MicroUsd>,
    /// In a calendar day, UTC.
    pub daily: Option<MicroUsd>,
    /// Percent of a limit that are told once when they are spent.
    pub alert_percents: Vec<u8>,
    /// Whether a question is refused rather than answered without a provider once a limit is reached.
    pub refuse: bool,
    /// Percent of a limit from which on the cheapest provider is called first.
    pub cheaper_percent: Option<u8>,
}

impl BudgetLimits {
    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        self.monthly.is_some() || self.daily.is_some()
    }
}

/// A stretch of time that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A calendar month, UTC.
    Month,
    /// A calendar day, UTC.
    Day,
}

impl Period {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Month, Self::Day];

    /// The name, as a metric label and in sentences.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }

    /// How long it goes on after `now`.
    fn left(self, now: Timestamp) -> SignedDuration {
        let today = date(now);
        let first = match self {
            Self::Month => today.last_of_month().tomorrow(),
            Self::Day => today.tomorrow(),
        };
        let start = first.and_then(|first| first.to_zoned(TimeZone::UTC)).map(|start| start.timestamp());
        start.map_or(SignedDuration::ZERO, |start| start.duration_since(now))
    }
}

/// There is not enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) period: Period,
    pub(super) limit: MicroUsd,
    /// Until the period is over.
    pub(super) resets_in: SignedDuration,
}

/// What a call may cost, put aside until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    pub(super) id: Uuid,
    pub(super) amount: MicroAmount,
    pub(super) until: Timestamp,
}

/// Money as the record keeps it: a whole number, whatever people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct MicroAmount(pub(super) u64);

/// The books of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Books {
    month_spent: MicroAmount,
    /// The day that `day_spent` is about.
    day: Date,
    day_spent: MicroAmount,
    holds: Vec<Hold>,
    /// Percents that were told.
    month_alerts: Vec<u8>,
    day_alerts: Vec<u8>,
}

/// The record that holds the books at `now`.
pub(super) fn row(now: Timestamp) -> String {
    let today = date(now);
    format!("{:04}-{:02}", today.year(), today.month())
}

fn date(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

impl Books {
    /// Nothing spent.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            month_spent: MicroAmount(0),
            day: date(now),
            day_spent: MicroAmount(0),
            holds: Vec::new(),
            month_alerts: Vec::new(),
            day_alerts: Vec::new(),
        }
    }

    /// Puts an amount aside, unless a limit could be exceeded.
    pub(super) fn reserve(&mut self, hold: Hold, limits: &BudgetLimits, now: Timestamp) -> Result<(), Spent> {
        self.turn_to(now);
        self.holds.retain(|hold| hold.until > now);
        let held = self.holds.iter().fold(hold.amount.0, |sum, hold| sum.saturating_add(hold.amount.0));
        for (period, limit) in limited(limits) {
            if self.spent(period).0.saturating_add(held) > limit.0 {
                return Err(Spent { period, limit, resets_in: period.left(now) });
            }
        }
        if self.holds.len() >= MAX_HOLDS {
            // As if the money were gone: nothing may be spent that is not written down.
            let (period, limit) = limited(limits).next().unwrap_or((Period::Day, MicroUsd(0)));
            return Err(Spent { period, limit, resets_in: SignedDuration::from_secs(1) });
        }
        self.holds.push(hold);
        Ok(())
    }

    /// Ends a reservation with what was really spent, also when it had ended by its time.
    pub(super) fn settle(&mut self, id: Uuid, cost: MicroUsd, now: Timestamp) {
        self.turn_to(now);
        self.holds.retain(|hold| hold.id != id);
        self.month_spent.0 = self.month_spent.0.saturating_add(cost.0);
        self.day_spent.0 = self.day_spent.0.saturating_add(cost.0);
    }

    /// Whether this reservation stands.
    pub(super) fn holds(&self, id: Uuid) -> bool {
        self.holds.iter().any(|hold| hold.id == id)
    }

    /// The percents that were passed since they were asked for last, each told once in its period.
    pub(super) fn alerts(&mut self, limits: &BudgetLimits) -> Vec<(Period, u8)> {
        let mut passed = Vec::new();
        for (period, limit) in limited(limits) {
            let spent = self.spent(period).0;
            let told = match period {
                Period::Month => &mut self.month_alerts,
                Period::Day => &mut self.day_alerts,
            };
            for percent in &limits.alert_percents {
                let reached = u128::from(spent) * 100 >= u128::from(limit.0) * u128::from(*percent);
                if reached && spent > 0 && !told.contains(percent) {
                    told.push(*percent);
                    passed.push((period, *percent));
                }
            }
        }
        passed
    }

    /// The share of each limit that is spent.
    pub(super) fn shares(&self, limits: &BudgetLimits) -> Vec<(Period, f64)> {
        let share = |(period, limit): (Period, MicroUsd)| (period, self.spent(period).0 as f64 / limit.0.max(1) as f64);
        limited(limits).map(share).collect()
    }

    /// The same at `now`, when a day may be over that nothing was written down since.
    pub(super) fn shares_at(mut self, limits: &BudgetLimits, now: Timestamp) -> Vec<(Period, f64)> {
        self.turn_to(now);
        self.shares(limits)
    }

    fn spent(&self, period: Period) -> MicroAmount {
        match period {
            Period::Month => self.month_spent,
            Period::Day => self.day_spent,
        }
    }

    /// A new day begins with nothing spent. A clock that runs behind does not bring the old one back.
    fn turn_to(&mut self, now: Timestamp) {
        let today = date(now);
        if today > self.day {
            self.day = today;
            self.day_spent = MicroAmount(0);
            self.day_alerts.clear();
        }
    }
}

fn limited(limits: &BudgetLimits) -> impl Iterator<Item = (Period, MicroUsd)> {
    let month = limits.monthly.map(|limit| (Period::Month, limit));
    month.into_iter().chain(limits.daily.map(|limit| (Period::Day, limit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn limits(monthly: u64, daily: u64) -> BudgetLimits {
        let limit = |micro| Some(MicroUsd(micro)).filter(|limit| limit.0 > 0);
        BudgetLimits {
            monthly: limit(monthly),
            daily: limit(daily),
            alert_percents: vec![50, 80, 100],
            ..BudgetLimits::default()
        }
    }

    fn hold(id: u128, amount: u64, until: Timestamp) -> Hold {
        Hold { id: Uuid::from_u128(id), amount: MicroAmount(amount), until }
    }

    const NOON: &str = "2026-11-21T12:00:00Z";

    #[test]
    fn what_is_spent_and_reserved_together_never_exceeds_the_limit() {
        let (now, limits) = (at(NOON), limits(100, 0));
        let until = now + SignedDuration::from_secs(60);
        let mut books = Books::new(now);
        assert_eq!(books.reserve(hold(1, 60, until), &limits, now), Ok(()));
        let spent = books.reserve(hold(2, 41, until), &limits, now).unwrap_err();
        assert_eq!((spent.period, spent.limit), (Period::Month, MicroUsd(100)));
        books.settle(Uuid::from_u128(1), MicroUsd(10), now);
        assert_eq!(books.reserve(hold(2, 90, until), &limits, now), Ok(()));
        assert!(books.reserve(hold(3, 1, until), &limits, now).is_err());
        books.settle(Uuid::from_u128(2), MicroUsd(0), now);
        assert_eq!(books.reserve(hold(3, 90, until), &limits, now), Ok(()));
    }

    #[test]
    fn a_reservation_whose_holder_died_ends_by_its_time() {
        let (now, limits) = (at(NOON), limits(100, 0));
        let until = now + SignedDuration::from_secs(60);
        let mut books = Books::new(now);
        books.reserve(hold(1, 100, until), &limits, now).unwrap();
        assert!(books.reserve(hold(2, 1, until), &limits, now).is_err());
        let later = until;
        assert_eq!(books.reserve(hold(2, 60, later + SignedDuration::from_secs(60)), &limits, later), Ok(()));
        books.settle(Uuid::from_u128(1), MicroUsd(70), later);
        assert_eq!(books.month_spent, MicroAmount(70), "a late settlement is money all the same");
    }

    #[test]
    fn a_new_day_begins_with_nothing_spent_and_the_month_goes_on() {
        let (now, limits) = (at("2026-11-30T23:59:50Z"), limits(150, 100));
        let mut books = Books::new(now);
        books.settle(Uuid::nil(), MicroUsd(100), now);
        let spent = books.reserve(hold(1, 1, Timestamp::MAX), &limits, now).unwrap_err();
        assert_eq!((spent.period, spent.resets_in), (Period::Day, SignedDuration::from_secs(10)));
        let tomorrow = at("2026-12-01T00:00:00Z");
        assert_eq!(books.reserve(hold(1, 50, Timestamp::MAX), &limits, tomorrow), Ok(()));
        let spent = books.reserve(hold(2, 1, Timestamp::MAX), &limits, tomorrow).unwrap_err();
        assert_eq!((spent.period, spent.resets_in), (Period::Month, SignedDuration::from_hours(31 * 24)));
        books.turn_to(now);
        assert_eq!(books.day, date(tomorrow));
        assert_eq!((row(now), row(tomorrow)), ("2026-11".to_owned(), "2026-12".to_owned()));
    }

    #[test]
    fn each_percent_is_told_once_in_its_period() {
        let (now, limits) = (at(NOON), limits(1_000, 100));
        let mut books = Books::new(now);
        assert_eq!(books.alerts(&limits), []);
        books.settle(Uuid::nil(), MicroUsd(85), now);
        assert_eq!(books.alerts(&limits), [(Period::Day, 50), (Period::Day, 80)]);
        assert_eq!(books.alerts(&limits), []);
        books.settle(Uuid::nil(), MicroUsd(415), now);
        assert_eq!(books.alerts(&limits), [(Period::Month, 50), (Period::Day, 100)]);
        books.settle(Uuid::nil(), MicroUsd(60), at("2026-11-22T00:00:00Z"));
        assert_eq!(books.alerts(&limits), [(Period::Day, 50)]);
    }

    #[test]
    fn the_record_keeps_whole_millionths() {
        let mut books = Books::new(at(NOON));
        books.settle(Uuid::nil(), MicroUsd(9_007_199_254_740_993), at(NOON));
        let kept = serde_json::to_string(&books).unwrap();
        assert_eq!(serde_json::from_str::<Books>(&kept).unwrap(), books);
    }

    proptest! {
        /// Whatever is reserved and settled in whatever order: as long as nobody settles more than was reserved, no limit is overrun.
        #[test]
        fn no_sequence_of_calls_overruns_a_limit(steps in prop::collection::vec((0_u64..60, 0_u64..=100, 0_usize..4), 1..120)) {
            let (now, limits) = (at(NOON), limits(300, 200));
            let mut books = Books::new(now);
            let mut open: Vec<Hold> = Vec::new();
            for (number, (amount, share, which)) in steps.into_iter().enumerate() {
                let wanted = hold(number as u128, amount, now + SignedDuration::from_secs(60));
                if books.reserve(wanted, &limits, now).is_ok() {
                    open.push(wanted);
                }
                if which < open.len() {
                    let settled = open.swap_remove(which);
                    books.settle(settled.id, MicroUsd(settled.amount.0 * share / 100), now);
                }
                let held: u64 = books.holds.iter().map(|hold| hold.amount.0).sum();
                prop_assert!(books.month_spent.0 + held <= 300 && books.day_spent.0 + held <= 200);
                prop_assert_eq!(books.holds.len(), open.len());
            }
        }
    }
}
