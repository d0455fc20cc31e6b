//! Whether the volume of the store is as large as the spec asks for, and what makes it so.
//!
//! A claim that asks for too little is made to ask for more: Kubernetes grows a volume while it is in use, and never shrinks one.
//! What a StatefulSet makes claims of cannot be changed. So it is removed once its claim has grown, without its pod, and the next
//! pass makes it again around the pod, which goes on. Each step shows in what there is, and so is found again where it was cut off.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod};

use super::replace::{is_seen, is_standing_pod_of, outdated};
use crate::api::cluster::Storage;
use crate::cluster::observed::{ChildKind, ObjectRef, Observed};
use crate::cluster::validate::{Store, ValidatedCluster};
use crate::quantity;

/// A claim that is to ask for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The claim.
    pub claim: ObjectRef,
    /// The version that was seen: one that was changed since is looked at anew.
    pub version: String,
    /// What it asks for.
    pub from: String,
    /// What it is to ask for.
    pub to: String,
    /// Its StorageClass.
    pub class: String,
    /// The part of the spec that asks.
    pub field: &'static str,
}

/// The claim of the store, if it asks for less than the spec. One that is not bound has no volume that could grow.
pub fn growth(cluster: &ValidatedCluster, observed: &Observed) -> Option<Growth> {
    let Volume { storage, field, claim } = volume(cluster, observed)?;
    let from = requested(claim.spec.as_ref())?;
    let is_bound = claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let metadata = &claim.metadata;
    if !is_bound || metadata.deletion_timestamp.is_some() || !is_more(&storage.size, from) {
        return None;
    }
    Some(Growth {
        claim: ObjectRef::of(ChildKind::PersistentVolumeClaim, metadata)?,
        version: metadata.resource_version.clone()?,
        from: from.to_owned(),
        to: storage.size.clone(),
        class: class(claim).unwrap_or_default().to_owned(),
        field,
    })
}

/// The managed store's StatefulSet, if it makes claims of another size than the spec asks for, and its own claim is large enough.
///
/// Only while its pod is ready and of its revision: a pod that is to be replaced is replaced before.
pub fn remade(cluster: &ValidatedCluster, observed: &Observed) -> Option<ObjectRef> {
    let Store::Managed(store) = &cluster.store else { return None };
    let set = observed.children.qdrant_stateful_set.as_ref()?;
    let claim = observed.children.qdrant_claim.as_ref()?;
    let size = &store.storage.size;
    let is_of_another_size = quantity::nanos(template_size(set)?) != quantity::nanos(size);
    let has_grown = !is_more(size, requested(claim.spec.as_ref())?);
    let pods = &observed.qdrant_pods;
    let goes_on = !pods.is_empty() && pods.iter().all(|pod| is_ready_pod_of(pod, set)) && outdated(observed).is_empty();
    let stays = is_seen(set) && set.metadata.deletion_timestamp.is_none();
    if !(is_of_another_size && has_grown && goes_on && stays) {
        return None;
    }
    ObjectRef::of(ChildKind::StatefulSet, &set.metadata)
}

/// What to say of a volume that is not what the spec asks for: one that is growing, or that was there before.
pub fn warning(cluster: &ValidatedCluster, observed: &Observed) -> Option<String> {
    let Volume { storage, field, claim } = volume(cluster, observed)?;
    let said: Vec<String> =
        [of_another_size(storage, field, claim), of_another_class(storage, claim)].into_iter().flatten().collect();
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    (!said.is_empty()).then(|| format!("volume {name} {}", said.join(", and ")))
}

/// The size of the claims that a StatefulSet makes.
pub fn template_size(set: &StatefulSet) -> Option<&str> {
    requested(set.spec.volume_claim_templates.as_ref()?.first()?.spec.as_ref())
}

/// The size that a claim asks for.
pub fn requested(claim: Option<&PersistentVolumeClaimSpec>) -> Option<&str> {
    let requests = claim?.resources.as_ref()?.requests.as_ref()?;
    Some(requests.get("storage")?.0.as_str())
}

/// What the spec asks for, and the claim of it.
struct Volume<'a> {
    storage: &'a Storage,
    field: &'static str,
    claim: &'a PersistentVolumeClaim,
}

