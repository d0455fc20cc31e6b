//! Which of our own objects a watch asks a look at. Our own status writes come back as changes too; only what a person may have
//! changed is a reason to look.

use std::collections::{BTreeSet, HashMap, HashSet};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// What is known of the objects of a kind in a namespace, so that a change can be told from an echo.
#[derive(Default)]
pub(super) struct Generations {
    /// Uid and generation, by name.
    known: HashMap<String, (Option<String>, Option<i64>)>,
    /// What a list that is under way has named so far.
    listed: HashSet<String>,
    /// What it has changed. The cache shows a list only when it is complete.
    changed: BTreeSet<String>,
}

impl Generations {
    /// The objects to look at after `event`, which the cache has taken in already.
    pub(super) fn after<K: Resource>(&mut self, event: &Event<K>) -> Vec<String> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(object.name_any());
                if self.is_news(object) {
                    self.changed.insert(object.name_any());
                }
                Vec::new()
            }
            Event::InitDone => self.complete_list(),
            Event::Apply(object) if self.is_news(object) => vec![object.name_any()],
            Event::Apply(_) => Vec::new(),
            Event::Delete(object) => {
                self.known.remove(&object.name_any());
                vec![object.name_any()]
            }
        }
    }

    fn is_news<K: Resource>(&mut self, object: &K) -> bool {
        let now = (object.uid(), object.meta().generation);
        self.known.insert(object.name_any(), now.clone()) != Some(now)
    }

    /// What was deleted during a gap in the watch shows only by its absence.
    fn complete_list(&mut self) -> Vec<String> {
        let listed = std::mem::take(&mut self.listed);
        let gone: Vec<String> = self.known.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        self.known.retain(|name, _| listed.contains(name));
        std::mem::take(&mut self.changed).into_iter().chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RagCluster;
    use kube::core::DeserializeGuard;
    use serde_json::json;

    type GuardedCluster = DeserializeGuard<RagCluster>;

    fn cluster(name: &str, uid: &str, generation: i64) -> GuardedCluster {
        serde_json::from_value(json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "spec": {},
            "metadata": {"name": name, "namespace": "ns", "uid": uid, "generation": generation},
        }))
        .unwrap()
    }

    /// A complete list, as a watch that begins anew tells it.
    fn list(known: &mut Generations, clusters: Vec<GuardedCluster>) -> Vec<String> {
        assert!(known.after::<GuardedCluster>(&Event::Init).is_empty());
        for cluster in clusters {
            let early = known.after(&Event::InitApply(cluster));
            assert!(early.is_empty(), "the cache does not show it yet: {early:?}");
        }
        known.after::<GuardedCluster>(&Event::InitDone)
    }

    #[test]
    fn a_change_of_the_spec_asks_for_a_look_and_an_echo_does_not() {
        let mut known = Generations::default();
        assert_eq!(list(&mut known, vec![cluster("a", "u", 1)]), ["a"]);
        assert!(known.after(&Event::Apply(cluster("a", "u", 1))).is_empty());
        assert_eq!(known.after(&Event::Apply(cluster("a", "u", 2))), ["a"]);
        assert_eq!(known.after(&Event::Apply(cluster("a", "namesake", 2))), ["a"]);
        assert_eq!(known.after(&Event::Delete(cluster("a", "namesake", 2))), ["a"]);
        assert!(known.known.is_empty());
    }

    #[test]
    fn what_was_deleted_while_nobody_watched_is_looked_at_once_and_forgotten() {
        let mut known = Generations::default();
        list(&mut known, vec![cluster("gone", "u", 1), cluster("stays", "v", 1)]);
        assert_eq!(list(&mut known, vec![cluster("stays", "v", 1), cluster("new", "w", 1)]), ["new", "gone"]);
        assert_eq!(known.known.len(), 2);
        assert!(list(&mut known, vec![cluster("stays", "v", 1), cluster("new", "w", 1)]).is_empty());
    }

    #[test]
    fn a_list_that_breaks_off_loses_no_change() {
        let mut known = Generations::default();
        known.after::<GuardedCluster>(&Event::Init);
        known.after(&Event::InitApply(cluster("a", "u", 1)));
        assert_eq!(list(&mut known, vec![cluster("a", "u", 1)]), ["a"]);
    }
}
