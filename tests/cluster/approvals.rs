//! More than 20 servers: who asks cannot approve, what is approved runs, and what is approved no longer goes step by step.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use ragops_operator::api::{RagCluster, ScaleApproval, labels};
use ragops_tests::metrics::Cpu;
use ragops_tests::operator::Installation;
use ragops_tests::{Cluster, until};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};
use crate::shared::shared;

const ASKER: (&str, &str) = ("ada@example.com", "rag-team");
const APPROVER: (&str, &str) = ("grace@example.com", "rag-approvers");

fn approval(name: &str, servers: i32, approved_by: &str, seconds: i64) -> Result<ScaleApproval> {
    let expires_at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds))?;
    let spec = json!({
        "cluster": "handbook", "maxReplicas": servers, "reason": "launch", "approvedBy": approved_by,
        "expiresAt": expires_at.to_string(),
    });
    let object = json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "ScaleApproval", "metadata": {"name": name}, "spec": spec,
    });
    Ok(serde_json::from_value(object)?)
}

/// Somebody who may do everything approves so many servers of the cluster handbook for so long.
pub(crate) async fn approve(scene: &Scene, name: &str, servers: i32, seconds: i64) -> Result<()> {
    let grace = scene.shared.cluster.client_as("grace", &["system:masters"]).await?;
    let approvals: Api<ScaleApproval> = Api::namespaced(grace, &scene.namespace);
    approvals.create(&PostParams::default(), &approval(name, servers, "grace", seconds)?).await?;
    Ok(())
}

/// Whether an approval has come to be in force, or not, with this reason.
pub(crate) fn is(approval: &ScaleApproval, ready: &str, reason: &str) -> bool {
    let conditions = approval.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|found| found.type_ == "Ready" && found.status == ready && found.reason == reason)
}

fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, sentence: &str) -> Result<()> {
    match answer {
        Ok(accepted) => bail!("accepted: {accepted:?}"),
        Err(kube::Error::Api(status)) => {
            ensure!(status.message.contains(sentence), "not \"{sentence}\" but: {}", status.message);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/approval").join(name).display().to_string()
}

/// Who may ask, and who may approve, as the example has it.
async fn roles(cluster: &Cluster, namespace: &str) -> Result<()> {
    let mut kubectl = tokio::process::Command::from(cluster.kubectl());
    kubectl.args([
        "apply",
        "--server-side",
        "--validate=strict",
        "--namespace",
        namespace,
        "-f",
        &example("roles.yaml"),
    ]);
    let output = kubectl.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn who_asks_for_servers_cannot_approve_them_and_who_approves_answers_for_it() -> Result<()> {
    let test = "who_asks_for_servers_cannot_approve_them_and_who_approves_answers_for_it";
    let Some(shared) = shared(test).await? else { return Ok(()) };
    let (client, namespace) = shared.alone("approvals").await?;
    Installation::new(&shared.cluster, &namespace).await?;
    roles(&shared.cluster, &namespace).await?;
    let asker = shared.cluster.client_as(ASKER.0, &[ASKER.1]).await?;
    let approver = shared.cluster.client_as(APPROVER.0, &[APPROVER.1]).await?;
    let clusters = |client: &kube::Client| Api::<RagCluster>::namespaced(client.clone(), &namespace);
    let approvals = |client: &kube::Client| Api::<ScaleApproval>::namespaced(client.clone(), &namespace);
    let post = PostParams::default();

    // The asker asks, and reads what is approved.
    let cluster = json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": "handbook"},
        "spec": {"autoscaling": {"maxReplicas": 40}},
    });
    clusters(&asker).create(&post, &serde_json::from_value(cluster)?).await?;
    approvals(&asker).list(&ListParams::default()).await?;
    let own = approval("own", 40, ASKER.0, 3600)?;
    refused(approvals(&asker).create(&post, &own).await, "cannot create resource \"scaleapprovals\"")?;

    // The approver approves in no other name, and changes no cluster.
    let foreign = approval("foreign", 40, ASKER.0, 3600)?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (theirs, dry_run) = (&approvals(&approver), &dry_run);
    until("another name is refused", WITHIN, || async {
        let answer = theirs.create(dry_run, &foreign).await;
        refused(answer, "whoever creates a ScaleApproval approves it: set it to grace@example.com")?;
        Ok(Some(()))
    })
    .await?;
    for (servers, sentence) in [(20, "greater than or equal to 21"), (201, "less than or equal to 200")] {
        refused(theirs.create(&post, &approval("bounds", servers, APPROVER.0, 3600)?).await, sentence)?;
    }
    let text = std::fs::read_to_string(example("approval.yaml"))?;
    let stored = theirs.create(&post, &serde_yaml_ng::from_str(&text)?).await?;
    assert_eq!(stored.spec.approved_by, APPROVER.0);
    let merge = |change: Value| Patch::Merge(change);
    let params = PatchParams::default();
    let raised = clusters(&approver).patch("handbook", &params, &merge(json!({"spec": {"replicas": 30}}))).await;
    refused(raised, "cannot patch resource \"ragclusters\"")?;

    // Nobody changes an approval, whoever it is.
    for change in
        [json!({"maxReplicas": 60}), json!({"expiresAt": "2031-01-01T00:00:00Z"}), json!({"approvedBy": "ada"})]
    {
        let change = merge(json!({"spec": change}));
        let changed = approvals(&client).patch(&stored.name_any(), &params, &change).await;
        refused(changed, "an approval cannot be changed")?;
    }
    refused(
        approvals(&asker).delete(&stored.name_any(), &DeleteParams::default()).await,
        "cannot delete resource \"scaleapprovals\"",
    )?;
    theirs.delete(&stored.name_any(), &DeleteParams::default()).await?;
    Ok(())
}

async fn has_replicas(scene: &Scene, wanted: i32) -> Result<()> {
    let what = format!("{wanted} servers");
    scene.becomes(&what, "handbook-server", |d: &Deployment| d.spec.replicas == Some(wanted)).await.map(drop)
}

/// Every maximum that the autoscaler is given until it is `last`.
async fn maxima_until(scene: &Scene, last: i32) -> Result<Vec<i32>> {
    let autoscalers = scene.api::<HorizontalPodAutoscaler>();
    let seen = std::sync::Mutex::new(Vec::new());
    let (autoscalers, all) = (&autoscalers, &seen);
    until("the maximum has come down", WITHIN * 2, || async move {
        let now = autoscalers.get("handbook").await?.spec.max_replicas;
        let mut all = all.lock().ok().context("nobody else is here")?;
        if all.last() != Some(&now) {
            all.push(now);
        }
        Ok((now == last).then_some(()))
    })
    .await?;
    Ok(seen.into_inner()?)
}

#[tokio::test]
async fn what_is_approved_runs_and_goes_step_by_step_when_the_approval_has_ended() -> Result<()> {
    let test = "what_is_approved_runs_and_goes_step_by_step_when_the_approval_has_ended";
    let Some(scene) = Scene::new(test, "approvals").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({"replicas": 25, "autoscaling": {"maxReplicas": 25}})).await?;
    let capped = scene.says("handbook", "ReplicasCapped", "True", "AboveCeiling").await?;
    ensure!(capped.message.contains("nobody has approved more"), "{}", capped.message);
    has_replicas(&scene, 20).await?;

    approve(&scene, "launch", 25, 7 * 24 * 3600).await?;
    has_replicas(&scene, 25).await?;
    scene.becomes("in force", "launch", |found: &ScaleApproval| is(found, "True", "InForce")).await?;
    scene.serving("handbook").await?;
    ensure!(
        crate::scene::condition(&scene.clusters.get("handbook").await?, "ReplicasCapped").is_none(),
        "still capped"
    );

    // Another approval takes its place, and ends soon. Nothing happens before it does.
    approve(&scene, "evening", 25, 60).await?;
    scene.becomes("told before its end", "evening", |found: &ScaleApproval| is(found, "True", "EndsSoon")).await?;
    scene.api::<ScaleApproval>().delete("launch", &DeleteParams::default()).await?;
    let maxima = maxima_until(&scene, 20).await?;
    assert_eq!(maxima, [25, 23, 21, 20], "never in one fall");
    has_replicas(&scene, 20).await?;
    let capped = scene.says("handbook", "ReplicasCapped", "True", "ApprovalEnded").await?;
    ensure!(capped.message.contains("ScaleApproval evening ended at"), "{}", capped.message);
    scene.becomes("ended", "evening", |found: &ScaleApproval| is(found, "False", "Expired")).await?;
    scene.serving("handbook").await?;
    let autoscaler = scene.api::<HorizontalPodAutoscaler>().get("handbook").await?;
    let noted = [labels::GRANTED, labels::LOWERED_AT].map(|key| autoscaler.annotations().contains_key(key));
    assert_eq!(noted, [false; 2], "{:?}", autoscaler.annotations());

    let told: Vec<(String, String)> = scene
        .api::<Event>()
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter_map(|event| Some((event.regarding?.kind?, event.reason?)))
        .collect();
    for (kind, reason) in [
        ("ScaleApproval", "InForce"),
        ("ScaleApproval", "EndsSoon"),
        ("ScaleApproval", "Expired"),
        ("RagCluster", "ApprovalEnded"),
    ] {
        let times = told.iter().filter(|(about, why)| about == kind && why == reason).count();
        assert_eq!(times, 1, "{kind} {reason}: {told:#?}");
    }
    operator.stop().await
}

#[tokio::test]
async fn an_approval_for_a_cluster_that_is_not_there_says_so_until_it_is() -> Result<()> {
    let test = "an_approval_for_a_cluster_that_is_not_there_says_so_until_it_is";
    let Some(scene) = Scene::new(test, "approvals").await? else { return Ok(()) };
    let operator = scene.operator(&[]).await?;
    approve(&scene, "launch", 25, 7 * 24 * 3600).await?;
    scene.becomes("missing", "launch", |found: &ScaleApproval| is(found, "False", "ClusterMissing")).await?;
    scene.apply("handbook", json!({})).await?;
    scene.becomes("in force", "launch", |found: &ScaleApproval| is(found, "True", "InForce")).await?;
    scene.clusters.delete("handbook", &DeleteParams::default()).await?;
    scene.becomes("missing again", "launch", |found: &ScaleApproval| is(found, "False", "ClusterMissing")).await?;
    operator.stop().await
}
