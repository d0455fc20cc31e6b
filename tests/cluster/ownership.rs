//! What belongs to others stays as they left it; what is ours is put back, and said.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use ragops_operator::api::labels;
use ragops_tests::{restricted, until};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};

#[tokio::test]
async fn somebody_elses_label_annotation_and_sidecar_survive() -> Result<()> {
    let test = "somebody_elses_label_annotation_and_sidecar_survive";
    let Some(scene) = Scene::new(test, "ownership").await? else { return Ok(()) };
    let _operator = scene.operator(&["--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    let sidecar = json!({"name": "sidecar", "image": "example/sidecar", "securityContext": restricted::container()});
    let theirs = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "handbook-server", "labels": {"team": "a"}, "annotations": {"note": "theirs"}},
        "spec": {"template": {"spec": {"containers": [sidecar]}}},
    });
    let deployments = scene.api::<Deployment>();
    deployments.patch("handbook-server", &PatchParams::apply("somebody"), &Patch::Apply(&theirs)).await?;
    // The operator has acted on the changed Deployment once it has carried out a change of its own on it.
    scene.apply("handbook", json!({"resources": {"requests": {"cpu": "300m"}}})).await?;
    let after = scene
        .becomes("our change is there", "handbook-server", |deployment: &Deployment| {
            let value = serde_json::to_value(deployment).unwrap_or_default();
            value.to_string().contains("\"300m\"")
        })
        .await?;
    assert_eq!(after.metadata.labels.as_ref().and_then(|labels| labels.get("team")).map(String::as_str), Some("a"));
    let annotations = after.metadata.annotations.as_ref();
    assert_eq!(annotations.and_then(|all| all.get("note")).map(String::as_str), Some("theirs"));
    let pod = serde_json::to_value(&after.spec.template)?;
    let names: Vec<&Value> = pod["spec"]["containers"].as_array().into_iter().flatten().map(|c| &c["name"]).collect();
    assert!(names.contains(&&json!("sidecar")), "{names:?}");
    scene.serving("handbook").await
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_not_adopted() -> Result<()> {
    let test = "a_foreign_object_of_the_same_name_is_not_adopted";
    let Some(scene) = Scene::new(test, "ownership").await? else { return Ok(()) };
    let foreign: Service = serde_json::from_value(json!({
        "metadata": {"name": "handbook"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }))?;
    let before = scene.api::<Service>().create(&PostParams::default(), &foreign).await?;
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({})).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "NameTaken").await?;
    assert!(stalled.message.contains("handbook"), "{}", stalled.message);
    let after = scene.api::<Service>().get("handbook").await?;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "it was not touched");
    Ok(())
}

#[tokio::test]
async fn an_object_that_carries_our_labels_and_has_no_owner_is_not_adopted() -> Result<()> {
    let test = "an_object_that_carries_our_labels_and_has_no_owner_is_not_adopted";
    let Some(scene) = Scene::new(test, "ownership").await? else { return Ok(()) };
    // Left behind as `kubectl delete --cascade=orphan` leaves it, or copied from a cluster: everything but the owner is right.
    let uid = scene.apply("handbook", json!({})).await?.uid().unwrap_or_default();
    let orphan: Service = serde_json::from_value(json!({
        "metadata": {"name": "handbook", "labels": {
            (labels::NAME): labels::name::SERVER,
            (labels::INSTANCE): "handbook",
            (labels::COMPONENT): labels::component::SERVER,
            (labels::CLUSTER_UID): uid,
            (labels::MANAGED_BY): labels::MANAGED_BY_VALUE,
        }},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }))?;
    let before = scene.api::<Service>().create(&PostParams::default(), &orphan).await?;
    let _operator = scene.operator(&[]).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "NameTaken").await?;
    assert!(stalled.message.contains("Service") && stalled.message.contains("handbook"), "{}", stalled.message);
    let after = scene.api::<Service>().get("handbook").await?;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "it was not touched");
    Ok(())
}

#[tokio::test]
async fn a_hand_edited_field_of_ours_is_put_back_and_an_event_says_so() -> Result<()> {
    let test = "a_hand_edited_field_of_ours_is_put_back_and_an_event_says_so";
    let Some(scene) = Scene::new(test, "ownership").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    let live = scene.api::<ConfigMap>().get("handbook-live").await?;
    let edit = json!({"data": {"live.toml": "read_only = true\n"}});
    let by = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    scene.api::<ConfigMap>().patch("handbook-live", &by, &Patch::Merge(&edit)).await?;
    scene.becomes("the field is put back", "handbook-live", |map: &ConfigMap| map.data == live.data).await?;
    let scene = &scene;
    until("an event says so", WITHIN, || async move {
        let events = scene.events("handbook").await?;
        let told = |(reason, note): &(String, String)| {
            reason == "ChangePutBack" && note.contains("handbook-live") && note.contains("kubectl-edit")
        };
        Ok(events.iter().any(told).then_some(()))
    })
    .await?;
    scene.serving("handbook").await
}
