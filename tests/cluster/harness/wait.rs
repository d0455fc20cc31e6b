//! Waiting for a condition with a deadline: the only way in which tests and measurements wait.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use backon::{BlockingRetryable, ExponentialBuilder, Retryable};
use tokio::time::timeout;

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

    fn looks(self) -> ExponentialBuilder {
        ExponentialBuilder::new().with_min_delay(self.first).with_max_delay(self.longest).without_max_times()
    }
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
    let mut last = None;
    let seen = || {
        let looked = condition();
        async { looked.await?.ok_or_else(|| anyhow!("it does not hold yet")) }
    };
    let looking = seen.retry(pace.looks()).notify(|error, _| last = Some(format!("{error:#}")));
    match timeout(limit, looking).await {
        Ok(seen) => seen,
        Err(_) => bail!("not within {limit:?}: {what}: {}", last.as_deref().unwrap_or("nothing was seen")),
    }
}

/// Looks until there is a value, in this thread; none when `limit` has passed.
pub(crate) fn seen_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    (|| look().ok_or(())).retry(Pace::BRISK.looks().with_total_delay(Some(limit))).call().ok()
}
