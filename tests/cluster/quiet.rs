//! A converged cluster causes no mutating request, and neither does an operator that starts anew.

use anyhow::Result;
use ragops_tests::metrics::Cpu;
use ragops_tests::operator::Operator;
use ragops_tests::until;
use serde_json::json;

use crate::scene::{Scene, WITHIN, figure};

/// Passes that find nothing to do, each as long as a second after the other: more than enough for any timer of the operator
/// that is shorter than a minute.
const PASSES: f64 = 60.0;

/// Waits until the operator has passed over its clusters so many times more.
pub(crate) async fn passes(operator: &Operator, more: f64) -> Result<()> {
    const PASSED: &str = "ragops_reconcile_seconds_count";
    let wanted = figure(operator, PASSED).await? + more;
    until("the operator has looked again and again", WITHIN * 2, || async move {
        Ok((figure(operator, PASSED).await? >= wanted).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_converged_cluster_causes_no_write_and_an_operator_restart_causes_none() -> Result<()> {
    let test = "a_converged_cluster_causes_no_write_and_an_operator_restart_causes_none";
    let Some(scene) = Scene::new(test, "quiet").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let flags = ["--resync-seconds", "1"];
    let operator = scene.operator(&flags).await?;
    scene.apply("handbook", json!({})).await?;
    scene.apply("notes", json!({"profile": "Development", "replicas": 1, "autoscaling": {"enabled": false}, "vectorStore": {"embedded": {}}})).await?;
    scene.serving("handbook").await?;
    scene.serving("notes").await?;
    // The autoscaler's first figures are news, and come when they come.
    scene.says("handbook", "MetricsAvailable", "True", "Current").await?;
    // What is said about a cluster may follow its last change by a pass.
    passes(&operator, 6.0).await?;

    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    passes(&operator, PASSES).await?;
    let writes = audit.writes_since(mark, &user)?;
    let events = scene.events("handbook").await?;
    assert!(writes.is_empty(), "a converged cluster was written to: {writes:#?}; events: {events:#?}");

    operator.kill().await?;
    let successor = scene.operator(&flags).await?;
    passes(&successor, 6.0).await?;
    let writes = audit.writes_since(mark, &user)?;
    assert!(
        writes.is_empty(),
        "an operator restart wrote: {writes:#?}; events: {:#?}",
        scene.events("handbook").await?
    );
    Ok(())
}
