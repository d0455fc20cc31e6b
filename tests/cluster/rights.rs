//! The chart's Roles are exact: the operator needs every verb that they grant, and no other.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use ragops_operator::api::{RagCluster, ScaleApproval, labels};
use ragops_tests::audit::Request;
use ragops_tests::until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::approvals::{approve, is};
use crate::scene::{Scene, WITHIN};
use crate::{restores, schedules, snapshots};

/// Group, resource with its subresource, verb.
type Right = (String, String, String);

async fn granted(scene: &Scene) -> Result<BTreeSet<Right>> {
    let roles: Api<Role> = scene.api();
    let all = roles.list(&ListParams::default()).await?.items;
    let mut rights = BTreeSet::new();
    for rule in all.into_iter().flat_map(|role| role.rules.unwrap_or_default()) {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                rights.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    Ok(rights)
}

/// Everything that makes the operator act, once.
async fn live_through_everything(scene: &Scene) -> Result<()> {
    scene
        .apply("handbook", json!({"auth": {"apiKeys": [{"name": "reader"}, {"name": "writer", "role": "Writer"}]}}))
        .await?;
    let development = json!({
        "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false}, "vectorStore": {"embedded": {}},
    });
    scene.apply("notes", development).await?;
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "qdrant"}, "stringData": {"key": "k"}}))?;
    scene.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let store =
        json!({"url": "http://qdrant:6334", "collection": "c", "apiKeySecretRef": {"name": "qdrant", "key": "key"}});
    scene.apply("elsewhere", json!({"vectorStore": {"externalQdrant": store}})).await?;
    for name in ["handbook", "notes", "elsewhere"] {
        scene.serving(name).await?;
    }
    snapshots_and_restores(scene, "elsewhere").await?;
    approve(scene, "launch", 25, 7 * 24 * 3600).await?;
    scene.becomes("an approval in force", "launch", |found: &ScaleApproval| is(found, "True", "InForce")).await?;
    // Less is wanted: what is in surplus goes.
    let less = json!({
        "autoscaling": {"enabled": false}, "networkPolicy": {"enabled": false}, "readOnly": true,
        "auth": {"apiKeys": [{"name": "writer", "role": "Writer"}]}, "retrieval": {"topK": 7},
        "vectorStore": {"qdrant": {"podTemplate": {"labels": {"team": "a"}}}},
    });
    scene.apply("handbook", less).await?;
    scene
        .becomes("the store's pod is replaced", "handbook-qdrant-0", |pod: &Pod| {
            pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("team"))
        })
        .await?;
    scene.serving("handbook").await?;
    let autoscalers = scene.api::<HorizontalPodAutoscaler>();
    let autoscalers = &autoscalers;
    until("the autoscaler has gone", WITHIN, || async move {
        Ok(autoscalers.get_opt("handbook").await?.is_none().then_some(()))
    })
    .await?;
    more_revisions_than_are_kept(scene).await?;
    strays(scene).await?;
    let edit = json!({"data": {"live.toml": "read_only = false\n"}});
    scene.api::<ConfigMap>().patch("handbook-live", &PatchParams::default(), &Patch::Merge(&edit)).await?;
    scene
        .becomes("the edit is put back", "handbook-live", |map: &ConfigMap| {
            map.data.as_ref().and_then(|data| data.get("live.toml")).is_some_and(|live| live.contains("true"))
        })
        .await?;
    for name in ["handbook", "notes", "elsewhere"] {
        scene.clusters.delete(name, &DeleteParams::default()).await?;
    }
    let deployments = scene.api::<Deployment>();
    let deployments = &deployments;
    until("the servers have gone", WITHIN, || async move {
        // The chart's own Deployment stays.
        let servers = ListParams::default().labels(labels::CLUSTER_UID);
        Ok(deployments.list(&servers).await?.items.is_empty().then_some(()))
    })
    .await
}

/// One is taken and goes with its copy, one is restored, and schedules come and leave nothing over.
async fn snapshots_and_restores(scene: &Scene, cluster: &str) -> Result<()> {
    snapshots::key(scene).await?;
    let spec = json!({"spec": {"snapshots": snapshots::destination()}});
    scene.clusters.patch(cluster, &PatchParams::default(), &Patch::Merge(&spec)).await?;
    scene.serving(cluster).await?;
    snapshots::comes_and_goes_with_its_copy(scene, cluster).await?;
    restores::keeps_what_is_served_first(scene, cluster).await?;
    schedules::come_and_leave_nothing_over(scene, cluster).await
}

