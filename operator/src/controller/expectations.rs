//! What we wrote and the caches have not shown us yet. A pass that starts before its own last writes have come back would decide
//! by yesterday's facts: it would write again, and report a transition twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::apply::has_reached;
use crate::objects::ObjectId;

/// An object that somebody deletes at once never comes back with our write; nobody waits longer for it than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// An object, by its kind and name.
pub type ObjectKey = (String, String);

struct Expected {
    version: String,
    since: Instant,
}

/// The versions that the caches have to reach, by the object for which they were written.
#[derive(Default)]
pub struct Expectations(Mutex<HashMap<ObjectId, HashMap<ObjectKey, Expected>>>);

impl Expectations {
    /// Notes that a write for `whom` left `object` at `version`.
    pub fn wrote(&self, whom: &ObjectId, object: ObjectKey, version: &str) {
        let expected = Expected { version: version.to_owned(), since: Instant::now() };
        self.lock().entry(whom.clone()).or_default().insert(object, expected);
    }

    /// Whether the caches, asked through `cached` for the version of an object, have shown every write for `whom`.
    pub fn are_met(&self, whom: &ObjectId, cached: impl Fn(&ObjectKey) -> Option<String>) -> bool {
        let mut all = self.lock();
        let Some(objects) = all.get_mut(whom) else { return true };
        objects.retain(|object, expected| {
            let seen = cached(object).is_some_and(|version| has_reached(&version, &expected.version));
            !seen && expected.since.elapsed() < PATIENCE
        });
        let met = objects.is_empty();
        if met {
            all.remove(whom);
        }
        met
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, whom: &ObjectId) {
        self.lock().remove(whom);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, HashMap<ObjectKey, Expected>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ObjectId {
        ObjectId { kind: "RagCluster", namespace: "ns".to_owned(), name: name.to_owned() }
    }

    fn deployment() -> ObjectKey {
        ("Deployment".to_owned(), "a-server".to_owned())
    }

    #[test]
    fn a_pass_waits_until_the_cache_has_shown_the_last_write() {
        let expectations = Expectations::default();
        assert!(expectations.are_met(&named("a"), |_| None));
        expectations.wrote(&named("a"), deployment(), "9");
        expectations.wrote(&named("a"), deployment(), "10");
        assert!(!expectations.are_met(&named("a"), |_| None));
        assert!(!expectations.are_met(&named("a"), |_| Some("9".to_owned())));
        assert!(expectations.are_met(&named("b"), |_| None));
        assert!(expectations.are_met(&named("a"), |_| Some("10".to_owned())));
    }

    #[test]
    fn what_was_seen_once_stays_seen() {
        let expectations = Expectations::default();
        expectations.wrote(&named("a"), deployment(), "10");
        assert!(expectations.are_met(&named("a"), |_| Some("11".to_owned())));
        assert!(expectations.are_met(&named("a"), |_| None));
    }

    #[test]
    fn a_cluster_that_is_gone_is_waited_for_no_longer() {
        let expectations = Expectations::default();
        expectations.wrote(&named("a"), deployment(), "10");
        expectations.forget(&named("a"));
        assert!(expectations.are_met(&named("a"), |_| None));
    }
}
