//! Waiting for a condition with a deadline: the only way in which tests wait.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Short enough that a test does not notice, long enough that two cores do not either.
const STEP: Duration = Duration::from_millis(100);

/// Asks `condition` until it yields a value.
///
/// `Ok(None)` and `Err` both mean "not yet"; the last error is part of the failure, so that a test that times out says
/// what it last saw.
///
/// # Errors
/// When `limit` has passed.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut condition: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let started = Instant::now();
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
        tokio::time::sleep(STEP).await;
    }
}
