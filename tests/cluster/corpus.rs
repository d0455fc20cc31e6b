//! Whose a corpus is: an id that is minted once, outlives its RagCluster as the data does, and is found by the next of its name.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use ragops_operator::api::labels;
use ragops_operator::cluster::observed::CORPUS_ID_KEY;
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};

fn id(map: &ConfigMap) -> Result<String> {
    let id = map.data.as_ref().and_then(|data| data.get(CORPUS_ID_KEY));
    id.cloned().with_context(|| format!("{} holds no id", map.name_any()))
}

/// Asks for a cluster and waits until it has an id with which its servers are configured.
async fn begun(scene: &Scene, name: &str, spec: &Value) -> Result<String> {
    scene.apply(name, spec.clone()).await?;
    let map = scene.becomes("an id", &format!("{name}-corpus"), |map: &ConfigMap| id(map).is_ok()).await?;
    let id = id(&map)?;
    let configured = format!("owner_id = \"{id}\"");
    let (maps, of) = (&scene.api::<ConfigMap>(), ListParams::default().labels(&format!("{}={name}", labels::INSTANCE)));
    let (of, configured) = (&of, configured.as_str());
    until("the servers are configured with the id", WITHIN, || async move {
        let all = maps.list(of).await?.items;
        let mut texts = all.iter().filter_map(|map| map.data.as_ref()?.get("config.toml"));
        Ok(texts.any(|text| text.contains(configured)).then_some(()))
    })
    .await?;
    Ok(id)
}

/// Deletes a cluster and waits until its servers' settings are collected.
async fn ended(scene: &Scene, name: &str) -> Result<()> {
    scene.clusters.delete(name, &DeleteParams::foreground()).await?;
    until("the cluster has gone", WITHIN, || async move {
        let live = scene.api::<ConfigMap>().get_opt(&format!("{name}-live")).await?;
        Ok((scene.clusters.get_opt(name).await?.is_none() && live.is_none()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_id_of_a_corpus_outlives_its_cluster_as_the_data_does() -> Result<()> {
    let test = "the_id_of_a_corpus_outlives_its_cluster_as_the_data_does";
    let Some(scene) = Scene::new(test, "corpus").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    let maps = scene.api::<ConfigMap>();
    let external = json!({"externalQdrant": {"url": "http://qdrant:6334"}, "deletionPolicy": "Delete"});
    for (name, spec) in [("handbook", json!({})), ("elsewhere", json!({"vectorStore": external}))] {
        let first = begun(&scene, name, &spec).await?;
        // Somebody removes it: the servers' own configuration says what it was.
        maps.delete(&format!("{name}-corpus"), &DeleteParams::default()).await?;
        scene.becomes("it is made again", &format!("{name}-corpus"), |map: &ConfigMap| id(map).is_ok()).await?;
        ended(&scene, name).await?;
        assert_eq!(id(&maps.get(&format!("{name}-corpus")).await?)?, first, "{name}: it went with the cluster");
        assert_eq!(begun(&scene, name, &spec).await?, first, "{name}: another cluster of the name has another id");
    }

    let passing = json!({"vectorStore": {"qdrant": {}, "deletionPolicy": "Delete"}});
    let first = begun(&scene, "notes", &passing).await?;
    ended(&scene, "notes").await?;
    let maps = &maps;
    until("the id has gone with the data", WITHIN, || async move {
        Ok(maps.get_opt("notes-corpus").await?.is_none().then_some(()))
    })
    .await?;
    assert_ne!(begun(&scene, "notes", &passing).await?, first);
    Ok(())
}

#[tokio::test]
async fn a_corpus_of_another_cluster_stalls_with_a_remedy_until_it_is_gone() -> Result<()> {
    let test = "a_corpus_of_another_cluster_stalls_with_a_remedy_until_it_is_gone";
    let Some(scene) = Scene::new(test, "corpus").await? else { return Ok(()) };
    let refused = vec!["the corpus (belongs to another cluster)".to_owned()];
    scene.shared.pods.script(&scene.namespace, Script { waiting_for: refused, ..Script::default() });
    let _operator = scene.operator(&["--sample-seconds", "1", "--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "CorpusOwned").await?;
    assert!(stalled.message.contains("use another collection"), "{}", stalled.message);
    scene.shared.pods.script(&scene.namespace, Script::default());
    scene.serving("handbook").await
}
