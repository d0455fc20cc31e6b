//! A service that asked to be left alone, and until when.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Until when a service is left alone. It ends by itself, and no longer one than `longest` begins: what was asked for may be a mistake, and the next call finds out.
#[derive(Debug)]
pub struct Rest {
    longest: Duration,
    until: Mutex<Option<Instant>>,
}

impl Rest {
    /// Nothing was asked for yet.
    pub fn new(longest: Duration) -> Self {
        Self { longest, until: Mutex::default() }
    }

    /// The service asked for this at `now`; the one of two rests that ends later holds.
    pub fn ask(&self, wait: Duration, now: Instant) {
        let asked = now.checked_add(wait.min(self.longest));
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(asked);
    }

    /// How long there is left of it at `now`.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_ends_by_itself_however_long_it_was_asked_for() {
        let (rest, now) = (Rest::new(Duration::from_secs(60)), Instant::now());
        assert_eq!(rest.left(now), None);
        rest.ask(Duration::ZERO, now);
        assert_eq!(rest.left(now), None);
        rest.ask(Duration::from_secs(7), now);
        rest.ask(Duration::from_secs(3), now);
        assert_eq!(rest.left(now), Some(Duration::from_secs(7)));
        rest.ask(Duration::MAX, now);
        assert_eq!(rest.left(now), Some(Duration::from_secs(60)));
        assert_eq!(rest.left(now + Duration::from_secs(60)), None);
    }
}
