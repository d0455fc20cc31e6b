//! An operator of another version, with other defaults, changes no running pod until somebody changes the spec.

use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
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
    scene.serving("handbook").await
}
