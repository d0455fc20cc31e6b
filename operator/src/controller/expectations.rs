//! What we wrote and the caches have not shown us yet. A pass that starts before its own last writes have come back would decide
//! by yesterday's facts: it would write again, and report a transition twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::apply::has_reached;

/// An object that somebody deletes at once never comes back with our write; nobody waits longer for it than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// An object, by its kind and name.
pub type ObjectKey = (String, String);

type Cluster = (String, String);

struct Expected {
    version: String,
    since: Instant,
}

/// The versions that the caches have to reach, by namespace and name of the cluster.
#[derive(Default)]
pub struct Expectations(Mutex<HashMap<Cluster, HashMap<ObjectKey, Expected>>>);

impl Expectations {
    /// Notes that a write for a cluster left `object` at `version`.
    pub fn wrote(&self, cluster: (&str, &str), object: ObjectKey, version: &str) {
        let expected = Expected { version: version.to_owned(), since: Instant::now() };
        self.lock().entry(owned(cluster)).or_default().insert(object, expected);
    }

    /// Whether the caches, asked through `cached` for the version of an object, have shown every write for a cluster.
    pub fn are_met(&self, cluster: (&str, &str), cached: impl Fn(&ObjectKey) -> Option<String>) -> bool {
        let mut clusters = self.lock();
        let Some(objects) = clusters.get_mut(&owned(cluster)) else { return true };
        objects.retain(|object, expected| {
            let seen = cached(object).is_some_and(|version| has_reached(&version, &expected.version));
            !seen && expected.since.elapsed() < PATIENCE
        });
        let met = objects.is_empty();
        if met {
            clusters.remove(&owned(cluster));
        }
        met
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: (&str, &str)) {
        self.lock().remove(&owned(cluster));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Cluster, HashMap<ObjectKey, Expected>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned((namespace, name): (&str, &str)) -> Cluster {
    (namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: (&str, &str) = ("ns", "a");

    fn deployment() -> ObjectKey {
        ("Deployment".to_owned(), "a-server".to_owned())
    }

    #[test]
    fn a_pass_waits_until_the_cache_has_shown_the_last_write() {
        let expectations = Expectations::default();
        assert!(expectations.are_met(CLUSTER, |_| None));
        expectations.wrote(CLUSTER, deployment(), "9");
        expectations.wrote(CLUSTER, deployment(), "10");
        assert!(!expectations.are_met(CLUSTER, |_| None));
        assert!(!expectations.are_met(CLUSTER, |_| Some("9".to_owned())));
        assert!(expectations.are_met(("ns", "b"), |_| None));
        assert!(expectations.are_met(CLUSTER, |_| Some("10".to_owned())));
    }

    #[test]
    fn what_was_seen_once_stays_seen() {
        let expectations = Expectations::default();
        expectations.wrote(CLUSTER, deployment(), "10");
        assert!(expectations.are_met(CLUSTER, |_| Some("11".to_owned())));
        assert!(expectations.are_met(CLUSTER, |_| None));
    }

    #[test]
    fn a_cluster_that_is_gone_is_waited_for_no_longer() {
        let expectations = Expectations::default();
        expectations.wrote(CLUSTER, deployment(), "10");
        expectations.forget(CLUSTER);
        assert!(expectations.are_met(CLUSTER, |_| None));
    }
}
