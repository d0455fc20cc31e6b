//! Who drains a node takes one server at a time, and the next only when the first has been replaced: asked as `kubectl drain` asks,
//! counted by Kubernetes' own controller.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, PostParams};
use serde_json::json;

use crate::reports::server_pods;
use crate::scene::Scene;

const ACCEPTED: u16 = 201;
const NOT_NOW: u16 = 429;

/// What the API server answers.
async fn evict(pods: &Api<Pod>, name: &str) -> Result<u16> {
    match pods.evict(name, &EvictParams::default()).await {
        Ok(_) => Ok(ACCEPTED),
        Err(kube::Error::Api(refused)) => Ok(refused.code),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the budget has been counted, and counts so many servers that work.
async fn counted(scene: &Scene, healthy: i32) -> Result<()> {
    let what = format!("the budget counts {healthy} servers that work");
    let is_counted = |budget: &PodDisruptionBudget| {
        budget.status.as_ref().is_some_and(|status| {
            status.current_healthy == Some(healthy) && status.observed_generation == budget.metadata.generation
        })
    };
    scene.becomes(&what, "handbook-server", is_counted).await.map(drop)
}

#[tokio::test]
async fn a_drain_takes_one_server_and_the_next_only_when_it_has_been_replaced() -> Result<()> {
    let test = "a_drain_takes_one_server_and_the_next_only_when_it_has_been_replaced";
    let Some(scene) = Scene::new(test, "drain").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    counted(&scene, 3).await?;
    let servers = server_pods(&scene).await?;
    let pods: Api<Pod> = Api::namespaced(scene.shared.cluster.client_that_asks_once().await?, &scene.namespace);

    // A simulated replacement is there at once. Without room for it the server stays missing until this test says otherwise.
    let full: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}))?;
    scene.api::<ResourceQuota>().create(&PostParams::default(), &full).await?;
    assert_eq!(evict(&pods, &servers[0]).await?, ACCEPTED, "no drain would ever end");
    assert_eq!(evict(&pods, &servers[1]).await?, NOT_NOW, "two at once");
    counted(&scene, 2).await?;
    assert_eq!(evict(&pods, &servers[1]).await?, NOT_NOW, "a second while the first has no replacement");

    scene.api::<ResourceQuota>().delete("full", &DeleteParams::default()).await?;
    counted(&scene, 3).await?;
    assert_eq!(evict(&pods, &servers[1]).await?, ACCEPTED, "the drain goes on");
    Ok(())
}
