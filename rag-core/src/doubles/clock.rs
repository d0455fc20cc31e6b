//! The clock.

use std::{sync::Mutex, time::Duration};

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
