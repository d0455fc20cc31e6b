//! Whose a live object is. Pure. An object is never adopted: it is ours by the uid of its owner, or it is not ours. What a
//! deletion retains, the data and the id of who owns it, is found again by the cluster of the same namespace and name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::core::ObjectMeta;

use crate::api::{ClusterName, RagCluster, labels};
use crate::cluster::observed::ChildKind;
use crate::error::Error;

/// Whose a live object is, seen from one object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This object's.
    Ours,
    /// One's of the same kind and name that was deleted; garbage collection will remove it.
    Leftover,
    /// Somebody else's, in words for a person.
    Foreign(String),
}

impl Ownership {
    /// Only what is ours is used. `object` names it as KIND/NAME.
    ///
    /// # Errors
    /// Whose it is otherwise.
    pub fn ours(self, object: String) -> Result<(), Error> {
        match self {
            Self::Ours => Ok(()),
            Self::Leftover => Err(Error::Leftover { object }),
            Self::Foreign(owner) => Err(Error::NameTaken { object, owner }),
        }
    }
}

/// A RagCluster as an owner.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// Whose an object is that should have an owner.
pub fn ownership(object: &ObjectMeta, cluster: Owner<'_>) -> Ownership {
    let is_ours = |owner: &OwnerReference| owner.uid == cluster.uid;
    let is_namesakes = |owner: &OwnerReference| {
        let is_cluster = owner.kind == RagCluster::kind(&()) && group_of(owner) == RagCluster::group(&());
        is_cluster && owner.name == cluster.name
    };
    whose(object, is_ours, is_namesakes)
}

/// Whose an object is that should have the owners of `wanted`.
pub fn ownership_like(object: &ObjectMeta, wanted: &ObjectMeta) -> Ownership {
    let ours = || wanted.owner_references.iter().flatten();
    let is_ours = |owner: &OwnerReference| ours().any(|ours| ours.uid == owner.uid);
    let is_namesakes = |owner: &OwnerReference| {
        ours().any(|ours| ours.kind == owner.kind && group_of(ours) == group_of(owner) && ours.name == owner.name)
    };
    whose(object, is_ours, is_namesakes)
}

fn group_of(owner: &OwnerReference) -> &str {
    owner.api_version.split('/').next().unwrap_or_default()
}

fn whose(
    object: &ObjectMeta,
    is_ours: impl Fn(&OwnerReference) -> bool,
    is_namesakes: impl Fn(&OwnerReference) -> bool,
) -> Ownership {
    let owners = || object.owner_references.iter().flatten();
    if owners().any(is_ours) {
        return Ownership::Ours;
    }
    match owners().find(|owner| owner.controller == Some(true)).or_else(|| owners().next()) {
        Some(owner) if is_namesakes(owner) => Ownership::Leftover,
        Some(owner) => Ownership::Foreign(format!("{}/{}", owner.kind, owner.name)),
        None => Ownership::Foreign("nobody (it has no owner reference)".to_owned()),
    }
}

/// Whose an object of this kind is that bears the name of a child.
pub fn child_ownership(kind: &str, object: &ObjectMeta, cluster: Owner<'_>) -> Ownership {
    let corpus = ClusterName::parse(cluster.name).map(|name| name.corpus()).ok();
    let is_corpus = kind == ChildKind::ConfigMap.as_str() && corpus.is_some() && object.name == corpus;
    if is_corpus || kind == ChildKind::PersistentVolumeClaim.as_str() {
        return retained_ownership(object, cluster);
    }
    ownership(object, cluster)
}

/// Whose an object is that may have been retained. It has no owner then, and goes to the cluster of the same namespace and name.
fn retained_ownership(object: &ObjectMeta, cluster: Owner<'_>) -> Ownership {
    let label = |key: &str| object.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let is_retained =
        label(labels::MANAGED_BY) == Some(labels::MANAGED_BY_VALUE) && label(labels::INSTANCE) == Some(cluster.name);
    match ownership(object, cluster) {
        Ownership::Foreign(_) if object.owner_references.as_ref().is_none_or(Vec::is_empty) && is_retained => {
            Ownership::Ours
        }
        found => found,
    }
}

