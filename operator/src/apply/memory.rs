//! What was wanted of each child when it was last settled, and which version our last write made of it.
//!
//! Three uses. A field that is gone although the plan has not changed was removed by a person. A difference that the API server
//! insists on (it drops a field that it does not know, or an admission webhook changes it back) is applied once and then left,
//! instead of being fought over for ever. And a cache that is behind our own write says nothing about anybody. Lost with the
//! process, at the price of one request.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::drift::Difference;
use super::version;
use crate::objects::ObjectId;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Settled {
    wanted: u64,
    remaining: u64,
}

/// Our last write of a child, by the versions around it.
struct Change {
    before: Option<String>,
    after: String,
}

#[derive(Default)]
struct Child {
    settled: Option<Settled>,
    change: Option<Change>,
}

/// The memory, by the object that owns them and the uid of the child.
#[derive(Default)]
pub struct Unsettled(Mutex<HashMap<ObjectId, HashMap<String, Child>>>);

impl Unsettled {
    /// Whether exactly this was applied before, and left exactly these differences.
    pub(super) fn is_known(&self, owner: &ObjectId, uid: &str, wanted: &Value, found: &[Difference]) -> bool {
        self.get(owner, uid) == Some(settled(wanted, found))
    }

    /// Whether exactly this was wanted of the child when it was last settled.
    pub(super) fn was_wanted(&self, owner: &ObjectId, uid: &str, wanted: &Value) -> bool {
        self.get(owner, uid).is_some_and(|before| before.wanted == hash(&wanted.to_string()))
    }

    /// Notes what was wanted and which differences remained.
    pub(super) fn note(&self, owner: &ObjectId, uid: &str, wanted: &Value, remaining: &[Difference]) {
        let settled = settled(wanted, remaining);
        self.change(owner, uid, |child| child.settled = Some(settled));
    }

    /// Notes that a write of ours made the version `after` of a child; `before` is the one that it was decided by.
    pub(super) fn wrote(&self, owner: &ObjectId, uid: &str, before: Option<&str>, after: &str) {
        let change = Change { before: before.map(str::to_owned), after: after.to_owned() };
        self.change(owner, uid, |child| child.change = Some(change));
    }

    /// Whether a child that is `shown` at this version is older than our last write of it.
    pub(super) fn is_behind(&self, owner: &ObjectId, uid: &str, shown: &str) -> bool {
        let all = self.lock();
        let child = all.get(owner).and_then(|children| children.get(uid));
        let change = child.and_then(|child| child.change.as_ref());
        change.is_some_and(|change| version::is_behind(shown, change.before.as_deref(), &change.after))
    }

    /// Forgets a child that was removed.
    pub(super) fn forget_child(&self, owner: &ObjectId, uid: &str) {
        if let Some(children) = self.lock().get_mut(owner) {
            children.remove(uid);
        }
    }

    /// Forgets an object that is gone, with its children.
    pub fn forget(&self, owner: &ObjectId) {
        self.lock().remove(owner);
    }

    fn get(&self, owner: &ObjectId, uid: &str) -> Option<Settled> {
        self.lock().get(owner)?.get(uid)?.settled
    }

    fn change(&self, owner: &ObjectId, uid: &str, change: impl FnOnce(&mut Child)) {
        change(self.lock().entry(owner.clone()).or_default().entry(uid.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, HashMap<String, Child>>> {
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

    fn named(name: &str) -> ObjectId {
        ObjectId { kind: "RagCluster", namespace: "ns".to_owned(), name: name.to_owned() }
    }

    fn dropped() -> Vec<Difference> {
        vec![Difference { path: "spec.behavior.scaleDown.tolerance".into(), cause: Cause::Ours }]
    }

    #[test]
    fn a_difference_that_stays_is_left_until_the_plan_or_the_difference_changes() {
        let memory = Unsettled::default();
        let wanted = json!({"spec": 1});
        assert!(!memory.is_known(&named("a"), "u", &wanted, &dropped()));
        memory.note(&named("a"), "u", &wanted, &dropped());
        assert!(memory.is_known(&named("a"), "u", &wanted, &dropped()));
        assert!(!memory.is_known(&named("a"), "u", &json!({"spec": 2}), &dropped()));
        assert!(!memory.is_known(&named("a"), "u", &wanted, &[]));
        assert!(!memory.is_known(&named("a"), "v", &wanted, &dropped()));
        memory.forget(&named("a"));
        assert!(!memory.is_known(&named("a"), "u", &wanted, &dropped()));
    }

    #[test]
    fn an_unchanged_plan_is_recognised() {
        let memory = Unsettled::default();
        memory.note(&named("a"), "u", &json!({"spec": 1}), &[]);
        assert!(memory.was_wanted(&named("a"), "u", &json!({"spec": 1})));
        assert!(!memory.was_wanted(&named("a"), "u", &json!({"spec": 2})));
    }

    #[test]
    fn what_is_settled_and_what_was_written_are_kept_side_by_side_until_the_child_is_gone() {
        let memory = Unsettled::default();
        assert!(!memory.is_behind(&named("a"), "u", "1"), "nothing was written yet");
        memory.wrote(&named("a"), "u", Some("1"), "3");
        memory.note(&named("a"), "u", &json!({"spec": 1}), &[]);
        assert!(memory.is_behind(&named("a"), "u", "2") && !memory.is_behind(&named("a"), "u", "3"));
        assert!(memory.was_wanted(&named("a"), "u", &json!({"spec": 1})));
        assert!(!memory.is_behind(&named("a"), "v", "2") && !memory.is_behind(&named("b"), "u", "2"));
        memory.forget_child(&named("a"), "u");
        assert!(!memory.is_behind(&named("a"), "u", "2"));
    }
}
