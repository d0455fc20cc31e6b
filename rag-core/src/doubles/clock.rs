//! The clock.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::ports::Clock;

/// A clock that stands until it is set.
pub struct SetClock(Mutex<(Timestamp, Duration)>);

impl Default for SetClock {
    fn default() -> Self {
        Self(Mutex::new(("2026-11-21T08:00:00Z".parse().unwrap(), Duration::ZERO)))
    }
}

impl SetClock {
    /// Time passes.
    pub fn advance(&self, by: SignedDuration) {
        self.set(by);
        self.0.lock().unwrap().1 += by.unsigned_abs();
    }

    /// Somebody sets the wall clock to another time.
    pub fn set(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        now.0 = now.0.checked_add(by).unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn steady(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// A clock that lets something happen when it is asked for the time so many times, for what changes between two looks.
pub struct InterruptedClock<F> {
    /// How often it was asked.
    asked: AtomicUsize,
    at: usize,
    clock: Arc<SetClock>,
    happens: F,
}

impl<F: Fn() + Send + Sync> InterruptedClock<F> {
    /// Tells the time of `clock`; when it is asked for the `at`th time, `happens` comes first.
    pub fn new(clock: &Arc<SetClock>, at: usize, happens: F) -> Self {
        Self { asked: AtomicUsize::new(0), at, clock: Arc::clone(clock), happens }
    }
}

impl<F: Fn() + Send + Sync> Clock for InterruptedClock<F> {
    fn now(&self) -> Timestamp {
        if self.asked.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            (self.happens)();
        }
        self.clock.now()
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }
}
