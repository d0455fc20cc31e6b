//! The time, passed in so that tests can set it.

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> jiff::Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
