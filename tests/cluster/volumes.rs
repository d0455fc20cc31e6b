//! The volume of a store grows with the spec while its pod goes on; one that may not grow, or was there before, is said.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use ragops_tests::{FIXED_STORAGE_CLASS, until};
use serde_json::{Value, json};

use crate::quiet::passes;
use crate::scene::{Scene, WITHIN};

const CLAIM: &str = "data-handbook-qdrant-0";

fn managed(size: &str) -> Value {
    json!({"vectorStore": {"qdrant": {"storage": {"size": size}}}})
}

fn embedded(size: &str) -> Value {
    json!({
        "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false},
        "vectorStore": {"embedded": {"storage": {"size": size}}},
    })
}

fn size(spec: Option<&PersistentVolumeClaimSpec>) -> Option<&str> {
    let requests = spec?.resources.as_ref()?.requests.as_ref()?;
    Some(requests.get("storage")?.0.as_str())
}

/// What the StatefulSet makes claims of.
fn template(set: &StatefulSet) -> Option<&str> {
    size(set.spec.volume_claim_templates.as_ref()?.first()?.spec.as_ref())
}

fn is_of(pod: &Pod, set: &StatefulSet) -> bool {
    pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
}

#[tokio::test]
async fn a_volume_grows_with_the_spec_and_the_store_goes_on() -> Result<()> {
    let test = "a_volume_grows_with_the_spec_and_the_store_goes_on";
    let Some(scene) = Scene::new(test, "volumes").await? else { return Ok(()) };
    let operator = scene.operator(&["--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.apply("notes", embedded("5Gi")).await?;
    scene.serving("handbook").await?;
    scene.serving("notes").await?;
    let (set, pod) =
        (scene.api::<StatefulSet>().get("handbook-qdrant").await?, scene.api::<Pod>().get("handbook-qdrant-0").await?);
    assert_eq!(template(&set), Some("10Gi"));

    scene.apply("handbook", managed("20Gi")).await?;
    scene.apply("notes", embedded("20Gi")).await?;
    for claim in [CLAIM, "notes-data"] {
        let grown = |claim: &PersistentVolumeClaim| size(claim.spec.as_ref()) == Some("20Gi");
        scene.becomes("the claim asks for more", claim, grown).await?;
    }
    let made_again = |found: &StatefulSet| found.uid() != set.uid() && template(found) == Some("20Gi");
    let again = scene.becomes("the StatefulSet is made again", "handbook-qdrant", made_again).await?;
    let taken_up = |pod: &Pod| is_of(pod, &again);
    let same = scene.becomes("it has taken up its pod", "handbook-qdrant-0", taken_up).await?;
    assert_eq!((same.uid(), same.metadata.deletion_timestamp), (pod.uid(), None));
    scene.serving("handbook").await?;
    let events = scene.events("handbook").await?;
    assert!(events.iter().all(|(reason, _)| reason != "Degraded"), "{events:#?}");

    passes(&operator, 6.0).await?;
    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    passes(&operator, 20.0).await?;
    let writes = audit.writes_since(mark, &user)?;
    assert!(writes.is_empty(), "a volume that has grown was written to: {writes:#?}");
    assert_eq!(scene.api::<Pod>().get("handbook-qdrant-0").await?.uid(), pod.uid());
    Ok(())
}

#[tokio::test]
async fn a_volume_that_may_not_grow_is_said_and_stops_nothing_else() -> Result<()> {
    let test = "a_volume_that_may_not_grow_is_said_and_stops_nothing_else";
    let Some(scene) = Scene::new(test, "volumes").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    let of = |size: &str, replicas: i32| {
        let storage = json!({"size": size, "className": FIXED_STORAGE_CLASS});
        json!({
            "replicas": replicas, "autoscaling": {"enabled": false}, "vectorStore": {"qdrant": {"storage": storage}},
        })
    };
    scene.apply("handbook", of("10Gi", 3)).await?;
    scene.serving("handbook").await?;
    let set = scene.api::<StatefulSet>().get("handbook-qdrant").await?;

    scene.apply("handbook", of("20Gi", 4)).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "VolumeTooSmall").await?;
    let remedy = format!("allowVolumeExpansion: true on StorageClass {FIXED_STORAGE_CLASS}");
    assert!(stalled.message.contains(&remedy), "{}", stalled.message);
    scene.becomes("four servers", "handbook-server", |servers: &Deployment| servers.spec.replicas == Some(4)).await?;
    scene.says("handbook", "Ready", "True", "Serving").await?;
    let claim = scene.api::<PersistentVolumeClaim>().get(CLAIM).await?;
    assert_eq!(size(claim.spec.as_ref()), Some("10Gi"));
    let after = scene.api::<StatefulSet>().get("handbook-qdrant").await?;
    assert_eq!(after.metadata.generation, set.metadata.generation);
    assert_eq!(after.uid(), set.uid(), "what would make claims of another size is of no use before one may have it");
    Ok(())
}

#[tokio::test]
async fn a_retained_volume_of_another_size_is_kept_and_said() -> Result<()> {
    let test = "a_retained_volume_of_another_size_is_kept_and_said";
    let Some(scene) = Scene::new(test, "volumes").await? else { return Ok(()) };
    let _operator = scene.operator(&["--resync-seconds", "1"]).await?;
    for (name, claim, spec) in
        [("handbook", CLAIM, managed as fn(&str) -> Value), ("notes", "notes-data", embedded as fn(&str) -> Value)]
    {
        scene.apply(name, spec("20Gi")).await?;
        scene.serving(name).await?;
        let before = scene.api::<PersistentVolumeClaim>().get(claim).await?;
        scene.clusters.delete(name, &DeleteParams::default()).await?;
        let clusters = &scene.clusters;
        until(
            "the cluster has gone",
            WITHIN,
            || async move { Ok(clusters.get_opt(name).await?.is_none().then_some(())) },
        )
        .await?;

        scene.apply(name, spec("10Gi")).await?;
        scene.serving(name).await?;
        let cluster = scene.clusters.get(name).await?;
        let store = crate::scene::condition(&cluster, "VectorStoreReady").context("no VectorStoreReady")?;
        assert_eq!(store.status, "True");
        let said = format!("volume {claim} asks for 20Gi, more than spec.vectorStore.");
        assert!(store.message.contains(&said), "{}", store.message);
        let kept = scene.api::<PersistentVolumeClaim>().get(claim).await?;
        assert_eq!((kept.uid(), size(kept.spec.as_ref())), (before.uid(), Some("20Gi")));

        scene.apply(name, spec("30Gi")).await?;
        let grown = |claim: &PersistentVolumeClaim| size(claim.spec.as_ref()) == Some("30Gi");
        scene.becomes("the retained claim grows", claim, grown).await?;
        scene.serving(name).await?;
    }
    Ok(())
}
