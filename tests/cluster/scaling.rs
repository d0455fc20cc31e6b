//! The number of servers: the floor moves at once, the autoscaler keeps its dead band, and both go on without the operator.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use ragops_operator::api::labels;
use ragops_tests::faults::FaultProxy;
use ragops_tests::metrics::Cpu;
use ragops_tests::until;
use serde_json::json;
use tokio::process::Command;

use crate::scene::{Scene, WITHIN};

const WINDOW_SECONDS: usize = 3;

/// Asks for so many servers as a person in a hurry does.
pub(crate) async fn kubectl_scale(scene: &Scene, name: &str, replicas: u32) -> Result<()> {
    let output = Command::from(scene.shared.cluster.kubectl())
        .args(["scale", "ragcluster", name, "--namespace", &scene.namespace, &format!("--replicas={replicas}")])
        .output()
        .await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The servers use so much CPU, and the autoscaler has seen it for longer than its windows.
async fn held_at(scene: &Scene, percent: i32) -> Result<()> {
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(percent.into()));
    scene
        .becomes("the autoscaler sees the new figure", "handbook", |autoscaler: &HorizontalPodAutoscaler| {
            let current = autoscaler.status.iter().flat_map(|status| status.current_metrics.iter().flatten());
            let mut seen = current.filter_map(|metric| metric.resource.as_ref()?.current.average_utilization);
            seen.next_back() == Some(percent)
        })
        .await?;
    let metrics = &scene.shared.metrics;
    let enough = metrics.asked(&scene.namespace) + 2 * WINDOW_SECONDS;
    until("the autoscaler has looked for longer than its windows", WITHIN, || async move {
        Ok((metrics.asked(&scene.namespace) >= enough).then_some(()))
    })
    .await
}

async fn replicas(scene: &Scene) -> Result<Option<i32>> {
    Ok(scene.api::<Deployment>().get("handbook-server").await?.spec.replicas)
}

async fn has_replicas(scene: &Scene, wanted: i32) -> Result<()> {
    let what = format!("{wanted} servers");
    scene.becomes(&what, "handbook-server", |d: &Deployment| d.spec.replicas == Some(wanted)).await.map(drop)
}

fn autoscaled() -> serde_json::Value {
    json!({"autoscaling": {"scaleUp": {"forSeconds": WINDOW_SECONDS}, "scaleDown": {"forSeconds": WINDOW_SECONDS}}})
}

#[tokio::test]
async fn the_autoscaler_holds_between_30_and_70_percent_within_floor_and_ceiling() -> Result<()> {
    let test = "the_autoscaler_holds_between_30_and_70_percent_within_floor_and_ceiling";
    let Some(scene) = Scene::new(test, "scaling").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let operator = scene.operator(&[]).await?;
    scene.apply("handbook", autoscaled()).await?;
    scene.serving("handbook").await?;
    scene.says("handbook", "AutoscalingExact", "True", "DeadBand").await?;

    kubectl_scale(&scene, "handbook", 10).await?;
    has_replicas(&scene, 10).await?;
    kubectl_scale(&scene, "handbook", 3).await?;
    held_at(&scene, 30).await?;
    assert_eq!(replicas(&scene).await?, Some(10), "30 percent holds");
    held_at(&scene, 70).await?;
    assert_eq!(replicas(&scene).await?, Some(10), "70 percent holds");
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(71.0));
    has_replicas(&scene, 11).await?;

    kubectl_scale(&scene, "handbook", 19).await?;
    has_replicas(&scene, 19).await?;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(300.0));
    has_replicas(&scene, 20).await?;
    held_at(&scene, 300).await?;
    assert_eq!(replicas(&scene).await?, Some(20), "never over the ceiling");

    kubectl_scale(&scene, "handbook", 3).await?;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(29.0));
    scene.becomes("fewer servers", "handbook-server", |d: &Deployment| d.spec.replicas < Some(20)).await?;
    kubectl_scale(&scene, "handbook", 19).await?;
    has_replicas(&scene, 19).await?;
    held_at(&scene, 29).await?;
    assert_eq!(replicas(&scene).await?, Some(19), "never under the floor");
    let events = scene.events("handbook").await?;
    assert!(events.iter().all(|(reason, _)| reason != "ChangePutBack"), "a raised floor corrects nobody: {events:#?}");
    operator.stop().await
}

