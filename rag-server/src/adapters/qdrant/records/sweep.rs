//! Takes away the marks that removed records leave, once no writer can still be looking for its token in one.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use qdrant_client::{
    Qdrant,
    qdrant::{DeletePoints, Filter, PointsSelector, Range, points_selector::PointsSelectorOneOf},
};

use super::{
    super::{condition, connection::QdrantConnection, strong},
    stored::{KIND, REMOVED, REMOVED_AT},
};

/// A mark is kept this long: far longer than a call's deadline and than clocks of replicas differ.
const KEEP_SECONDS: i64 = 600;

/// Each process sweeps at most this often.
const INTERVAL_SECONDS: i64 = 60;

/// Remembers when this process swept last.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    last: AtomicI64,
}

impl Sweeper {
    /// Sweeps if it is time to. A failure costs some space until the next time, and nothing else.
    pub(super) async fn sweep(&self, connection: &QdrantConnection, collection: &str, now: Timestamp) {
        if !self.is_due(now.as_second()) {
            return;
        }
        let request = &request(collection, now.as_second());
        let swept = connection.call(|client: Qdrant| async move { client.delete_points(request.clone()).await }).await;
        if let Err(failure) = swept {
            tracing::debug!(error = %failure.error, "marks of removed records stay until the next sweep");
        }
    }

    fn is_due(&self, now: i64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let due = now - last >= INTERVAL_SECONDS;
        due && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn request(collection: &str, now: i64) -> DeletePoints {
    // Seconds are exact as doubles for longer than the sun will shine.
    let old = Range { lt: Some((now - KEEP_SECONDS) as f64), ..Range::default() };
    let filter = Filter::must([condition::is(KIND, REMOVED), condition::within(REMOVED_AT, old)]);
    DeletePoints {
        collection_name: collection.to_owned(),
        wait: Some(false),
        points: Some(PointsSelector { points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)) }),
        ordering: strong(),
        ..DeletePoints::default()
    }
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