/// Whether a volume claim is of the managed vector store of the cluster of this name, in this life or an earlier one. A StatefulSet
/// makes it without an owner, or with itself as the owner.
pub fn is_of_managed_store(object: &ObjectMeta, cluster: Owner<'_>) -> bool {
    let has = |key: &str, value: &str| {
        object.labels.as_ref().and_then(|labels| labels.get(key)).is_some_and(|found| found == value)
    };
    has(labels::NAME, labels::name::QDRANT)
        && has(labels::COMPONENT, labels::component::VECTOR_STORE)
        && has(labels::INSTANCE, cluster.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Owner<'static> = Owner { name: "handbook", uid: "u1" };

    fn owned_by(kind: &str, name: &str, uid: &str) -> ObjectMeta {
        let api_version = if kind == "RagCluster" { "ragops.dev/v1alpha1" } else { "apps/v1" };
        let owner = OwnerReference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta { owner_references: Some(vec![owner]), ..ObjectMeta::default() }
    }

    fn labelled(managed_by: &str, instance: &str) -> ObjectMeta {
        let labels = [(labels::MANAGED_BY, managed_by), (labels::INSTANCE, instance)];
        ObjectMeta {
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn an_object_is_ours_by_uid_alone() {
        assert_eq!(ownership(&owned_by("RagCluster", "handbook", "u1"), CLUSTER), Ownership::Ours);
        assert_eq!(ownership(&owned_by("RagCluster", "handbook", "u0"), CLUSTER), Ownership::Leftover);
        assert_eq!(
            ownership(&owned_by("RagCluster", "other", "u2"), CLUSTER),
            Ownership::Foreign("RagCluster/other".into())
        );
        assert_eq!(
            ownership(&owned_by("Deployment", "web", "u3"), CLUSTER),
            Ownership::Foreign("Deployment/web".into())
        );
        // Our labels alone prove nothing: anybody can write them.
        assert!(matches!(ownership(&labelled(labels::MANAGED_BY_VALUE, "handbook"), CLUSTER), Ownership::Foreign(_)));
    }

    #[test]
    fn what_was_made_for_another_object_is_its_owners_and_that_of_a_namesake_is_waited_for() {
        let snapshot = |name: &str, uid: &str| {
            let mut metadata = owned_by("RagSnapshot", name, uid);
            metadata.owner_references.as_mut().unwrap()[0].api_version = "ragops.dev/v1alpha1".to_owned();
            metadata
        };
        let wanted = snapshot("nightly", "s1");
        assert_eq!(ownership_like(&snapshot("nightly", "s1"), &wanted), Ownership::Ours);
        assert_eq!(ownership_like(&snapshot("nightly", "s0"), &wanted), Ownership::Leftover);
        let of_another = |found: &ObjectMeta| matches!(ownership_like(found, &wanted), Ownership::Foreign(_));
        assert!(of_another(&snapshot("weekly", "s2")));
        assert!(of_another(&owned_by("RagCluster", "nightly", "s0")));
        assert!(of_another(&owned_by("RagSnapshot", "nightly", "s0")), "of another group");
        assert!(of_another(&ObjectMeta::default()));
    }

    #[test]
    fn a_retained_claim_comes_back_to_the_cluster_of_its_name_and_to_no_other() {
        assert_eq!(retained_ownership(&labelled(labels::MANAGED_BY_VALUE, "handbook"), CLUSTER), Ownership::Ours);
        assert!(matches!(
            retained_ownership(&labelled(labels::MANAGED_BY_VALUE, "other"), CLUSTER),
            Ownership::Foreign(_)
        ));
        assert!(matches!(retained_ownership(&labelled("helm", "handbook"), CLUSTER), Ownership::Foreign(_)));
        assert!(matches!(retained_ownership(&owned_by("StatefulSet", "db", "u9"), CLUSTER), Ownership::Foreign(_)));
    }

    #[test]
    fn of_config_maps_the_one_that_says_whose_the_corpus_is_comes_back_and_no_other() {
        let named =
            |name: &str| ObjectMeta { name: Some(name.to_owned()), ..labelled(labels::MANAGED_BY_VALUE, "handbook") };
        let whose = |kind: &str, name: &str| child_ownership(kind, &named(name), CLUSTER);
        assert_eq!(whose("ConfigMap", "handbook-corpus"), Ownership::Ours);
        assert_eq!(whose("PersistentVolumeClaim", "handbook-data"), Ownership::Ours);
        assert!(matches!(whose("ConfigMap", "handbook-live"), Ownership::Foreign(_)));
        assert!(matches!(whose("Secret", "handbook-corpus"), Ownership::Foreign(_)));
        let other = Owner { name: "other", uid: "u1" };
        assert!(matches!(child_ownership("ConfigMap", &named("handbook-corpus"), other), Ownership::Foreign(_)));
    }

    #[test]
    fn a_claim_of_the_managed_store_is_known_by_its_labels_whoever_owns_it() {
        let labelled = |component: &str, instance: &str, owner: Option<OwnerReference>| {
            let labels =
                [(labels::NAME, labels::name::QDRANT), (labels::COMPONENT, component), (labels::INSTANCE, instance)];
            ObjectMeta {
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            }
        };
        let set = owned_by("StatefulSet", "handbook-qdrant", "u7").owner_references.unwrap().remove(0);
        assert!(is_of_managed_store(&labelled("vector-store", "handbook", None), CLUSTER));
        assert!(is_of_managed_store(&labelled("vector-store", "handbook", Some(set)), CLUSTER));
        assert!(!is_of_managed_store(&labelled("vector-store", "other", None), CLUSTER));
        assert!(!is_of_managed_store(&labelled("database", "handbook", None), CLUSTER));
        assert!(!is_of_managed_store(&ObjectMeta::default(), CLUSTER));
    }
}
