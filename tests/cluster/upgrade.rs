//! An operator of another version, with other defaults, changes no running pod until somebody changes the spec.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::{DeleteParams, PostParams};
use ragops_operator::api::labels;
use serde_json::json;

use crate::scene::{Scene, figure};

fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

#[tokio::test]
async fn another_default_image_changes_no_pod_until_the_spec_changes() -> Result<()> {
    let test = "another_default_image_changes_no_pod_until_the_spec_changes";
    let Some(scene) = Scene::new(test, "upgrade").await? else { return Ok(()) };
    let old =
        scene.operator(&["--server-image", "example/server:1", "--qdrant-image", "qdrant/qdrant:v1.20.0"]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    let (server, store) = (scene.api::<Deployment>(), scene.api::<StatefulSet>());
    let before = (server.get("handbook-server").await?, store.get("handbook-qdrant").await?);
    assert_eq!(image(&before.0), Some("example/server:1"));
    old.stop().await?;

    let flags =
        ["--server-image", "example/server:2", "--qdrant-image", "qdrant/qdrant:v1.20.1", "--resync-seconds", "1"];
    let new = scene.operator(&flags).await?;
    let new_operator = &new;
    ragops_tests::until("the new operator has looked at everything", crate::scene::WITHIN, || async move {
        Ok((figure(new_operator, "ragops_reconcile_seconds_count").await? >= 5.0).then_some(()))
    })
    .await?;
    let after = (server.get("handbook-server").await?, store.get("handbook-qdrant").await?);
    assert_eq!(after.0.metadata.generation, before.0.metadata.generation, "the servers were changed");
    assert_eq!(after.1.metadata.generation, before.1.metadata.generation, "the vector store was changed");

    scene.apply("handbook", json!({"resources": {"requests": {"cpu": "300m"}}})).await?;
    scene.becomes("the new default", "handbook-server", |d: &Deployment| image(d) == Some("example/server:2")).await?;
    scene.serving("handbook").await?;

    // What the servers' pods carry is none of the store's business, and what its own pod carries moves no image.
    scene.apply("handbook", json!({"podTemplate": {"labels": {"team": "a"}}})).await?;
    let labelled = |template: &PodTemplateSpec| {
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        labels.is_some_and(|labels| labels.contains_key("team"))
    };
    scene.becomes("labelled servers", "handbook-server", |d: &Deployment| labelled(&d.spec.template)).await?;
    scene.serving("handbook").await?;
    assert_eq!(store.get("handbook-qdrant").await?.metadata.generation, before.1.metadata.generation);
    let own = json!({"vectorStore": {"qdrant": {"podTemplate": {"labels": {"team": "a"}}}}});
    scene.apply("handbook", own).await?;
    let labelled =
        scene.becomes("a labelled store", "handbook-qdrant", |set: &StatefulSet| labelled(&set.spec.template)).await?;
    let pod = labelled.spec.template.spec.context("no pod")?;
    assert_eq!(pod.containers[0].image.as_deref(), Some("qdrant/qdrant:v1.20.0"));
    Ok(())
}

#[tokio::test]
async fn a_store_that_never_becomes_ready_is_left_by_correcting_the_spec() -> Result<()> {
    let test = "a_store_that_never_becomes_ready_is_left_by_correcting_the_spec";
    let Some(scene) = Scene::new(test, "corrected").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    let first = scene.api::<Pod>().get("handbook-qdrant-0").await?;

    // The simulated node leaves such a pod pending, as a kubelet does that cannot fetch an image.
    let held = json!({"vectorStore": {"qdrant": {"podTemplate": {"annotations": {"ragops.test/hold": "yes"}}}}});
    scene.apply("handbook", held).await?;
    let other = |of: &Pod| {
        let uid = of.metadata.uid.clone();
        move |pod: &Pod| pod.metadata.uid != uid && pod.metadata.deletion_timestamp.is_none()
    };
    let stuck = scene.becomes("the pod is replaced", "handbook-qdrant-0", other(&first)).await?;
    scene.says("handbook", "VectorStoreReady", "False", "Starting").await?;

    scene.apply("handbook", json!({})).await?;
    scene.becomes("the pod that is stuck is replaced", "handbook-qdrant-0", other(&stuck)).await?;
    scene.serving("handbook").await
}

#[tokio::test]
async fn a_revision_that_cannot_be_read_changes_no_pod_and_is_made_anew_once_it_is_deleted() -> Result<()> {
    let test = "a_revision_that_cannot_be_read_changes_no_pod_and_is_made_anew_once_it_is_deleted";
    let Some(scene) = Scene::new(test, "revision").await? else { return Ok(()) };
    let before = scene.operator(&[]).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    let servers = scene.api::<Deployment>();
    let deployment = servers.get("handbook-server").await?;
    before.stop().await?;

    // Data is immutable, so what cannot be read was written under a name that was free.
    let template = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let revision = template.and_then(|of| of.get(labels::REVISION)).context("no revision on the pods")?;
    let (revisions, name) = (scene.api::<ControllerRevision>(), format!("handbook-server-{revision}"));
    let mut damaged = revisions.get(&name).await?;
    revisions.delete(&name, &DeleteParams::default()).await?;
    damaged.data.0 = json!({"layout": "of another operator"});
    (damaged.metadata.resource_version, damaged.metadata.uid, damaged.metadata.managed_fields) = (None, None, None);
    revisions.create(&PostParams::default(), &damaged).await?;

    let _after = scene.operator(&["--server-image", "example/server:2"]).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "RevisionUnreadable").await?;
    assert!(stalled.message.contains(&name) && stalled.message.contains("delete it"), "{}", stalled.message);
    scene.says("handbook", "Ready", "True", "Serving").await?;
    assert_eq!(servers.get("handbook-server").await?.metadata.generation, deployment.metadata.generation);

    revisions.delete(&name, &DeleteParams::default()).await?;
    scene.says("handbook", "Stalled", "False", "Unhindered").await?;
    scene.serving("handbook").await?;
    let remade = revisions.get(&name).await?;
    assert_eq!(remade.data.0["image"], "example/server:2");
    Ok(())
}