fn volume<'a>(cluster: &'a ValidatedCluster, observed: &'a Observed) -> Option<Volume<'a>> {
    let live = &observed.children;
    let (storage, field, claim) = match &cluster.store {
        Store::Managed(store) => (&store.storage, "spec.vectorStore.qdrant.storage", &live.qdrant_claim),
        Store::Embedded { storage } => (storage, "spec.vectorStore.embedded.storage", &live.data_claim),
        Store::External(_) => return None,
    };
    Some(Volume { storage, field, claim: claim.as_ref()? })
}

fn of_another_size(storage: &Storage, field: &str, claim: &PersistentVolumeClaim) -> Option<String> {
    let (has, asked) = (requested(claim.spec.as_ref())?, storage.size.as_str());
    if is_more(has, asked) {
        return Some(format!(
            "asks for {has}, more than {field}.size does ({asked}), and stays so, since no volume shrinks; write {has} there"
        ));
    }
    if is_more(asked, has) {
        return Some(format!("asks for {has} of the {asked} of {field}.size"));
    }
    let status = claim.status.as_ref()?;
    let real = status.capacity.as_ref()?.get("storage")?.0.as_str();
    let failed = status.conditions.iter().flatten().find(|condition| condition.type_.ends_with("ResizeError"));
    let why = failed.and_then(|failed| failed.message.as_deref()).map(|said| format!(": {said}")).unwrap_or_default();
    is_more(has, real).then(|| format!("grows from {real} to {has}{why}"))
}

fn of_another_class(storage: &Storage, claim: &PersistentVolumeClaim) -> Option<String> {
    let (asked, has) = (storage.class_name.as_deref()?, class(claim)?);
    (asked != has).then(|| format!("is of StorageClass {has} and not of {asked}, since it was there before"))
}

