//! The real autoscaler acts on scripted CPU use exactly as the operator's dead band assumes.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::PostParams;
use ragops_tests::metrics::Cpu;
use ragops_tests::{restricted, until};
use serde_json::json;

use crate::shared::{Shared, shared};

/// Both windows of the autoscaler under test.
const WINDOW_SECONDS: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

struct Scene {
    shared: &'static Shared,
    namespace: String,
    deployments: Api<Deployment>,
    autoscalers: Api<HorizontalPodAutoscaler>,
}

impl Scene {
    async fn replicas(&self) -> Result<i32> {
        let deployment = self.deployments.get("app").await?;
        deployment.spec.replicas.context("no replicas")
    }

    /// The pods use so much, and the autoscaler has seen it for longer than its windows.
    async fn at(&self, percent: i32) -> Result<()> {
        self.shared.metrics.set(&self.namespace, Cpu::Percent(percent.into()));
        let autoscalers = &self.autoscalers;
        until("the autoscaler sees the new figure", WITHIN, || async move {
            let status = autoscalers.get("app").await?.status.unwrap_or_default();
            let current = status.current_metrics.unwrap_or_default();
            let mut seen = current.iter().filter_map(|metric| metric.resource.as_ref()?.current.average_utilization);
            Ok(seen.next_back().is_some_and(|seen| seen == percent).then_some(()))
        })
        .await?;
        let seen_until = self.shared.metrics.asked(&self.namespace) + 2 * WINDOW_SECONDS;
        until("the autoscaler has looked for longer than its windows", WITHIN, || async move {
            Ok((self.shared.metrics.asked(&self.namespace) >= seen_until).then_some(()))
        })
        .await
    }

    async fn becomes(&self, replicas: i32) -> Result<()> {
        until(&format!("{replicas} replicas"), WITHIN, || async move {
            Ok((self.replicas().await? == replicas).then_some(()))
        })
        .await
    }
}

async fn scene(shared: &'static Shared, replicas: i32) -> Result<Scene> {
    let (client, namespace) = shared.alone("autoscaler").await?;
    shared.metrics.set(&namespace, Cpu::Percent(50.0));
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "app"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"securityContext": restricted::pod(), "containers": [{
                    "name": "app",
                    "image": "example/app",
                    "resources": {"requests": {"cpu": "250m"}},
                    "securityContext": restricted::container(),
                }]},
            },
        },
    }))?;
    let rules = |tolerance: &str| {
        json!({
            "tolerance": tolerance,
            "stabilizationWindowSeconds": WINDOW_SECONDS,
            "policies": [{"type": "Percent", "value": 900, "periodSeconds": 1}],
        })
    };
    let autoscaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 3,
            "maxReplicas": 20,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
            }}],
            "behavior": {"scaleUp": rules("0"), "scaleDown": {
                "tolerance": "572m",
                "stabilizationWindowSeconds": WINDOW_SECONDS,
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
            }},
        },
    }))?;
    let deployments = Api::namespaced(client.clone(), &namespace);
    let autoscalers = Api::namespaced(client, &namespace);
    deployments.create(&PostParams::default(), &deployment).await?;
    autoscalers.create(&PostParams::default(), &autoscaler).await?;
    Ok(Scene { shared, namespace, deployments, autoscalers })
}

#[tokio::test]
async fn the_dead_band_holds_from_30_to_70_percent_and_nowhere_else() -> Result<()> {
    let Some(shared) = shared("the_dead_band_holds_from_30_to_70_percent_and_nowhere_else").await? else {
        return Ok(());
    };
    let scene = scene(shared, 10).await?;
    scene.at(30).await?;
    assert_eq!(scene.replicas().await?, 10, "30 percent holds");
    scene.at(70).await?;
    assert_eq!(scene.replicas().await?, 10, "70 percent holds");
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(71.0));
    scene.becomes(11).await?;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(300.0));
    scene.becomes(20).await?;
    scene.at(300).await?;
    assert_eq!(scene.replicas().await?, 20, "never over the ceiling");
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(29.0));
    scene.becomes(3).await?;
    scene.at(29).await?;
    assert_eq!(scene.replicas().await?, 3, "never under the floor");
    Ok(())
}

#[tokio::test]
async fn an_autoscaler_without_metrics_says_so_and_changes_nothing() -> Result<()> {
    let Some(shared) = shared("an_autoscaler_without_metrics_says_so_and_changes_nothing").await? else {
        return Ok(());
    };
    let scene = scene(shared, 5).await?;
    scene.at(50).await?;
    shared.metrics.set(&scene.namespace, Cpu::Missing);
    let autoscalers = &scene.autoscalers;
    until("ScalingActive is False", WITHIN, || async move {
        let status = autoscalers.get("app").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        Ok(conditions.iter().any(|c| c.type_ == "ScalingActive" && c.status == "False").then_some(()))
    })
    .await?;
    assert_eq!(scene.replicas().await?, 5);
    Ok(())
}
