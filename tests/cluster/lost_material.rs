//! A lost Secret: what the operator minted comes back as it was, or is asked for; what a user named keeps a new revision from
//! being made, and nothing else.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use ragops_operator::api::RagCluster;
use ragops_tests::metrics::Cpu;
use serde_json::json;

use crate::scaling::kubectl_scale;
use crate::scene::{Scene, condition};

async fn delete_secret(scene: &Scene, name: &str) -> Result<Secret> {
    let secrets = scene.api::<Secret>();
    let deleted = secrets.get(name).await.with_context(|| name.to_owned())?;
    secrets.delete(name, &DeleteParams::default()).await?;
    Ok(deleted)
}

#[tokio::test]
async fn a_deleted_generation_comes_back_with_the_material_that_is_in_use() -> Result<()> {
    let test = "a_deleted_generation_comes_back_with_the_material_that_is_in_use";
    let Some(scene) = Scene::new(test, "secrets").await? else { return Ok(()) };
    let _operator = scene.operator(&["--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    for name in ["handbook-vector-store-g1", "handbook-api-key-default-g1", "handbook-operator-g1"] {
        let before = delete_secret(&scene, name).await?;
        let after = scene.becomes(name, name, |secret: &Secret| secret.uid() != before.uid()).await?;
        assert_eq!(after.data, before.data, "{name}");
        assert_eq!(after.immutable, Some(true));
    }
    scene.says("handbook", "Stalled", "False", "Unhindered").await?;
    scene.serving("handbook").await
}

#[tokio::test]
async fn a_key_that_no_secret_holds_any_more_is_asked_for_and_not_minted_anew() -> Result<()> {
    let test = "a_key_that_no_secret_holds_any_more_is_asked_for_and_not_minted_anew";
    let Some(scene) = Scene::new(test, "secrets").await? else { return Ok(()) };
    let before = scene.operator(&[]).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    before.stop().await?;
    let mut generation = delete_secret(&scene, "handbook-vector-store-g1").await?;
    for copy in ["handbook-qdrant", "handbook-server"] {
        delete_secret(&scene, copy).await?;
    }

    let _after = scene.operator(&["--resync-seconds", "1"]).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "CredentialLost").await?;
    assert!(stalled.message.contains("handbook-vector-store-g1") && stalled.message.contains("restore one of them"));
    // The number of servers is not what is lost.
    kubectl_scale(&scene, "handbook", 4).await?;
    scene.becomes("four servers", "handbook-server", |servers: &Deployment| servers.spec.replicas == Some(4)).await?;
    scene.says("handbook", "Stalled", "True", "CredentialLost").await?;
    for name in ["handbook-vector-store-g1", "handbook-qdrant", "handbook-server"] {
        assert!(scene.api::<Secret>().get_opt(name).await?.is_none(), "{name} was made anew");
    }

    let metadata = &mut generation.metadata;
    (metadata.resource_version, metadata.uid, metadata.managed_fields) = (None, None, None);
    scene.api::<Secret>().create(&PostParams::default(), &generation).await?;
    scene.says("handbook", "Stalled", "False", "Unhindered").await?;
    scene.serving("handbook").await?;
    let material = |secret: &Secret, key: &str| secret.data.as_ref().and_then(|data| data.get(key).cloned());
    let derived = scene.api::<Secret>().get("handbook-qdrant").await?;
    assert_eq!(material(&derived, "api-key"), material(&generation, "key"));
    Ok(())
}

#[tokio::test]
async fn a_deleted_secret_of_a_user_blocks_nothing_but_the_next_revision() -> Result<()> {
    let test = "a_deleted_secret_of_a_user_blocks_nothing_but_the_next_revision";
    let Some(scene) = Scene::new(test, "secrets").await? else { return Ok(()) };
    let keys: Secret = serde_json::from_value(json!({"metadata": {"name": "llm-keys"}, "stringData": {"key": "k"}}))?;
    let secrets = scene.api::<Secret>();
    secrets.create(&PostParams::default(), &keys).await?;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    // Looks again when it thinks that it has to, not because a test asks for it.
    let _operator = scene.operator(&[]).await?;
    let provider = json!({"name": "llm", "baseUrl": "https://llm.example.com/v1", "model": "m", "secretRef": {"name": "llm-keys", "key": "key"}});
    let clients = json!([{"name": "nightly"}, {"name": "web"}]);
    scene.apply("handbook", json!({"generation": {"providers": [provider]}, "auth": {"apiKeys": clients}})).await?;
    scene.serving("handbook").await?;
    scene.says("handbook", "MetricsAvailable", "True", "Current").await?;
    let revision = |cluster: &RagCluster| cluster.status.as_ref().and_then(|status| status.revision.clone());
    let running = revision(&scene.clusters.get("handbook").await?);

    secrets.delete("llm-keys", &DeleteParams::default()).await?;
    kubectl_scale(&scene, "handbook", 5).await?;
    let floor = |autoscaler: &HorizontalPodAutoscaler| autoscaler.spec.min_replicas == Some(5);
    scene.becomes("the raised floor", "handbook", floor).await?;
    scene.becomes("five servers", "handbook-server", |servers: &Deployment| servers.spec.replicas >= Some(5)).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "SecretMissing").await?;
    assert!(stalled.message.contains("llm-keys"), "{}", stalled.message);
    // A client is removed, writes are refused, and a new revision is asked for.
    let change = json!({"spec": {"readOnly": true, "auth": {"apiKeys": [{"name": "web"}]}, "retrieval": {"topK": 7}}});
    scene.clusters.patch("handbook", &PatchParams::default(), &Patch::Merge(&change)).await?;
    let is_read_only = |map: &ConfigMap| {
        map.data.as_ref().and_then(|data| data.get("live.toml")).is_some_and(|live| live.contains("read_only = true"))
    };
    scene.becomes("writes are refused", "handbook-live", is_read_only).await?;
    let is_removed = |secret: &Secret| secret.data.iter().flatten().all(|(file, _)| !file.contains("nightly"));
    scene.becomes("the client has no key", "handbook-server", is_removed).await?;
    scene.says("handbook", "Stalled", "True", "SecretMissing").await?;
    assert_eq!(revision(&scene.clusters.get("handbook").await?), running, "no new revision is made");
    // What serves is told as it is, and nothing but the Secret is waited for.
    scene.says("handbook", "Ready", "True", "Serving").await?;
    scene.says("handbook", "ConfigurationInSync", "True", "InSync").await?;

    secrets.create(&PostParams::default(), &keys).await?;
    scene.says("handbook", "Stalled", "False", "Unhindered").await?;
    scene.serving("handbook").await?;
    let after = scene.clusters.get("handbook").await?;
    assert_ne!(revision(&after), running);
    assert!(condition(&after, "ReadOnly").is_some());
    Ok(())
}