fn class(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

fn is_more(one: &str, other: &str) -> bool {
    matches!((quantity::nanos(one), quantity::nanos(other)), (Some(one), Some(other)) if one > other)
}

fn is_ready_pod_of(pod: &Pod, set: &StatefulSet) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    is_ready && is_standing_pod_of(pod, set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass};
    use crate::cluster::observed::Presence;
    use k8s_openapi::api::core::v1::PersistentVolumeClaimCondition;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn managed(storage: &str) -> String {
        format!("vectorStore: {{qdrant: {{storage: {{{storage}}}}}}}")
    }

    fn embedded(storage: &str) -> String {
        EMBEDDED.replace("embedded: {}", &format!("embedded: {{storage: {{{storage}}}}}"))
    }

    /// What the pass finds that is the first one to ask for something else.
    fn planned(spec: &str, world: &Observed) -> (Option<Growth>, Option<ObjectRef>) {
        let plan = pass(&cluster(spec), world).1;
        (plan.growth, plan.remade)
    }

    fn said(spec: &str, world: &Observed) -> Option<String> {
        warning(&pass(&cluster(spec), world).0, world)
    }

    fn claim<'w>(world: &'w mut Observed, name: &str) -> &'w mut PersistentVolumeClaim {
        let claims = [&mut world.children.data_claim, &mut world.children.qdrant_claim];
        let mut claims = claims.into_iter().flatten();
        claims.find(|claim| claim.metadata.name.as_deref() == Some(name)).unwrap()
    }

    /// A spec with this in its storage.
    type Spec = fn(&str) -> String;

    const CLAIMS: [(Spec, &str, &str); 2] = [
        (managed, "data-handbook-qdrant-0", "spec.vectorStore.qdrant.storage"),
        (embedded, "handbook-data", "spec.vectorStore.embedded.storage"),
    ];

    #[test]
    fn a_claim_that_asks_for_less_is_grown_and_then_left_alone() {
        for (spec, name, field) in CLAIMS {
            let world = applied(&cluster(&spec("size: 10Gi")), &nothing());
            assert_eq!(planned(&spec("size: 10Gi"), &world), (None, None), "{name}");
            let growth = planned(&spec("size: 50Gi"), &world).0.unwrap();
            assert_eq!(
                growth,
                Growth {
                    claim: ObjectRef {
                        kind: ChildKind::PersistentVolumeClaim,
                        name: name.to_owned(),
                        uid: format!("uid-of-{name}"),
                    },
                    version: "1".to_owned(),
                    from: "10Gi".to_owned(),
                    to: "50Gi".to_owned(),
                    class: "standard".to_owned(),
                    field,
                }
            );
            let grown = applied(&cluster(&spec("size: 50Gi")), &world);
            assert_eq!(planned(&spec("size: 50Gi"), &grown).0, None, "{name}");
        }
    }

    #[test]
    fn nothing_is_grown_that_is_large_enough_or_has_no_volume_yet() {
        for (spec, name, _) in CLAIMS {
            let world = applied(&cluster(&spec("size: 10Gi")), &nothing());
            for enough in ["size: 10240Mi", "size: 10G", "size: 1Gi"] {
                assert_eq!(planned(&spec(enough), &world).0, None, "{name} {enough}");
            }
            let spared: [fn(&mut PersistentVolumeClaim); 3] = [
                |claim| claim.status.as_mut().unwrap().phase = Some("Pending".to_owned()),
                |claim| claim.status = None,
                |claim| claim.metadata.deletion_timestamp = Some(Time("2026-11-21T08:00:00Z".parse().unwrap())),
            ];
            for (index, spare) in spared.into_iter().enumerate() {
                let mut world = world.clone();
                spare(claim(&mut world, name));
                assert_eq!(planned(&spec("size: 50Gi"), &world).0, None, "{name} {index}");
            }
        }
        assert_eq!(planned(&managed("size: 50Gi"), &nothing()), (None, None));
        let mut elsewhere = nothing();
        elsewhere.referenced_secrets.insert("qdrant-cloud".to_owned(), Presence::Exists);
        assert_eq!(planned(EXTERNAL, &elsewhere), (None, None));
    }

    #[test]
    fn the_stateful_set_is_made_again_after_its_claim_has_grown_and_its_pod_goes_on() {
        let large = cluster(&managed("size: 50Gi"));
        let template = |world: &Observed| {
            let set = pass(&large, world).2.qdrant.unwrap().stateful_set;
            template_size(&set).unwrap().to_owned()
        };
        let small = applied(&cluster("{}"), &nothing());
        assert_eq!(planned(&managed("size: 50Gi"), &small).1, None);
        // Another size would be refused while it exists.
        assert_eq!(template(&small), "10Gi");

        let grown = applied(&large, &small);
        let (growth, remade) = planned(&managed("size: 50Gi"), &grown);
        assert_eq!((growth, remade.unwrap().to_string().as_str()), (None, "StatefulSet/handbook-qdrant"));
        assert_eq!(template(&grown), "10Gi");

        let gone = applied(&large, &grown);
        assert!(gone.children.qdrant_stateful_set.is_none());
        assert_eq!(planned(&managed("size: 50Gi"), &gone), (None, None));
        assert_eq!(template(&gone), "50Gi");

        let again = applied(&large, &gone);
        assert_eq!(planned(&managed("size: 50Gi"), &again), (None, None));
        assert_eq!(template_size(again.children.qdrant_stateful_set.as_ref().unwrap()), Some("50Gi"));
        assert_eq!(again.qdrant_pods[0].metadata.uid, small.qdrant_pods[0].metadata.uid);
        assert!(outdated(&again).is_empty());
    }

    /// The volume after three sizes were asked for, one after the other.
    fn ends_stable(sizes: [&str; 3]) {
        let of = |size: &str| cluster(&managed(&format!("size: {size}")));
        let (last, mut world) = (sizes[2], nothing());
        // The claim grows, the StatefulSet goes, and is made again.
        for size in sizes.into_iter().chain([last, last]) {
            world = applied(&of(size), &world);
        }
        let plan = pass(&of(last), &world).1;
        assert_eq!((plan.growth, plan.remade), (None, None), "{sizes:?}");
        assert_eq!(template_size(world.children.qdrant_stateful_set.as_ref().unwrap()), Some(last), "{sizes:?}");
        let claim = world.children.qdrant_claim.as_ref().unwrap();
        assert_eq!(requested(claim.spec.as_ref()), sizes.into_iter().max(), "{sizes:?}");
    }

    #[test]
    fn any_sequence_of_sizes_ends_in_a_stable_plan_with_the_largest_volume() {
        const SIZES: [&str; 3] = ["10Gi", "20Gi", "50Gi"];
        for first in SIZES {
            for second in SIZES {
                SIZES.into_iter().for_each(|last| ends_stable([first, second, last]));
            }
        }
    }

    #[test]
    fn a_stateful_set_is_not_taken_away_from_a_pod_that_could_not_go_on_without_it() {
        let spec = managed("size: 50Gi");
        let grown = applied(&cluster(&spec), &applied(&cluster("{}"), &nothing()));
        assert!(planned(&spec, &grown).1.is_some());
        let spared: [fn(&mut Observed); 8] = [
            |world| world.qdrant_pods.clear(),
            |world| world.qdrant_pods[0].status.as_mut().unwrap().conditions = None,
            |world| world.qdrant_pods[0].metadata.owner_references = None,
            |world| world.qdrant_pods[0].metadata.deletion_timestamp = Some(Time(world.now)),
            |world| world.children.qdrant_claim = None,
            |world| world.children.qdrant_stateful_set.as_mut().unwrap().metadata.generation = Some(2),
            |world| {
                let now = Time(world.now);
                world.children.qdrant_stateful_set.as_mut().unwrap().metadata.deletion_timestamp = Some(now);
            },
            // Something is in the way of the next revision: what is held is known by the StatefulSet.
            |world| {
                world.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
            },
        ];
        let pulling =
            "{vectorStore: {qdrant: {storage: {size: 50Gi}}}, podTemplate: {imagePullSecrets: [{name: pull}]}}";
        for (index, spare) in spared.into_iter().enumerate() {
            let mut world = grown.clone();
            spare(&mut world);
            let is_held = world.referenced_secrets.contains_key("pull");
            let spec = if is_held { pulling } else { spec.as_str() };
            assert_eq!(planned(spec, &world).1, None, "{index}");
        }
        // A pod of another revision is replaced first.
        let mut changed = grown;
        let status = changed.children.qdrant_stateful_set.as_mut().unwrap().status.as_mut().unwrap();
        status.update_revision = Some("other".to_owned());
        assert_eq!(planned(&spec, &changed).1, None);
    }

    #[test]
    fn a_volume_that_was_there_before_is_kept_and_said_as_what_it_is() {
        for (spec, name, field) in CLAIMS {
            let world = applied(&cluster(&spec("size: 50Gi, className: fast")), &nothing());
            assert_eq!(said(&spec("size: 50Gi, className: fast"), &world), None);
            let larger = said(&spec("size: 10Gi"), &world).unwrap();
            let expected = format!("volume {name} asks for 50Gi, more than {field}.size does (10Gi), and stays so");
            assert!(larger.starts_with(&expected), "{larger}");
            let slow = said(&spec("size: 50Gi, className: slow"), &world).unwrap();
            assert_eq!(
                slow,
                format!("volume {name} is of StorageClass fast and not of slow, since it was there before")
            );
            let smaller = said(&spec("size: 60Gi, className: slow"), &world).unwrap();
            assert!(smaller.contains("asks for 50Gi of the 60Gi of") && smaller.contains(", and is of"), "{smaller}");
        }
    }

    #[test]
    fn a_volume_that_is_growing_is_said_with_what_hinders_it() {
        let spec = managed("size: 50Gi");
        let mut world = applied(&cluster(&spec), &applied(&cluster("{}"), &nothing()));
        assert_eq!(said(&spec, &world), None);
        let status = claim(&mut world, "data-handbook-qdrant-0").status.as_mut().unwrap();
        status.capacity = Some([("storage".to_owned(), Quantity("10Gi".to_owned()))].into());
        let grows = "volume data-handbook-qdrant-0 grows from 10Gi to 50Gi";
        assert_eq!(said(&spec, &world).as_deref(), Some(grows));
        let status = claim(&mut world, "data-handbook-qdrant-0").status.as_mut().unwrap();
        status.conditions = Some(vec![PersistentVolumeClaimCondition {
            type_: "ControllerResizeError".to_owned(),
            status: "True".to_owned(),
            message: Some("no room in the pool".to_owned()),
            ..PersistentVolumeClaimCondition::default()
        }]);
        assert_eq!(said(&spec, &world).unwrap(), format!("{grows}: no room in the pool"));
    }
}
