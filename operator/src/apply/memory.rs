//! What was wanted of each child when it was last settled.
//!
//! Two uses. A field that is gone although the plan has not changed was removed by a person. And a difference that the API server
//! insists on (it drops a field that it does not know, or an admission webhook changes it back) is applied once and then left,
//! instead of being fought over for ever. Lost with the process, at the price of one request.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::drift::Difference;

type Cluster = (String, String);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Settled {
    wanted: u64,
    remaining: u64,
}

/// The memory, by cluster and uid of the child.
#[derive(Default)]
pub struct Unsettled(Mutex<HashMap<Cluster, HashMap<String, Settled>>>);

impl Unsettled {
    /// Whether exactly this was applied before, and left exactly these differences.
    pub(super) fn is_known(&self, cluster: (&str, &str), uid: &str, wanted: &Value, found: &[Difference]) -> bool {
        self.get(cluster, uid) == Some(settled(wanted, found))
    }

    /// Whether exactly this was wanted of the child when it was last settled.
    pub(super) fn was_wanted(&self, cluster: (&str, &str), uid: &str, wanted: &Value) -> bool {
        self.get(cluster, uid).is_some_and(|before| before.wanted == hash(&wanted.to_string()))
    }

    /// Notes what was wanted and which differences remained.
    pub(super) fn note(&self, cluster: (&str, &str), uid: &str, wanted: &Value, remaining: &[Difference]) {
        let cluster = (cluster.0.to_owned(), cluster.1.to_owned());
        self.lock().entry(cluster).or_default().insert(uid.to_owned(), settled(wanted, remaining));
    }

    /// Forgets a child that was removed.
    pub(super) fn forget_child(&self, cluster: (&str, &str), uid: &str) {
        if let Some(children) = self.lock().get_mut(&(cluster.0.to_owned(), cluster.1.to_owned())) {
            children.remove(uid);
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: (&str, &str)) {
        self.lock().remove(&(cluster.0.to_owned(), cluster.1.to_owned()));
    }

    fn get(&self, cluster: (&str, &str), uid: &str) -> Option<Settled> {
        self.lock().get(&(cluster.0.to_owned(), cluster.1.to_owned()))?.get(uid).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Cluster, HashMap<String, Settled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settled(wanted: &Value, remaining: &[Difference]) -> Settled {
    Settled { wanted: hash(&wanted.to_string()), remaining: hash(remaining) }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::drift::Cause;
    use serde_json::json;

    const CLUSTER: (&str, &str) = ("ns", "a");

    fn dropped() -> Vec<Difference> {
        vec![Difference { path: "spec.behavior.scaleDown.tolerance".into(), cause: Cause::Ours }]
    }

    #[test]
    fn a_difference_that_stays_is_left_until_the_plan_or_the_difference_changes() {
        let memory = Unsettled::default();
        let wanted = json!({"spec": 1});
        assert!(!memory.is_known(CLUSTER, "u", &wanted, &dropped()));
        memory.note(CLUSTER, "u", &wanted, &dropped());
        assert!(memory.is_known(CLUSTER, "u", &wanted, &dropped()));
        assert!(!memory.is_known(CLUSTER, "u", &json!({"spec": 2}), &dropped()));
        assert!(!memory.is_known(CLUSTER, "u", &wanted, &[]));
        assert!(!memory.is_known(CLUSTER, "v", &wanted, &dropped()));
        memory.forget(CLUSTER);
        assert!(!memory.is_known(CLUSTER, "u", &wanted, &dropped()));
    }

    #[test]
    fn an_unchanged_plan_is_recognised() {
        let memory = Unsettled::default();
        memory.note(CLUSTER, "u", &json!({"spec": 1}), &[]);
        assert!(memory.was_wanted(CLUSTER, "u", &json!({"spec": 1})));
        assert!(!memory.was_wanted(CLUSTER, "u", &json!({"spec": 2})));
    }
}
