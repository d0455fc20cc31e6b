//! One deadline for a request, carried through everything that is done for it.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// What counts as never: a moment that the clock can still name.
const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// When a request is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

/// The deadline passed; the work was dropped where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Expired;

impl Deadline {
    /// A deadline that far from now.
    pub fn after(limit: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(limit.min(NEVER)).unwrap_or(now))
    }

    /// The earlier of this deadline and one that far from now.
    pub fn or_after(self, limit: Duration) -> Self {
        Self(self.0.min(Self::after(limit).0))
    }

    /// How long there is left; nothing once it passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Does the work, or drops it at the deadline.
    pub async fn run<F: Future>(self, work: F) -> Result<F::Output, Expired> {
        tokio::time::timeout_at(self.0, work).await.map_err(|_| Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_never_ends_is_dropped_at_the_earlier_deadline() {
        let deadline = Deadline::after(Duration::from_secs(3600)).or_after(Duration::ZERO);
        assert_eq!(deadline.run(std::future::pending::<()>()).await, Err(Expired));
        for far in [Duration::from_secs(3600), Duration::MAX] {
            assert_eq!(Deadline::after(far).or_after(far).run(async { 1 }).await, Ok(1));
        }
    }
}
