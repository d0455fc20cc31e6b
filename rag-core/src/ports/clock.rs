//! The time, passed in so that tests can set it.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock: what other processes can be told, and what somebody may set to another time.
    fn now(&self) -> jiff::Timestamp;

    /// How long ago a fixed moment was, by a clock that nobody sets and that goes on while the process is stopped: what a process measures its own waiting with.
    fn steady(&self) -> Duration {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        BEGUN.get_or_init(Instant::now).elapsed()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
