//! Labels, selectors and owner references of children: the only place where they are written.
//!
//! Labels and annotations of the RagCluster itself are never copied: a tool that tracks objects by its own labels would take
//! the children for objects of its own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::api::cluster::PodTemplate;
use crate::api::{GROUP, VERSION, labels};
use crate::cluster::decide::ceiling::Granted;
use crate::cluster::validate::ValidatedCluster;

/// A part of the cluster, as its labels tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The query servers and what belongs to them.
    Server,
    /// The managed vector store and what belongs to it.
    VectorStore,
}

/// Labels by which the pods of a part are selected; they never change while the cluster lives.
pub fn selector(cluster: &ValidatedCluster, part: Part) -> BTreeMap<String, String> {
    selector_of(cluster.name.as_str(), &cluster.uid, part)
}

/// The same of the cluster of this name and uid.
pub(crate) fn selector_of(cluster: &str, uid: &str, part: Part) -> BTreeMap<String, String> {
    let (name, component) = match part {
        Part::Server => (labels::name::SERVER, labels::component::SERVER),
        Part::VectorStore => (labels::name::QDRANT, labels::component::VECTOR_STORE),
    };
    of_component((name, component), cluster, uid)
}

/// Labels by which the pods of a cluster's Jobs are selected. What selects servers never selects one of them.
pub(crate) fn jobs_of(cluster: &str, uid: &str) -> BTreeMap<String, String> {
    of_component((labels::name::JOB, labels::component::JOB), cluster, uid)
}

fn of_component((name, component): (&str, &str), cluster: &str, uid: &str) -> BTreeMap<String, String> {
    owned([
        (labels::NAME, name),
        (labels::INSTANCE, cluster),
        (labels::COMPONENT, component),
        (labels::CLUSTER_UID, uid),
    ])
}

/// The same as text, for the scale subresource.
pub fn selector_text(cluster: &ValidatedCluster, part: Part) -> String {
    let pairs: Vec<String> = selector(cluster, part).iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// The same as a LabelSelector.
pub(super) fn label_selector(cluster: &ValidatedCluster, part: Part) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(cluster, part)), match_expressions: None }
}

/// What the servers' Deployment selects: its own pods, and not those of another Deployment of servers beside it, which would
/// differ in its colour. Kubernetes never changes the selector of a Deployment.
pub(super) fn deployment_selector(cluster: &ValidatedCluster) -> LabelSelector {
    let mut pods = selector(cluster, Part::Server);
    pods.extend(owned([(labels::COLOUR, labels::colour::BLUE)]));
    LabelSelector { match_labels: Some(pods), match_expressions: None }
}

/// The pods of a revision in the servers' Deployment. The colour is the Deployment's and is not frozen: a revision may run in
/// either.
pub(super) fn coloured(mut pods: PodTemplateSpec) -> PodTemplateSpec {
    let labels = pods.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.extend(owned([(labels::COLOUR, labels::colour::BLUE)]));
    pods
}

/// Metadata of an object that lives and dies with the cluster.
pub(super) fn child(cluster: &ValidatedCluster, part: Part, name: String) -> ObjectMeta {
    ObjectMeta { owner_references: Some(vec![owner(cluster)]), ..retained(cluster, part, name) }
}

/// Metadata of an object that outlives the cluster: without an owner.
pub(super) fn retained(cluster: &ValidatedCluster, part: Part, name: String) -> ObjectMeta {
    let mut labels = selector(cluster, part);
    labels.extend(owned([(labels::MANAGED_BY, labels::MANAGED_BY_VALUE)]));
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

/// Takes away the label that tells this cluster from a later one of the same name, which is to find the object again.
pub(super) fn forget_uid(metadata: &mut ObjectMeta) {
    if let Some(labels) = &mut metadata.labels {
        labels.remove(labels::CLUSTER_UID);
    }
}

/// Adds labels.
pub(super) fn labelled<const N: usize>(mut metadata: ObjectMeta, more: [(&str, &str); N]) -> ObjectMeta {
    metadata.labels.get_or_insert_default().extend(owned(more));
    metadata
}

/// Adds annotations.
pub(super) fn annotated<const N: usize>(mut metadata: ObjectMeta, more: [(&str, &str); N]) -> ObjectMeta {
    metadata.annotations.get_or_insert_default().extend(owned(more));
    metadata
}

/// Notes more servers than everybody may have on the object that holds their number.
pub(super) fn granted(metadata: ObjectMeta, granted: Option<&Granted>) -> ObjectMeta {
    let Some(Granted { servers, lowered_at }) = granted else { return metadata };
    let metadata = annotated(metadata, [(labels::GRANTED, servers.to_string().as_str())]);
    match lowered_at {
        Some(at) => annotated(metadata, [(labels::LOWERED_AT, at.to_string().as_str())]),
        None => metadata,
    }
}

/// Metadata of the pods of a part: what the user adds, and ours over it.
pub(super) fn pod(cluster: &ValidatedCluster, part: Part, revision: &str, additions: &PodTemplate) -> ObjectMeta {
    let mut labels = additions.labels.clone();
    labels.extend(selector(cluster, part));
    labels.extend(owned([(labels::MANAGED_BY, labels::MANAGED_BY_VALUE), (labels::REVISION, revision)]));
    ObjectMeta {
        labels: Some(labels),
        annotations: (!additions.annotations.is_empty()).then(|| additions.annotations.clone()),
        ..ObjectMeta::default()
    }
}

fn owner(cluster: &ValidatedCluster) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "RagCluster".to_owned(),
        name: cluster.name.to_string(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

pub(crate) fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
