//! Which pods of the managed vector store are replaced.
//!
//! Its StatefulSet replaces none of them by itself (`OnDelete`): one that does so waits for a pod which never becomes ready, so
//! that a wrong image would stay after it was corrected. Here a pod goes because it is of another revision, ready or not.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::observed::{ChildKind, ObjectRef, Observed};

/// The label by which Kubernetes tells of which revision of its StatefulSet a pod is.
const STATEFUL_SET_REVISION: &str = "controller-revision-hash";

/// The pods of the store that are of another revision than the one that the StatefulSet makes pods of now.
///
/// Says nothing of a change that this pass has yet to make: they are removed only if the StatefulSet needed none.
pub fn outdated(observed: &Observed) -> Vec<ObjectRef> {
    let Some(set) = observed.children.qdrant_stateful_set.as_ref().filter(|set| is_seen(set)) else {
        return Vec::new();
    };
    let Some(current) = set.status.as_ref().and_then(|status| status.update_revision.as_deref()) else {
        return Vec::new();
    };
    let outdated = observed.qdrant_pods.iter().filter(|pod| is_of_another(pod, set, current));
    outdated.filter_map(|pod| ObjectRef::of(ChildKind::Pod, &pod.metadata)).collect()
}

/// Whether Kubernetes has taken up the StatefulSet as it stands, so that its status speaks of it.
pub fn is_seen(set: &StatefulSet) -> bool {
    let seen = set.status.as_ref().and_then(|status| status.observed_generation);
    seen.is_some() && seen >= set.metadata.generation
}

/// Whether a pod is one of the StatefulSet's: one on its way out is being replaced already, and one that it did not make is none of its.
pub fn is_standing_pod_of(pod: &Pod, set: &StatefulSet) -> bool {
    let metadata = &pod.metadata;
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    metadata.deletion_timestamp.is_none() && owner.is_some_and(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
}

fn is_of_another(pod: &Pod, set: &StatefulSet, current: &str) -> bool {
    let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(STATEFUL_SET_REVISION));
    is_standing_pod_of(pod, set) && revision.is_some_and(|revision| revision != current)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{applied, cluster, nothing, pass, store_waits_for_its_image};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn asking(image: &str) -> String {
        format!("vectorStore: {{qdrant: {{image: '{image}'}}}}")
    }

    /// What the pass after the one that changed the StatefulSet finds: its pods are those of before.
    fn changed(spec: &str, world: &Observed) -> Observed {
        let pods = world.qdrant_pods.clone();
        Observed { qdrant_pods: pods, ..applied(&cluster(spec), world) }
    }

    fn removed(observed: &Observed) -> Vec<String> {
        outdated(observed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_of_another_revision_is_replaced_and_a_current_one_is_not() {
        let world = applied(&cluster("{}"), &nothing());
        assert!(outdated(&world).is_empty());
        let world = changed("vectorStore: {qdrant: {podTemplate: {labels: {team: a}}}}", &world);
        assert_eq!(removed(&world), ["Pod/handbook-qdrant-0"]);
        assert_eq!(outdated(&world)[0].uid, world.qdrant_pods[0].metadata.uid.clone().unwrap());
        assert!(outdated(&applied(&cluster("{}"), &world)).is_empty());
    }

    #[test]
    fn an_image_that_cannot_be_fetched_is_left_by_correcting_the_spec() {
        let (good, wrong) = (asking("q:v1.20.0"), asking("q:v1.20.99"));
        let mut stuck = applied(&cluster(&wrong), &applied(&cluster(&good), &nothing()));
        store_waits_for_its_image(&mut stuck);
        // Of the revision that is asked for: another pod of it would do no better.
        assert!(outdated(&stuck).is_empty());
        assert_eq!(removed(&changed(&good, &stuck)), ["Pod/handbook-qdrant-0"]);
    }

    #[test]
    fn nothing_is_replaced_that_is_not_the_stateful_sets_or_before_it_was_seen() {
        let world = changed(&asking("q:v1.21.0"), &applied(&cluster("{}"), &nothing()));
        assert_eq!(removed(&world).len(), 1);
        let spared: [fn(&mut Observed); 7] = [
            |world| world.children.qdrant_stateful_set = None,
            |world| world.children.qdrant_stateful_set.as_mut().unwrap().status = None,
            |world| world.children.qdrant_stateful_set.as_mut().unwrap().metadata.generation = Some(2),
            |world| world.qdrant_pods[0].metadata.deletion_timestamp = Some(Time(world.now)),
            |world| world.qdrant_pods[0].metadata.owner_references = None,
            |world| world.qdrant_pods[0].metadata.owner_references.as_mut().unwrap()[0].uid = "other".to_owned(),
            |world| world.qdrant_pods[0].metadata.labels = None,
        ];
        for (index, spare) in spared.into_iter().enumerate() {
            let mut world = world.clone();
            spare(&mut world);
            assert!(outdated(&world).is_empty(), "{index}");
        }
    }

    #[test]
    fn the_plan_and_the_children_hold_what_is_replaced() {
        let world = changed(&asking("q:v1.21.0"), &applied(&cluster("{}"), &nothing()));
        let (_, plan, children) = pass(&cluster(&asking("q:v1.21.0")), &world);
        assert_eq!(plan.outdated, outdated(&world));
        assert_eq!(children.qdrant.unwrap().outdated, plan.outdated);
    }
}