#[tokio::test]
async fn the_service_keeps_scaling_while_the_operator_is_stopped() -> Result<()> {
    let test = "the_service_keeps_scaling_while_the_operator_is_stopped";
    let Some(scene) = Scene::new(test, "scaling").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let operator = scene.operator(&[]).await?;
    scene.apply("handbook", autoscaled()).await?;
    scene.serving("handbook").await?;
    operator.stop().await?;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(100.0));
    scene
        .becomes("more servers, all ready", "handbook-server", |deployment: &Deployment| {
            let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas);
            deployment.spec.replicas > Some(3) && ready == deployment.spec.replicas
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn more_than_20_servers_are_capped_and_said() -> Result<()> {
    let Some(scene) = Scene::new("more_than_20_servers_are_capped_and_said", "scaling").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({"autoscaling": {"maxReplicas": 25}})).await?;
    let capped = scene.says("handbook", "ReplicasCapped", "True", "AboveCeiling").await?;
    assert!(capped.message.contains("25") && capped.message.contains("20"), "{}", capped.message);
    let autoscaler = scene.api::<HorizontalPodAutoscaler>().get("handbook").await?;
    assert_eq!(autoscaler.spec.max_replicas, 20);
    Ok(())
}

#[tokio::test]
async fn a_kubernetes_that_forgets_the_tolerance_is_told_with_a_remedy_and_not_fought() -> Result<()> {
    let test = "a_kubernetes_that_forgets_the_tolerance_is_told_with_a_remedy_and_not_fought";
    let Some(scene) = Scene::new(test, "scaling").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let proxy = FaultProxy::start(&scene.shared.cluster).await?;
    proxy.drop_tolerance(true);
    scene.installation.through(&proxy)?;
    let _operator = scene.operator(&["--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({})).await?;
    let inexact = scene.says("handbook", "AutoscalingExact", "False", "ToleranceDropped").await?;
    assert!(inexact.message.contains("1.35"), "the remedy names the version: {}", inexact.message);
    scene.serving("handbook").await?;
    let autoscaler = scene.api::<HorizontalPodAutoscaler>().get("handbook").await?;
    assert!(autoscaler.annotations().contains_key(labels::TOLERANCE_DROPPED), "{:?}", autoscaler.annotations());
    let writes = || proxy.writes().iter().filter(|write| write.path.contains("horizontalpodautoscalers")).count();
    let before = writes();
    assert!(before <= 2, "asked once, and perhaps once more without the field: {before} times");
    let scene = &scene;
    until("an event says so", WITHIN, || async move {
        let events = scene.events("handbook").await?;
        Ok(events.iter().any(|(reason, _)| reason == "ToleranceDropped").then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_tolerance_that_somebody_removes_is_put_back_and_told() -> Result<()> {
    let test = "a_tolerance_that_somebody_removes_is_put_back_and_told";
    let Some(scene) = Scene::new(test, "scaling").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    let removal = json!({"spec": {"behavior": {"scaleDown": {"tolerance": null}}}});
    let autoscalers = scene.api::<HorizontalPodAutoscaler>();
    autoscalers.patch("handbook", &PatchParams::default(), &Patch::Merge(&removal)).await?;
    scene
        .becomes("the tolerance is back", "handbook", |autoscaler: &HorizontalPodAutoscaler| {
            let behavior = autoscaler.spec.behavior.as_ref();
            behavior.and_then(|behavior| behavior.scale_down.as_ref()?.tolerance.as_ref()).is_some()
        })
        .await?;
    let told = &scene;
    until("an event says who took it away", WITHIN, || async move {
        let events = told.events("handbook").await?;
        Ok(events.iter().any(|(reason, _)| reason == "ChangePutBack").then_some(()))
    })
    .await?;
    scene.says("handbook", "AutoscalingExact", "True", "DeadBand").await?;
    Ok(())
}
