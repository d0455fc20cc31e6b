//! Old revisions are kept so that going back finds them, up to a number and no further: of the servers and of the vector store.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use kube::ResourceExt as _;
use kube::api::ListParams;
use ragops_operator::api::labels;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};

/// More changes than are kept.
const CHANGES: usize = 15;
/// Ten besides the one that runs.
const KEPT: usize = 11;

fn with_cpu(millis: usize) -> Value {
    let resources = json!({"requests": {"cpu": format!("{millis}m")}});
    json!({"autoscaling": {"enabled": false}, "vectorStore": {"qdrant": {"resources": resources}}})
}

fn revision(store: &StatefulSet) -> Option<&String> {
    store.spec.template.metadata.as_ref()?.labels.as_ref()?.get(labels::REVISION)
}

/// The vector store's, as the operator keeps them: the StatefulSet's controller has some of its own.
async fn of_the_store(scene: &Scene) -> Result<BTreeSet<String>> {
    let store = ListParams::default().labels(&format!("{}={}", labels::NAME, labels::name::QDRANT));
    let mut all = scene.api::<ControllerRevision>().list(&store).await?.items;
    all.retain(|object| object.owner_references().iter().any(|owner| owner.kind == "RagCluster"));
    Ok(all.iter().map(|object| object.name_any()).collect())
}

#[tokio::test]
async fn revisions_of_the_store_beyond_the_history_are_removed_and_the_one_in_use_never() -> Result<()> {
    let test = "revisions_of_the_store_beyond_the_history_are_removed_and_the_one_in_use_never";
    let Some(scene) = Scene::new(test, "history").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", with_cpu(500)).await?;
    let known = |store: &StatefulSet| revision(store).is_some();
    let mut store = scene.becomes("the first revision of the store", "handbook-qdrant", known).await?;
    for change in 1..=CHANGES {
        let before = revision(&store).cloned();
        scene.apply("handbook", with_cpu(500 + change)).await?;
        let is_next = |store: &StatefulSet| revision(store) != before.as_ref();
        store = scene.becomes("the next revision of the store", "handbook-qdrant", is_next).await?;
    }
    scene.serving("handbook").await?;
    let of = &scene;
    let left = until("the oldest have gone", WITHIN, || async move {
        let left = of_the_store(of).await?;
        anyhow::ensure!(left.len() <= KEPT, "{left:?}");
        Ok(Some(left))
    })
    .await?;
    assert_eq!(left.len(), KEPT, "going back finds the others: {left:?}");
    let in_use = format!("handbook-qdrant-{}", revision(&store).context("no revision")?);
    assert!(left.contains(&in_use), "{in_use}: {left:?}");
    Ok(())
}
