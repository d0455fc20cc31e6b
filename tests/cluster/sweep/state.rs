//! What a cluster consists of, without what differs from one life to the next: uids, times, random keys and ids, addresses.

use anyhow::Result;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use ragops_operator::api::labels;
use ragops_operator::cluster::observed::CORPUS_ID_KEY;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scene::Scene;

/// The ConfigMap that says whose the corpus of a cluster is.
pub(super) fn corpus(name: &str) -> String {
    format!("{name}-corpus")
}

/// All children, in a fixed order. What a deletion retains (claims, the id of the corpus) is not among them.
pub(super) async fn children(scene: &Scene, name: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    all.extend(of_kind::<ServiceAccount>(scene, name).await?);
    all.extend(of_kind::<Secret>(scene, name).await?);
    all.extend(of_kind::<ConfigMap>(scene, name).await?);
    all.extend(of_kind::<ControllerRevision>(scene, name).await?);
    all.extend(of_kind::<NetworkPolicy>(scene, name).await?);
    all.extend(of_kind::<StatefulSet>(scene, name).await?);
    all.extend(of_kind::<Deployment>(scene, name).await?);
    all.extend(of_kind::<PodDisruptionBudget>(scene, name).await?);
    all.extend(of_kind::<HorizontalPodAutoscaler>(scene, name).await?);
    all.extend(of_kind::<Service>(scene, name).await?);
    let map = scene.api::<ConfigMap>().get_opt(&corpus(name)).await?;
    let Some(id) = map.and_then(|map| map.data?.remove(CORPUS_ID_KEY)) else { return Ok(all) };
    let timeless =
        |child: &Value| -> Result<Value> { Ok(serde_json::from_str(&child.to_string().replace(&id, "ID"))?) };
    all.iter().map(timeless).collect()
}

async fn of_kind<K>(scene: &Scene, name: &str) -> Result<Vec<Value>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    K::DynamicType: Default,
{
    let mine = ListParams::default().labels(&format!("{}={name},{}", labels::INSTANCE, labels::CLUSTER_UID));
    let mut objects = scene.api::<K>().list(&mine).await?.items;
    // A controller of Kubernetes gives its own objects the labels of what it manages.
    objects.retain(|object| object.owner_references().iter().any(|owner| owner.kind == "RagCluster"));
    objects.sort_by_key(ResourceExt::name_any);
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    objects.iter().map(|object| lasting(&kind, object)).collect()
}

fn lasting<K: Resource + Serialize>(kind: &str, object: &K) -> Result<Value> {
    let uid = object.labels().get(labels::CLUSTER_UID).cloned().unwrap_or_default();
    let mut annotations = object.annotations().clone();
    annotations.remove(labels::MINTED_AT);
    let mut whole = serde_json::to_value(object)?;
    let mut kept = json!({
        "kind": kind,
        "name": object.name_any(),
        "labels": object.labels(),
        "annotations": annotations,
        "owners": object.owner_references().len(),
    });
    for field in ["spec", "data", "immutable", "revision", "type"] {
        kept[field] = whole[field].take();
    }
    if kind == "Secret"
        && let Some(data) = kept["data"].as_object_mut()
    {
        data.values_mut().for_each(|material| *material = json!("random"));
    }
    if let Some(spec) = kept["spec"].as_object_mut() {
        for assigned in ["clusterIP", "clusterIPs"] {
            spec.remove(assigned);
        }
    }
    let text = if uid.is_empty() { kept.to_string() } else { kept.to_string().replace(&uid, "UID") };
    Ok(serde_json::from_str(&text)?)
}
