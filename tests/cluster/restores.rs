//! A drill and a restore in place run by Jobs, whoever dies meanwhile; what is found wrong is taken back; one at a time.
//!
//! Nodes are simulated: the test says how a Job's container ended, as a kubelet would, and which epoch the servers search.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use ragops_operator::api::{RagRestore, RagSnapshot, labels};
use ragops_tests::metrics::Cpu;
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};
use crate::snapshots::{ask, destination, ends, failed, key, says as snapshot_says, taken};

/// Asks for a restore, as `kubectl create` does.
pub(crate) async fn restore(scene: &Scene, name: &str, spec: Value) -> Result<RagRestore> {
    let object = json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore", "metadata": {"name": name}, "spec": spec,
    });
    Ok(scene.api::<RagRestore>().create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

/// Waits until Ready has a status and a reason.
pub(crate) async fn says(scene: &Scene, name: &str, status: &str, reason: &str) -> Result<RagRestore> {
    let restores = &scene.api::<RagRestore>();
    until(&format!("{name}: Ready {status} {reason}"), WITHIN, || async move {
        let found = restores.get(name).await?;
        let conditions = found.status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let ready = ready.with_context(|| format!("{name} has no condition Ready"))?;
        let is = ready.status == status && ready.reason == reason;
        ensure!(is, "Ready {} {}: {}", ready.status, ready.reason, ready.message);
        Ok(Some(found))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

pub(crate) fn drill() -> Value {
    json!({"cluster": "handbook", "mode": "Drill"})
}

pub(crate) fn in_place() -> Value {
    json!({"cluster": "handbook", "mode": "InPlace", "source": {"snapshotRef": {"name": "daily"}}})
}

pub(crate) fn drilled(recall: f64) -> Value {
    json!({
        "outcome": "done", "snapshot": taken("daily")["snapshot"], "recall": recall, "asked": 20, "found": 20,
        "rto_seconds": 12.3, "rpo_seconds": 3600.0, "documents": 10, "chunks": 100,
    })
}

pub(crate) fn restored(proven: i64, epoch: i64) -> Value {
    json!({
        "outcome": "done", "snapshot": taken("daily")["snapshot"], "epoch": epoch, "previous_epoch": epoch - 1,
        "proven": proven, "asked": 20, "seconds": 12.3,
        "documents": {"added": 1, "changed": 2, "removed": 3, "unchanged": 4},
    })
}

/// The arguments of a Job's command.
async fn arguments(scene: &Scene, job: &str) -> Result<String> {
    let what = format!("Job {job}");
    let job = scene.becomes(&what, job, |_: &Job| true).await?;
    let pod = job.spec.and_then(|spec| spec.template.spec).context("a Job without pods")?;
    Ok(pod.containers[0].args.clone().unwrap_or_default().join(" "))
}

/// A cluster that serves from epoch 3, with a snapshot in its bucket.
async fn served(test: &str) -> Result<Option<Scene>> {
    let Some(scene) = Scene::new(test, "restores").await? else { return Ok(None) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    searches(&scene, 3);
    key(&scene).await?;
    scene.apply("handbook", json!({"snapshots": destination()})).await?;
    Ok(Some(scene))
}

pub(crate) fn searches(scene: &Scene, epoch: u32) {
    scene.shared.pods.script(&scene.namespace, Script { epoch: Some(epoch), ..Script::default() });
}

async fn has_a_snapshot(scene: &Scene) -> Result<()> {
    scene.serving("handbook").await?;
    ask(scene, "daily", json!({"cluster": "handbook"})).await?;
    ends(scene, "daily-take", &taken("daily")).await?;
    snapshot_says(scene, "daily", "Ready", "True", "Taken").await?;
    Ok(())
}

/// A restore that ends where what is served cannot be kept.
pub(crate) async fn keeps_what_is_served_first(scene: &Scene, cluster: &str) -> Result<()> {
    let source = json!({"archive": {"name": "old"}});
    restore(scene, "cautious", json!({"cluster": cluster, "mode": "InPlace", "source": source})).await?;
    ends(scene, "cautious-before-take", &failed("auth_failed")).await?;
    says(scene, "cautious", "False", "SnapshotFailed").await.map(drop)
}

/// Reasons of the events about a restore.
async fn told(scene: &Scene, name: &str) -> Result<Vec<String>> {
    let all = scene.api::<Event>().list(&ListParams::default()).await?.items;
    let about = |event: &Event| {
        let of = event.regarding.as_ref();
        of.is_some_and(|of| of.kind.as_deref() == Some("RagRestore") && of.name.as_deref() == Some(name))
    };
    Ok(all.into_iter().filter(about).filter_map(|event| event.reason).collect())
}

#[tokio::test]
async fn a_drill_is_tried_once_though_the_operator_is_killed_in_the_middle_and_the_next_one_waits() -> Result<()> {
    let test = "a_drill_is_tried_once_though_the_operator_is_killed_in_the_middle_and_the_next_one_waits";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    let operator = scene.operator(&[]).await?;
    has_a_snapshot(&scene).await?;
    restore(&scene, "weekly", drill()).await?;
    let args = arguments(&scene, "weekly-drill").await?;
    ensure!(args.contains("snapshot drill daily --min-recall 0.95 --report /dev/termination-log"), "{args}");
    says(&scene, "weekly", "False", "Drilling").await?;
    restore(&scene, "another", drill()).await?;
    let waits = says(&scene, "another", "False", "WaitsForTurn").await?;
    ensure!(format!("{:?}", waits.status).contains("waits for RagRestore weekly, which goes first"), "{waits:?}");
    // What is under way stands in the status of the cluster.
    let shows = |what: &'static str| {
        move |cluster: &ragops_operator::api::RagCluster| {
            cluster.status.iter().flat_map(|status| &status.next).any(|next| next.what.contains(what))
        }
    };
    scene.becomes("the queue is shown", "handbook", shows("RagRestore weekly: finish step 2 of 3 (drill)")).await?;
    operator.kill().await?;
    ends(&scene, "weekly-drill", &drilled(1.0)).await?;
    let _operator = scene.operator(&[]).await?;
    let passed = says(&scene, "weekly", "True", "Passed").await?;
    let result = passed.status.and_then(|status| status.result).context("no result")?;
    assert_eq!((result.snapshot.as_str(), result.destination.as_str()), ("daily", "offsite"));
    assert_eq!(
        (result.recall_percent, result.rto.as_deref(), result.documents),
        (Some(100.0), Some("12.3s"), Some(10))
    );
    // A drill that finds less than it has to fails for good, and one without room has not passed.
    snapshot_says(&scene, "daily", "Verified", "True", "DrillPassed").await?;
    ends(&scene, "another-drill", &failed("recall")).await?;
    says(&scene, "another", "False", "RecallTooLow").await?;
    snapshot_says(&scene, "daily", "Verified", "False", "DrillFailed").await?;
    restore(&scene, "cramped", drill()).await?;
    ends(&scene, "cramped-drill", &json!({"outcome": "failed", "cause": "unreachable", "message": "no bucket"}))
        .await?;
    says(&scene, "cramped", "False", "Drilling").await?;
    ends(&scene, "cramped-drill-2", &json!({"outcome": "skipped", "cause": "no_room", "message": "full"})).await?;
    says(&scene, "cramped", "False", "Skipped").await?;
    let made = audit.since(mark)?;
    let jobs: Vec<_> =
        made.iter().filter(|r| r.user == user && r.verb == "create" && r.resource == "jobs" && r.code == 201).collect();
    assert_eq!(jobs.len(), 1 + 4, "one of the snapshot and each attempt once");
    let events: BTreeSet<String> = told(&scene, "weekly").await?.into_iter().collect();
    assert_eq!(events, ["Drilling", "Passed"].map(str::to_owned).into());
    Ok(())
}

#[tokio::test]
async fn a_restore_in_place_keeps_what_is_served_follows_the_servers_and_takes_back_what_is_found_wrong() -> Result<()>
{
    let test = "a_restore_in_place_keeps_what_is_served_follows_the_servers_and_takes_back_what_is_found_wrong";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let operator = scene.operator(&[]).await?;
    has_a_snapshot(&scene).await?;
    restore(&scene, "undo", in_place()).await?;
    says(&scene, "undo", "False", "Snapshotting").await?;
    let jobs = scene.api::<Job>();
    assert!(jobs.get_opt("undo-restore").await?.is_none(), "what is served is kept first");
    ends(&scene, "undo-before-take", &taken("undo-before")).await?;
    let args = arguments(&scene, "undo-restore").await?;
    let uid = scene.api::<RagRestore>().get("undo").await?.uid().unwrap_or_default();
    ensure!(args.contains(&format!("snapshot restore daily --replace --restored-for {uid} --report")), "{args}");
    operator.kill().await?;
    ends(&scene, "undo-restore", &restored(20, 4)).await?;
    let _operator = scene.operator(&[]).await?;
    says(&scene, "undo", "False", "Verifying").await?;
    searches(&scene, 4);
    let done = says(&scene, "undo", "True", "Restored").await?;
    let result = done.status.and_then(|status| status.result).context("no result")?;
    assert_eq!((result.epoch, result.previous_epoch), (Some(4), Some(3)));
    assert!(jobs.get_opt("undo-revert").await?.is_none(), "what was found right stays");
    // Too few of the passages are found.
    restore(&scene, "wrong", in_place()).await?;
    ends(&scene, "wrong-before-take", &taken("wrong-before")).await?;
    ends(&scene, "wrong-restore", &restored(10, 5)).await?;
    let args = arguments(&scene, "wrong-revert").await?;
    ensure!(args.contains("snapshot revert --report"), "{args}");
    says(&scene, "wrong", "False", "NotVerified").await?;
    ends(&scene, "wrong-revert", &json!({"outcome": "done"})).await?;
    says(&scene, "wrong", "False", "Reverted").await?;
    // What is in the archive cannot be used: nothing is switched, and nothing taken back.
    restore(&scene, "broken", in_place()).await?;
    ends(&scene, "broken-before-take", &taken("broken-before")).await?;
    ends(&scene, "broken-restore", &failed("damaged")).await?;
    says(&scene, "broken", "False", "Damaged").await?;
    assert!(jobs.get_opt("broken-revert").await?.is_none(), "nothing was switched");
    // The snapshots outlive the restores, and their Jobs go with them.
    scene.api::<RagRestore>().delete("wrong", &DeleteParams::default()).await?;
    let of_wrong = &ListParams::default().labels(&format!("{}=wrong", labels::OWNER));
    let jobs = &jobs;
    until("the Jobs of a restore go with it", WITHIN, || async move {
        Ok(jobs.list(of_wrong).await?.items.is_empty().then_some(()))
    })
    .await?;
    let kept: BTreeSet<String> =
        scene.api::<RagSnapshot>().list(&ListParams::default()).await?.items.iter().map(|s| s.name_any()).collect();
    assert_eq!(kept, ["broken-before", "daily", "undo-before", "wrong-before"].map(str::to_owned).into());
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_a_restore_without_a_source_is_refused() -> Result<()> {
    let test = "a_dry_run_says_what_would_change_and_a_restore_without_a_source_is_refused";
    let Some(scene) = served(test).await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    let refused = restore(&scene, "nothing", json!({"cluster": "handbook", "mode": "InPlace"})).await.unwrap_err();
    ensure!(refused.to_string().contains("a restore in place names its source"), "{refused}");
    scene.serving("handbook").await?;
    let source = json!({"archive": {"destination": "offsite", "newestBefore": "2026-11-01T00:00:00Z"}});
    let spec = json!({"cluster": "handbook", "mode": "InPlace", "source": source, "dryRun": true});
    restore(&scene, "look", spec).await?;
    let args = arguments(&scene, "look-restore").await?;
    ensure!(args.contains("snapshot restore --before 2026-11-01T00:00:00Z --replace --dry-run --report"), "{args}");
    let mut preview = restored(0, 4);
    for field in ["epoch", "previous_epoch", "proven", "asked", "seconds"] {
        preview[field] = Value::Null;
    }
    ends(&scene, "look-restore", &preview).await?;
    let done = says(&scene, "look", "True", "Previewed").await?;
    let changes = done.status.and_then(|status| status.result?.changes).context("no changes")?;
    assert_eq!((changes.added, changes.changed, changes.removed, changes.unchanged), (1, 2, 3, 4));
    let snapshots = scene.api::<RagSnapshot>().list(&ListParams::default()).await?.items;
    assert!(snapshots.is_empty(), "nothing is kept where nothing is overwritten: {snapshots:?}");
    Ok(())
}
