//! What was spent on a day, by what for and by whom, and whether that is out of the ordinary.
//!
//! Pure. The tables are bounded: who comes when one is full is counted among the others.

use serde::{Deserialize, Serialize};

use crate::model::MicroUsd;

/// Rows of the table of one process: parts, clients and tenants of a day. With names of their greatest length it has some 40 KB.
const MAX_ROWS: usize = 200;
/// The name of those that have no row of their own.
pub const OTHERS: &str = "(others)";
/// A day that costs more than so many times the usual one is out of the ordinary: less is what a busy day costs.
pub const TIMES: u64 = 3;
/// Days that are needed to know what is usual.
pub const LEAST_DAYS: usize = 3;
/// Below this nobody has to be told.
pub const LEAST: MicroUsd = MicroUsd(1_000_000);

/// What for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cause {
    /// `generate`, `embed` or `rerank`.
    pub(super) part: String,
    /// The client, such as `api-key.shop`; `ingestion` and `server` are the server's own.
    pub(super) client: String,
    /// The tenant; empty for the default one.
    pub(super) tenant: String,
}

impl Cause {
    fn others(part: &str) -> Self {
        Self { part: part.to_owned(), client: OTHERS.to_owned(), tenant: OTHERS.to_owned() }
    }
}

/// What was spent for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    cause: Cause,
    micro_usd: u64,
}

/// What was spent on a day, most first in no particular order of causes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Spending(Vec<Row>);

impl Spending {
    /// So much more was spent.
    pub(super) fn add(&mut self, cause: Cause, cost: MicroUsd) {
        let cause = if self.has(&cause) || self.0.len() < MAX_ROWS { cause } else { Cause::others(&cause.part) };
        match self.0.iter_mut().find(|row| row.cause == cause) {
            Some(row) => row.micro_usd = row.micro_usd.saturating_add(cost.0),
            None => self.0.push(Row { cause, micro_usd: cost.0 }),
        }
    }

    /// Together with what was spent elsewhere.
    pub(super) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|row| self.add(row.cause, MicroUsd(row.micro_usd)));
    }

    /// All of it.
    pub(super) fn total(&self) -> MicroUsd {
        self.0.iter().fold(MicroUsd(0), |sum, row| sum.plus(MicroUsd(row.micro_usd)))
    }

    /// What was spent for one cause.
    pub(super) fn of(&self, cause: &Cause) -> MicroUsd {
        self.0.iter().find(|row| row.cause == *cause).map_or(MicroUsd(0), |row| MicroUsd(row.micro_usd))
    }

    /// Each cause with what was spent for it, the most first.
    pub(super) fn by_amount(&self) -> Vec<(Cause, MicroUsd)> {
        let mut rows: Vec<_> = self.0.iter().map(|row| (row.cause.clone(), MicroUsd(row.micro_usd))).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }

    fn has(&self, cause: &Cause) -> bool {
        self.0.iter().any(|row| row.cause == *cause)
    }
}

/// A day that costs much more than those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spike {
    /// What grew most.
    pub(super) cause: Cause,
    /// What was spent for that today.
    pub(super) today: MicroUsd,
    /// What was usually spent for it in a day.
    pub(super) usual: MicroUsd,
}

/// What is usually spent in a day: the mean of the days before, those without any among them.
pub(super) fn usual(before: &[Spending]) -> Option<MicroUsd> {
    let total = before.iter().fold(MicroUsd(0), |sum, day| sum.plus(day.total()));
    mean(total, before.len())
}

/// Whether today is out of the ordinary, and what most of that is. `before` are the days before it, in any order, those on which nothing was spent included.
pub(super) fn spike(today: &Spending, before: &[Spending]) -> Option<Spike> {
    let usually = usual(before).filter(|_| before.len() >= LEAST_DAYS)?;
    let total = today.total();
    if total < LEAST || total.0 <= usually.0.saturating_mul(TIMES) {
        return None;
    }
    let usual_of = |cause: &Cause| {
        let total = before.iter().fold(MicroUsd(0), |sum, day| sum.plus(day.of(cause)));
        mean(total, before.len()).unwrap_or_default()
    };
    let grown = today.by_amount().into_iter().map(|(cause, today)| {
        let usual = usual_of(&cause);
        Spike { cause, today, usual }
    });
    grown.max_by_key(|spike| spike.today.minus(spike.usual))
}

fn mean(total: MicroUsd, days: usize) -> Option<MicroUsd> {
    Some(MicroUsd(total.0.checked_div(days as u64)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(part: &str, client: &str) -> Cause {
        Cause { part: part.to_owned(), client: client.to_owned(), tenant: String::new() }
    }

    /// A day, in dollars.
    fn day(rows: &[(&str, &str, u64)]) -> Spending {
        let mut day = Spending::default();
        rows.iter().for_each(|(part, client, usd)| day.add(cause(part, client), MicroUsd(usd * 1_000_000)));
        day
    }

    #[test]
    fn a_day_beyond_three_times_the_usual_one_names_what_grew_most() {
        let usual = day(&[("generate", "shop", 10), ("embed", "ingestion", 1)]);
        let before = vec![usual; 7];
        // The shop still spends most, and the ingestion is why.
        let today = day(&[("generate", "shop", 20), ("embed", "ingestion", 18)]);
        let spike = spike(&today, &before).unwrap();
        assert_eq!(
            (spike.cause, spike.today, spike.usual),
            (cause("embed", "ingestion"), MicroUsd(18_000_000), MicroUsd(1_000_000))
        );
        let busy = day(&[("generate", "shop", 32), ("embed", "ingestion", 1)]);
        assert_eq!(super::spike(&busy, &before), None, "three times is no more than that");
    }

    #[test]
    fn who_was_never_there_before_may_be_the_cause() {
        let before = vec![day(&[("generate", "shop", 5)]); 3];
        let today = day(&[("generate", "shop", 5), ("generate", "crawler", 12)]);
        assert_eq!(spike(&today, &before).unwrap().cause, cause("generate", "crawler"));
    }

    #[test]
    fn without_some_days_before_and_for_small_sums_nothing_is_out_of_the_ordinary() {
        let today = day(&[("generate", "shop", 100)]);
        assert_eq!(spike(&today, &[]), None);
        assert_eq!(spike(&today, &[day(&[]), day(&[])]), None);
        assert!(spike(&today, &[day(&[]), day(&[]), day(&[])]).is_some(), "days without any are days");
        let mut small = Spending::default();
        small.add(cause("generate", "shop"), MicroUsd(999_999));
        assert_eq!(spike(&small, &[day(&[]), day(&[]), day(&[])]), None);
    }

    #[test]
    fn a_table_is_bounded_and_loses_nothing() {
        let mut day = Spending::default();
        (0..1_000).for_each(|n| day.add(cause("generate", &n.to_string()), MicroUsd(1)));
        day.add(cause("generate", "0"), MicroUsd(1));
        assert_eq!((day.total(), day.0.len()), (MicroUsd(1_001), MAX_ROWS + 1));
        assert_eq!(day.of(&cause("generate", "0")), MicroUsd(2));
        assert_eq!(day.of(&Cause::others("generate")), MicroUsd(1_000 - MAX_ROWS as u64));
    }
}
