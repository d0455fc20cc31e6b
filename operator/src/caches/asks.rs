//! Which cluster has to be looked at after a change of what belongs to it, or names it.

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::{Kind, Watched};
use crate::api::{RagCluster, labels};

/// What a change of a child asks for.
pub(super) fn asks_for_its_cluster<K: Kind>(
    clusters: &Watched<RagCluster>,
) -> impl FnMut(&Event<K>) + Send + 'static + use<K> {
    let clusters = clusters.clone();
    move |event| match event {
        Event::Apply(child) | Event::Delete(child) => {
            if let Some(cluster) = cluster_of(child) {
                clusters.queue.push(&cluster);
            }
        }
        // After a gap in the watch, what was deleted meanwhile shows only by its absence.
        Event::InitDone => clusters.look_at_all(),
        Event::Init | Event::InitApply(_) => {}
    }
}

/// The cluster that a child belongs to: by its owner, or by its label where the owner is another child or nobody.
fn cluster_of<K: Resource<DynamicType = ()>>(child: &K) -> Option<String> {
    let owners = child.meta().owner_references.iter().flatten();
    let owner = owners
        .into_iter()
        .find(|owner| owner.kind == RagCluster::kind(&()) && owner.api_version == RagCluster::api_version(&()));
    owner.map(|owner| owner.name.clone()).or_else(|| child.labels().get(labels::INSTANCE).cloned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{label, pod};
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    #[test]
    fn a_child_leads_to_its_cluster_by_owner_or_else_by_label() {
        let owner = |kind: &str, name: &str| OwnerReference {
            api_version: if kind == "RagCluster" { "ragops.dev/v1alpha1" } else { "apps/v1" }.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..OwnerReference::default()
        };
        let owned = pod(ObjectMeta { owner_references: Some(vec![owner("RagCluster", "a")]), ..ObjectMeta::default() });
        assert_eq!(cluster_of(&owned).as_deref(), Some("a"));
        let grandchild = ObjectMeta {
            owner_references: Some(vec![owner("ReplicaSet", "x")]),
            labels: label("b"),
            ..ObjectMeta::default()
        };
        assert_eq!(cluster_of(&pod(grandchild)).as_deref(), Some("b"));
        assert_eq!(cluster_of(&pod(ObjectMeta::default())), None);
    }
}
