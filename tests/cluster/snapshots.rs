//! A RagSnapshot is taken by a Job, whoever dies meanwhile, and its copy goes with it only where it says so.
//!
//! Nodes are simulated: the test says how a Job's container ended, as a kubelet would.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use ragops_operator::api::{RagSnapshot, labels};
use ragops_tests::metrics::Cpu;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};

/// A cluster with a bucket, and the Secret of its key.
pub(crate) fn destination() -> Value {
    json!({"destinations": [{"name": "offsite", "s3": {"bucket": "archive", "secretRef": {"name": "archive-key"}}}]})
}

pub(crate) async fn key(scene: &Scene) -> Result<()> {
    let data = json!({"access-key-id": "id", "secret-access-key": "secret"});
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "archive-key"}, "stringData": data}))?;
    scene.api::<Secret>().create(&PostParams::default(), &secret).await?;
    Ok(())
}

/// Asks for a snapshot, as `kubectl create` does.
pub(crate) async fn ask(scene: &Scene, name: &str, spec: Value) -> Result<RagSnapshot> {
    let object = json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot", "metadata": {"name": name}, "spec": spec,
    });
    Ok(scene.api::<RagSnapshot>().create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

/// Waits until a condition of a snapshot has a status and a reason.
pub(crate) async fn says(scene: &Scene, name: &str, type_: &str, status: &str, reason: &str) -> Result<String> {
    let snapshots = &scene.api::<RagSnapshot>();
    until(&format!("{name}: {type_} {status} {reason}"), WITHIN, || async move {
        let found = snapshots.get(name).await?;
        let conditions = found.status.map(|status| status.conditions).unwrap_or_default();
        let condition = conditions.into_iter().find(|condition| condition.type_ == type_);
        let condition = condition.with_context(|| format!("{name} has no condition {type_}"))?;
        ensure!(
            condition.status == status && condition.reason == reason,
            "{type_} {} {}: {}",
            condition.status,
            condition.reason,
            condition.message
        );
        Ok(Some(condition.message))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

/// The pod of a Job, once a simulated node runs it.
pub(crate) async fn pod_of(scene: &Scene, job: &str) -> Result<Pod> {
    let pods = &scene.api::<Pod>();
    let of_job = &ListParams::default().labels(&format!("{}={job}", labels::JOB_NAME));
    until(&format!("the pod of Job {job} runs"), WITHIN, || async move {
        let pod = pods.list(of_job).await?.items.pop();
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        Ok(pod.filter(|pod| phase(pod).as_deref() == Some("Running")))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

/// The Job's container ends, and this is its termination message.
pub(crate) async fn ends(scene: &Scene, job: &str, report: &Value) -> Result<()> {
    let pod = pod_of(scene, job).await?;
    end(&scene.api(), &pod.name_any(), report).await
}

/// A Job's container ends, and this is its termination message.
pub(crate) async fn end(pods: &Api<Pod>, pod: &str, report: &Value) -> Result<()> {
    let is_done = report["outcome"] != "failed";
    let (phase, code, reason) = if is_done { ("Succeeded", 0, "Completed") } else { ("Failed", 1, "Error") };
    // Of now: what was read long ago is read again.
    let now = Time(jiff::Timestamp::now());
    let terminated = json!({
        "exitCode": code, "reason": reason, "message": report.to_string(), "startedAt": now, "finishedAt": now,
    });
    let container = json!({
        "name": "job", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": {"terminated": terminated},
    });
    let status = json!({"status": {"phase": phase, "containerStatuses": [container]}});
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

pub(crate) fn taken(name: &str) -> Value {
    let snapshot = json!({
        "name": name, "place": "s3://archive/somewhere", "sha256": "ab".repeat(32), "began": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:00:10Z", "last_write": null, "documents": 10, "chunks": 100, "left_out": 0, "bytes": 4096,
        "encrypted": false, "signed": false, "format": 1,
    });
    json!({"outcome": "done", "snapshot": snapshot, "written_bytes": 4096, "verified": true})
}

pub(crate) fn failed(cause: &str) -> Value {
    json!({"outcome": "failed", "cause": cause, "message": "said the Job"})
}

/// Waits until nothing is left that was made for a Job.
async fn nothing_is_left(scene: &Scene) -> Result<()> {
    let of_jobs = &ListParams::default().labels(labels::OWNER_KIND);
    until("nothing is left of a Job", WITHIN, || async move {
        let jobs = scene.api::<Job>().list(of_jobs).await?.items.len();
        let configs = scene.api::<ConfigMap>().list(of_jobs).await?.items.len();
        let accounts = scene.api::<ServiceAccount>().list(of_jobs).await?.items.len();
        Ok((jobs + configs + accounts == 0).then_some(()))
    })
    .await
}

async fn served(test: &str) -> Result<Option<Scene>> {
    let Some(scene) = Scene::new(test, "snapshots").await? else { return Ok(None) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    Ok(Some(scene))
}

#[tokio::test]
async fn a_snapshot_is_taken_once_though_the_operator_is_killed_in_the_middle() -> Result<()> {
    let test = "a_snapshot_is_taken_once_though_the_operator_is_killed_in_the_middle";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    let operator = scene.operator(&[]).await?;
    ask(&scene, "by-hand", json!({"cluster": "handbook"})).await?;
    says(&scene, "by-hand", "Stalled", "True", "ClusterMissing").await?;
    scene.apply("handbook", json!({"snapshots": destination()})).await?;
    let missing = says(&scene, "by-hand", "Stalled", "True", "SecretMissing").await?;
    ensure!(missing.contains("archive-key"), "{missing}");
    scene.serving("handbook").await?;
    key(&scene).await?;
    let pod = pod_of(&scene, "by-hand-take").await?;
    let args = pod.spec.as_ref().and_then(|spec| spec.containers[0].args.clone()).unwrap_or_default().join(" ");
    let uid = scene.api::<RagSnapshot>().get("by-hand").await?.uid().unwrap_or_default();
    ensure!(args.contains(&format!("snapshot create by-hand --taken-for {uid} --verify --report")), "{args}");
    // It is no server to anybody.
    ensure!(pod.labels().get(labels::NAME).is_some_and(|name| name == labels::name::JOB), "{:?}", pod.labels());
    // A second one for the same destination waits for it.
    ask(&scene, "second", json!({"cluster": "handbook"})).await?;
    let waits = says(&scene, "second", "Ready", "False", "WaitsForTurn").await?;
    ensure!(waits.contains("by-hand"), "{waits}");
    operator.kill().await?;
    ends(&scene, "by-hand-take", &taken("by-hand")).await?;
    let _operator = scene.operator(&[]).await?;
    says(&scene, "by-hand", "Ready", "True", "Taken").await?;
    says(&scene, "by-hand", "Verified", "True", "ReadBack").await?;
    says(&scene, "by-hand", "Reconciling", "False", "Settled").await?;
    ends(&scene, "second-take", &taken("second")).await?;
    says(&scene, "second", "Reconciling", "False", "Settled").await?;
    says(&scene, "second", "Ready", "True", "Taken").await?;
    nothing_is_left(&scene).await?;
    let requests = audit.since(mark)?;
    let made = |resource: &str| {
        requests
            .iter()
            .filter(|r| r.user == user && r.verb == "create" && r.resource == resource && r.code == 201)
            .count()
    };
    assert_eq!(made("jobs"), 2, "a Job for each snapshot, and no other");
    // The archive outlives the cluster, and so does what is known of it.
    scene.clusters.delete("handbook", &DeleteParams::foreground()).await?;
    let clusters = &scene.clusters;
    until(
        "the cluster has gone",
        WITHIN,
        || async move { Ok(clusters.get_opt("handbook").await?.is_none().then_some(())) },
    )
    .await?;
    let kept = scene.api::<RagSnapshot>().get("by-hand").await?;
    let archive = kept.status.and_then(|status| status.archive).context("no archive")?;
    assert_eq!(archive.place, format!("s3://archive/{}/handbook", scene.namespace));
    Ok(())
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_waits_for_a_person() -> Result<()> {
    let test = "what_may_pass_is_tried_again_and_what_may_not_waits_for_a_person";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    key(&scene).await?;
    scene.apply("handbook", json!({"snapshots": destination()})).await?;
    scene.serving("handbook").await?;
    ask(&scene, "nightly", json!({"cluster": "handbook"})).await?;
    ends(&scene, "nightly-take", &failed("unreachable")).await?;
    says(&scene, "nightly", "Ready", "False", "Unreachable").await?;
    says(&scene, "nightly", "Stalled", "False", "Unhindered").await?;
    ends(&scene, "nightly-take-2", &failed("auth_failed")).await?;
    let stalled = says(&scene, "nightly", "Stalled", "True", "AuthFailed").await?;
    ensure!(stalled.contains("said the Job") && stalled.contains("create another RagSnapshot"), "{stalled}");
    let jobs = scene.api::<Job>().list(&ListParams::default().labels(labels::OWNER_KIND)).await?;
    let names: Vec<String> = jobs.items.iter().map(|job| job.name_any()).collect();
    assert_eq!(names, ["nightly-take-2"], "the last one stays, with its log");
    Ok(())
}

/// A snapshot whose copy goes with it, taken and then deleted.
pub(crate) async fn comes_and_goes_with_its_copy(scene: &Scene, cluster: &str) -> Result<()> {
    ask(scene, "passing", json!({"cluster": cluster, "deletionPolicy": "Delete"})).await?;
    ends(scene, "passing-take", &taken("passing")).await?;
    says(scene, "passing", "Reconciling", "False", "Settled").await?;
    says(scene, "passing", "Ready", "True", "Taken").await?;
    let snapshots = &scene.api::<RagSnapshot>();
    snapshots.delete("passing", &DeleteParams::default()).await?;
    ends(scene, "passing-remove", &json!({"outcome": "done", "removed": ["passing"], "freed_bytes": 1})).await?;
    until(
        "the snapshot has gone",
        WITHIN,
        || async move { Ok(snapshots.get_opt("passing").await?.is_none().then_some(())) },
    )
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

#[tokio::test]
async fn a_copy_goes_with_its_object_only_where_it_says_so_and_never_holds_it_for_ever() -> Result<()> {
    let test = "a_copy_goes_with_its_object_only_where_it_says_so_and_never_holds_it_for_ever";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    key(&scene).await?;
    scene.apply("handbook", json!({"snapshots": destination()})).await?;
    scene.serving("handbook").await?;
    comes_and_goes_with_its_copy(&scene, "handbook").await?;
    let snapshots = &scene.api::<RagSnapshot>();
    for (name, policy) in [("kept", "Retain"), ("orphaned", "Delete")] {
        ask(&scene, name, json!({"cluster": "handbook", "deletionPolicy": policy})).await?;
        ends(&scene, &format!("{name}-take"), &taken(name)).await?;
        says(&scene, name, "Reconciling", "False", "Settled").await?;
    }
    assert_eq!(snapshots.get("kept").await?.metadata.finalizers, None);
    snapshots.delete("kept", &DeleteParams::default()).await?;
    assert!(snapshots.get_opt("kept").await?.is_none(), "nobody waits for one that leaves its copy");
    // With its cluster, nobody knows any more where it is.
    scene.clusters.delete("handbook", &DeleteParams::default()).await?;
    snapshots.delete("orphaned", &DeleteParams::default()).await?;
    until(
        "the orphan has gone",
        WITHIN,
        || async move { Ok(snapshots.get_opt("orphaned").await?.is_none().then_some(())) },
    )
    .await?;
    Ok(())
}