/// Old revisions beyond the history go.
async fn more_revisions_than_are_kept(scene: &Scene) -> Result<()> {
    for top_k in 8..20 {
        let before = scene.clusters.get("handbook").await?.status.and_then(|status| status.revision);
        let change = json!({"spec": {"retrieval": {"topK": top_k}}});
        scene.clusters.patch("handbook", &PatchParams::default(), &Patch::Merge(&change)).await?;
        let changed =
            |cluster: &RagCluster| cluster.status.as_ref().and_then(|status| status.revision.clone()) != before;
        scene.becomes("the next revision", "handbook", changed).await?;
    }
    scene.serving("handbook").await
}

/// Objects of the cluster under names that no version gives them any more go.
async fn strays(scene: &Scene) -> Result<()> {
    stray::<ServiceAccount>(scene, "handbook-server").await?;
    stray::<Service>(scene, "handbook-qdrant").await?;
    stray::<PodDisruptionBudget>(scene, "handbook-server").await?;
    stray::<StatefulSet>(scene, "handbook-qdrant").await?;
    stray::<Deployment>(scene, "handbook-server").await
}

async fn stray<K>(scene: &Scene, like: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    K::DynamicType: Default,
{
    let objects = scene.api::<K>();
    let original = objects.get(like).await?;
    let mut copy = serde_json::to_value(&original)?;
    let name = format!("{like}-before");
    copy["metadata"] = json!({
        "name": name,
        "labels": original.meta().labels,
        "ownerReferences": original.meta().owner_references,
    });
    if let Some(spec) = copy["spec"].as_object_mut() {
        for assigned in ["clusterIP", "clusterIPs"] {
            spec.remove(assigned);
        }
        if spec.contains_key("replicas") {
            spec.insert("replicas".into(), json!(0));
        }
    }
    objects.create(&PostParams::default(), &serde_json::from_value(copy)?).await?;
    let (objects, name) = (&objects, name.as_str());
    until(&format!("the stray {name} has gone"), WITHIN, || async move {
        Ok(objects.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}

/// What a request needs: an apply that creates needs `create` beside `patch`, though the log shows one verb.
fn needed(request: &Request) -> Vec<Right> {
    let parts = [request.resource.as_str(), request.subresource.as_str()];
    let resource = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let right = |verb: &str| (request.group.clone(), resource.clone(), verb.to_owned());
    let mut rights = vec![right(&request.verb)];
    if request.verb == "patch" && request.code == 201 {
        rights.push(right("create"));
    }
    rights
}

#[tokio::test]
async fn the_operator_uses_every_verb_that_the_chart_grants_and_no_other() -> Result<()> {
    let test = "the_operator_uses_every_verb_that_the_chart_grants_and_no_other";
    let Some(scene) = Scene::new(test, "rights").await? else { return Ok(()) };
    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    let operator = scene.operator(&[]).await?;
    live_through_everything(&scene).await?;
    operator.stop().await?;

    let requests: Vec<_> = audit.since(mark)?.into_iter().filter(|request| request.user == user).collect();
    let forbidden: Vec<_> = requests.iter().filter(|request| request.code == 403).collect();
    assert!(forbidden.is_empty(), "the chart grants too little: {forbidden:#?}");
    let secrets = |verb: &str| requests.iter().filter(|r| r.resource == "secrets" && r.verb == verb).count();
    assert_eq!((secrets("list"), secrets("watch")), (0, 0), "Secrets are never listed or watched");

    let used: BTreeSet<Right> =
        requests.iter().filter(|request| !request.resource.is_empty()).flat_map(needed).collect();
    let granted = granted(&scene).await?;
    let missing: Vec<_> = used.difference(&granted).collect();
    let idle: Vec<_> = granted.difference(&used).collect();
    assert!(missing.is_empty(), "used without being granted in a Role: {missing:#?}");
    assert!(idle.is_empty(), "granted and never used: {idle:#?}");
    Ok(())
}
