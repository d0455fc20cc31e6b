//! Waiting for a condition with a deadline: the only way in which tests and measurements wait.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between the first two looks; it doubles each time.
    pub first: Duration,
    /// Between two looks in the end.
    pub longest: Duration,
}

impl Pace {
    /// Short enough that a test does not notice, long enough that two cores do not either.
    const STEADY: Self = Self { first: Duration::from_millis(100), longest: Duration::from_millis(100) };
    /// For what takes milliseconds, in the thread that waits.
    const BRISK: Self = Self { first: Duration::from_millis(20), longest: Duration::from_millis(20) };
}

/// Asks `condition` until it yields a value.
///
/// `Ok(None)` and `Err` both mean "not yet"; the last error is part of the failure, so that a test that times out says
/// what it last saw.
///
/// # Errors
/// When `limit` has passed.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, condition: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    until_at(Pace::STEADY, what, limit, condition).await
}

/// The same at another pace, for a measurement.
///
/// # Errors
/// When `limit` has passed.
pub async fn until_at<T, F, Fut>(pace: Pace, what: &str, limit: Duration, mut condition: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let (started, mut step) = (Instant::now(), pace.first);
    loop {
        let last = match condition().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if started.elapsed() >= limit {
            match last {
                Some(error) => return Err(error.context(format!("not within {limit:?}: {what}"))),
                None => bail!("not within {limit:?}: {what}"),
            }
        }
        tokio::time::sleep(step).await;
        step = (step * 2).min(pace.longest);
    }
}

/// Looks until there is a value, in this thread; none when `limit` has passed.
pub(crate) fn seen_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || started.elapsed() >= limit {
            return seen;
        }
        std::thread::sleep(Pace::BRISK.first);
    }
}
