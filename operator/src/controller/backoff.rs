//! When an object whose pass failed is looked at again: by the class of the error and by how often it failed in a row.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Class;
use crate::objects::ObjectId;

/// The first pause after a transient error; doubles with each further one.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause: an API server that recovers after hours is noticed within minutes.
const LONGEST: Duration = Duration::from_secs(300);

/// A Role is mended by a person, and nothing tells us when.
const FORBIDDEN: Duration = Duration::from_secs(60);

/// The first retries after a conflict only wait for the cache to see the other write.
const CONFLICT: Duration = Duration::from_millis(50);

/// What was last seen of an object may be said for so long while it cannot be looked at: an API server is gone for seconds when it
/// starts anew.
const LASTS: Duration = Duration::from_secs(30);

/// A conflict that repeats this often is a fight with another writer, not a race.
const CONFLICTS_AT_ONCE: u32 = 5;

/// Failures in a row, by object.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<ObjectId, Failing>>,
}

struct Failing {
    count: u32,
    since: Instant,
    until: Instant,
}

impl Backoff {
    /// Notes a failure at `now` and returns the pause before the next look. `jitter` in 0..1 spreads the retries of many objects.
    ///
    /// Watches may ask for a look before a pause is over; a failure then is still the same one, and the pause does not grow.
    pub fn failed(&self, object: &ObjectId, class: Class, jitter: f64, now: Instant) -> Duration {
        let mut failures = self.lock();
        let first = Failing { count: 0, since: now, until: now };
        let failing = failures.entry(object.clone()).or_insert(first);
        if now >= failing.until {
            failing.count = failing.count.saturating_add(1);
        }
        let pause = pause(class, failing.count).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0);
        failing.until = failing.until.max(now + pause);
        pause
    }

    /// Whether the passes over an object have failed for so long that what was seen before them says nothing about now.
    pub fn lasts(&self, object: &ObjectId, now: Instant) -> bool {
        let failures = self.lock();
        let failing = failures.get(object);
        failing.is_some_and(|failing| now.saturating_duration_since(failing.since) > LASTS)
    }

    /// Forgets all failures of an object: a pass over it has succeeded, or it is gone.
    pub fn reset(&self, object: &ObjectId) {
        self.lock().remove(object);
    }

    /// How many objects wait for a retry.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no object waits for a retry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Failing>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after the failure number `count` in a row.
fn pause(class: Class, count: u32) -> Duration {
    let growing = |count: u32| FIRST.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1))).min(LONGEST);
    match class {
        Class::Conflict if count <= CONFLICTS_AT_ONCE => CONFLICT,
        Class::Conflict => growing(count - CONFLICTS_AT_ONCE),
        Class::Transient => growing(count),
        Class::Forbidden => FORBIDDEN,
        Class::Invalid => LONGEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn named(name: &str) -> ObjectId {
        ObjectId { kind: "RagCluster", namespace: "ns".to_owned(), name: name.to_owned() }
    }

    fn pauses(class: Class, count: usize) -> Vec<u128> {
        let backoff = Backoff::default();
        let mut now = Instant::now();
        let mut failed = || {
            let pause = backoff.failed(&named("a"), class, 0.0, now);
            now += pause;
            pause.as_millis()
        };
        (0..count).map(|_| failed()).collect()
    }

    #[test]
    fn transient_errors_back_off_up_to_the_longest_pause() {
        assert_eq!(pauses(Class::Transient, 4), [500, 1_000, 2_000, 4_000]);
        assert_eq!(pauses(Class::Transient, 100).last(), Some(&300_000));
    }

    #[test]
    fn a_conflict_is_tried_again_at_once_but_not_forever() {
        assert_eq!(pauses(Class::Conflict, 8), [50, 50, 50, 50, 50, 500, 1_000, 2_000]);
    }

    #[test]
    fn a_missing_verb_is_tried_slowly_and_an_invalid_child_more_slowly() {
        assert_eq!(pauses(Class::Forbidden, 2), [60_000, 60_000]);
        assert_eq!(pauses(Class::Invalid, 1), [300_000]);
    }

    #[test]
    fn success_starts_over_for_this_cluster_alone() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        backoff.failed(&named("a"), Class::Transient, 0.0, now);
        backoff.failed(&named("b"), Class::Transient, 0.0, now);
        backoff.reset(&named("a"));
        assert_eq!(backoff.len(), 1);
        assert_eq!(backoff.failed(&named("a"), Class::Transient, 0.0, now + FIRST), FIRST);
        assert_eq!(backoff.failed(&named("b"), Class::Transient, 0.0, now + FIRST), FIRST * 2);
    }

    #[test]
    fn what_was_seen_before_counts_for_half_a_minute_of_failures() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let lasts = |seconds| backoff.lasts(&named("a"), now + Duration::from_secs(seconds));
        assert!(!lasts(60));
        backoff.failed(&named("a"), Class::Transient, 0.0, now);
        backoff.failed(&named("a"), Class::Transient, 0.0, now + Duration::from_secs(20));
        assert!(!lasts(30) && lasts(31));
        assert!(!backoff.lasts(&named("b"), now + Duration::from_secs(60)));
        backoff.reset(&named("a"));
        assert!(!lasts(60));
    }

    #[test]
    fn a_burst_of_changes_does_not_lengthen_the_pause() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(backoff.failed(&named("a"), Class::Transient, 0.0, now), FIRST);
        }
    }

    proptest! {
        #[test]
        fn a_pause_never_shrinks_with_failures_nor_leaves_its_bounds(count in 1_u32.., jitter in -9.0..9.0_f64) {
            for class in [Class::Conflict, Class::Transient, Class::Forbidden, Class::Invalid] {
                prop_assert!(pause(class, count) <= pause(class, count.saturating_add(1)));
                let jittered = pause(class, count).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0);
                prop_assert!(jittered >= CONFLICT && jittered <= LONGEST.mul_f64(1.25));
            }
        }
    }
}
