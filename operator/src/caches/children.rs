//! The children of one kind in a namespace, and whose each of them is: a pass looks at those of its own cluster and not at everybody's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use super::Kind;
use crate::api::labels;

/// A cache of children that is asked by cluster or by name.
#[derive(Clone)]
pub struct Children<K: Kind>
where
    ObjectRef<K>: Hash + Eq,
{
    cache: Store<K>,
    owners: Owners,
    namespace: Arc<str>,
}

impl<K: Kind> Children<K>
where
    ObjectRef<K>: Hash + Eq,
{
    pub(super) fn new(cache: Store<K>, owners: Owners, namespace: &str) -> Self {
        Self { cache, owners, namespace: namespace.into() }
    }

    /// The object of this name, whoever's it is.
    pub fn named(&self, name: &str) -> Option<Arc<K>> {
        self.cache.get(&ObjectRef::new(name).within(&self.namespace))
    }

    /// What names this uid as an owner, or in its label, in the order of the names: decisions must not depend on chance.
    pub fn of(&self, uid: &str) -> Vec<Arc<K>> {
        self.owners.names(uid).iter().filter_map(|name| self.named(name)).collect()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.cache.state()
    }
}

/// The names of objects by the uids that they name as owners.
///
/// Told of each event before the cache is, so that what a cluster's pass is woken for is found by it.
#[derive(Clone, Default)]
pub(super) struct Owners(Arc<RwLock<Index>>);

#[derive(Default)]
struct Index {
    names: HashMap<String, BTreeSet<String>>,
    uids: BTreeMap<String, Vec<String>>,
    /// What a list that is under way has named so far.
    listed: BTreeMap<String, Vec<String>>,
}

impl Owners {
    pub(super) fn take<K: Kind>(&self, event: &Event<K>) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => index.listed.clear(),
            Event::InitApply(object) => {
                index.listed.insert(object.name_any(), uids(object));
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut index.listed);
                *index = Index::default();
                listed.into_iter().for_each(|(name, uids)| index.set(name, uids));
            }
            Event::Apply(object) => index.set(object.name_any(), uids(object)),
            Event::Delete(object) => index.set(object.name_any(), Vec::new()),
        }
    }

    fn names(&self, uid: &str) -> BTreeSet<String> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.names.get(uid).cloned().unwrap_or_default()
    }
}

impl Index {
    fn set(&mut self, name: String, uids: Vec<String>) {
        for uid in self.uids.remove(&name).into_iter().flatten() {
            if let Some(names) = self.names.get_mut(&uid) {
                names.remove(&name);
                if names.is_empty() {
                    self.names.remove(&uid);
                }
            }
        }
        for uid in &uids {
            self.names.entry(uid.clone()).or_default().insert(name.clone());
        }
        if !uids.is_empty() {
            self.uids.insert(name, uids);
        }
    }
}

/// The owners of an object; a pod's owner is another child, and its label names the cluster.
fn uids<K: Kind>(object: &K) -> Vec<String> {
    let owners = object.meta().owner_references.iter().flatten().map(|owner| owner.uid.clone());
    owners.chain(object.labels().get(labels::CLUSTER_UID).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    fn config(name: &str, owner: Option<&str>, label: Option<&str>) -> ConfigMap {
        let owners = owner
            .map(|uid| json!([{"apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "name": "a", "uid": uid}]));
        let labels = label.map(|uid| json!({labels::CLUSTER_UID: uid}));
        serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owners, "labels": labels}}))
            .unwrap()
    }

    fn found(owners: &Owners, uid: &str) -> Vec<String> {
        owners.names(uid).into_iter().collect()
    }

    #[test]
    fn an_object_is_found_by_its_owner_or_its_label_until_it_goes_or_has_another() {
        let owners = Owners::default();
        owners.take(&Event::Apply(config("one", Some("u"), None)));
        owners.take(&Event::Apply(config("two", None, Some("u"))));
        owners.take(&Event::Apply(config("other", Some("v"), None)));
        assert_eq!(found(&owners, "u"), ["one", "two"]);
        owners.take(&Event::Apply(config("one", Some("v"), None)));
        owners.take(&Event::Delete(config("two", None, Some("u"))));
        assert_eq!(found(&owners, "u"), [] as [&str; 0]);
        assert_eq!(found(&owners, "v"), ["one", "other"]);
    }

    #[test]
    fn a_new_list_takes_the_place_of_what_was_known_and_one_that_broke_off_changes_nothing() {
        let owners = Owners::default();
        owners.take(&Event::Apply(config("gone", Some("u"), None)));
        owners.take::<ConfigMap>(&Event::Init);
        owners.take(&Event::InitApply(config("half", Some("u"), None)));
        assert_eq!(found(&owners, "u"), ["gone"]);
        owners.take::<ConfigMap>(&Event::Init);
        owners.take(&Event::InitApply(config("new", Some("u"), None)));
        owners.take::<ConfigMap>(&Event::InitDone);
        assert_eq!(found(&owners, "u"), ["new"]);
    }
}
