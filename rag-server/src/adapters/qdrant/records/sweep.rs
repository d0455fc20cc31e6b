//! Takes away the marks that removed records leave, once no writer can still be looking for its token in one.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use qdrant_client::qdrant::{
    DeletePoints, Direction, Filter, OrderBy, PayloadIncludeSelector, PointsSelector, Range, ScrollPoints,
    points_selector::PointsSelectorOneOf, with_payload_selector::SelectorOptions,
};

use super::{
    super::{client::Client, condition, connection::Repeat, failure::Failure, layout::strong},
    QdrantRecords, Swapped, Written,
    stored::{KIND, REMOVED, REMOVED_AT, Stored, VERSION, count},
};
use crate::ports::StoreError;

/// A mark is kept this long: far longer than a call's deadline and than clocks of replicas differ.
const KEEP_SECONDS: i64 = 600;

/// Each process sweeps at most this often.
const INTERVAL_SECONDS: i64 = 60;

/// Tries to raise the floor against others that do the same; one that loses so often leaves it to them.
const RAISE_ATTEMPTS: usize = 8;

/// Remembers when this process swept last.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    last: AtomicI64,
}

impl Sweeper {
    fn is_due(&self, now: i64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let due = now - last >= INTERVAL_SECONDS;
        due && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl QdrantRecords {
    /// Sweeps if it is time to. A failure costs some space until the next time, and nothing else.
    pub(super) async fn sweep(&self, now: Timestamp) {
        if !self.sweeper.is_due(now.as_second()) {
            return;
        }
        if let Err(error) = self.sweep_before(now.as_second() - KEEP_SECONDS).await {
            tracing::debug!(%error, "marks of removed records stay until the next sweep");
        }
    }

    /// Takes away marks older than this second, once the floor is as high as the highest of them; those that are higher stay, whatever the clocks say.
    async fn sweep_before(&self, second: i64) -> Result<(), StoreError> {
        let Some(highest) = self.highest_mark(second).await? else { return Ok(()) };
        if !self.raise_floor(highest).await? {
            return Ok(());
        }
        let mut filter = marks(second);
        // Exact: versions stay far below what a double holds.
        let below = Range { lte: Some(highest as f64), ..Range::default() };
        filter.must.push(condition::within(VERSION, below));
        let request = &DeletePoints {
            collection_name: self.collection.clone(),
            wait: Some(false),
            points: Some(PointsSelector { points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)) }),
            ordering: strong(),
            ..DeletePoints::default()
        };
        // Nothing that is below the floor is ever written again.
        let swept = |client: Client| async move { client.delete_points(request.clone()).await };
        self.connection.call(Repeat::Harmless, swept).await?;
        Ok(())
    }

    /// The highest version among the marks older than this second.
    async fn highest_mark(&self, second: i64) -> Result<Option<u64>, Failure> {
        let version = PayloadIncludeSelector { fields: vec![VERSION.to_owned()] };
        let highest_first =
            OrderBy { key: VERSION.to_owned(), direction: Some(Direction::Desc as i32), ..OrderBy::default() };
        let request = &ScrollPoints {
            collection_name: self.collection.clone(),
            filter: Some(marks(second)),
            read_consistency: self.ensure().await?,
            limit: Some(1),
            with_payload: Some(SelectorOptions::Include(version).into()),
            order_by: Some(highest_first),
            ..ScrollPoints::default()
        };
        let asked = |client: Client| async move { client.scroll(request.clone()).await };
        let found = self.connection.call(Repeat::Harmless, asked).await?;
        let version = |mut payload: std::collections::HashMap<_, _>| count(payload.remove(VERSION));
        Ok(found.result.into_iter().find_map(|point| version(point.payload)))
    }

    /// Raises the floor to at least this height; false when others changed it all the time.
    async fn raise_floor(&self, height: u64) -> Result<bool, StoreError> {
        for _ in 0..RAISE_ATTEMPTS {
            match self.floor().await? {
                Some(floor) if floor.version >= height => return Ok(true),
                Some(floor) => {
                    if let Swapped::Won = self.swap(&floor, &floor.raised(height)).await? {
                        return Ok(true);
                    }
                }
                None => self.write(&Stored::floor(height), Written::IfAbsent).await?,
            }
        }
        Ok(false)
    }
}

fn marks(before: i64) -> Filter {
    // Seconds are exact as doubles for longer than the sun will shine.
    let old = Range { lt: Some(before as f64), ..Range::default() };
    Filter::must([condition::is(KIND, REMOVED), condition::within(REMOVED_AT, old)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sweeps_once_in_a_while() {
        let sweeper = Sweeper::default();
        assert!(sweeper.is_due(1_000_000) && !sweeper.is_due(1_000_059) && sweeper.is_due(1_000_060));
    }
}
