//! What is kept is read again when its time comes, one at a time and beside nothing else, whoever dies meanwhile; what is found
//! then is said.
//!
//! Nodes are simulated: the test says how a Job's container ended, and puts back the time of the last reading.

use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use ragops_operator::api::cluster::SnapshotsStatus;
use ragops_operator::api::{RagCluster, RagRestore, RagSnapshot};
use ragops_tests::metrics::Cpu;
use ragops_tests::operator::Operator;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::quiet::passes;
use crate::restores::{in_place, restore, restored, says as restore_says, searches};
use crate::scene::{Scene, WITHIN, figure};
use crate::snapshots::{ask, destination, ends, failed, key, pod_of, says, taken};

/// Each object is looked at every second.
const LOOKS: [&str; 2] = ["--resync-seconds", "1"];

fn by_hand() -> Value {
    let mut snapshots = destination();
    snapshots["schedules"] = json!([]);
    snapshots["drill"] = json!({"suspend": true});
    snapshots
}

/// A cluster that serves, with snapshots of these names in its bucket.
async fn kept(test: &str, names: &[&str]) -> Result<Option<(Scene, Operator)>> {
    let Some(scene) = Scene::new(test, "readings").await? else { return Ok(None) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    searches(&scene, 3);
    key(&scene).await?;
    scene.apply("handbook", json!({"snapshots": by_hand()})).await?;
    let operator = scene.operator(&LOOKS).await?;
    scene.serving("handbook").await?;
    for name in names {
        ask(&scene, name, json!({"cluster": "handbook"})).await?;
        ends(&scene, &format!("{name}-take"), &taken(name)).await?;
        says(&scene, name, "Reconciling", "False", "Settled").await?;
        says(&scene, name, "Verified", "True", "ReadBack").await?;
    }
    Ok(Some((scene, operator)))
}

/// The last reading of a snapshot was long ago.
async fn ages(scene: &Scene, name: &str) -> Result<()> {
    let long_ago = "2026-01-01T00:00:00Z";
    let old = json!({"status": {"archive": {"verifiedAt": long_ago}, "reading": {"lastAt": long_ago}}});
    let snapshots = scene.api::<RagSnapshot>();
    snapshots.patch_status(name, &PatchParams::default(), &Patch::Merge(&old)).await?;
    Ok(())
}

/// Waits until the reading of a snapshot waits for this.
async fn waits_for(scene: &Scene, name: &str, what: &str) -> Result<()> {
    let waits = |snapshot: &RagSnapshot| {
        let reading = snapshot.status.as_ref().and_then(|status| status.reading.as_ref());
        reading.is_some_and(|reading| reading.steps.iter().any(|step| step.message.contains(what)))
    };
    scene.becomes(&format!("the reading of {name} waits for {what}"), name, waits).await.map(drop)
}

/// Waits until no Job reads a snapshot.
async fn no_job_reads(scene: &Scene) -> Result<()> {
    let jobs = &scene.api::<Job>();
    until("no Job reads a snapshot", WITHIN, || async move {
        let all = jobs.list(&ListParams::default()).await?.items;
        Ok((!all.iter().any(|job| job.name_any().contains("-verify"))).then_some(()))
    })
    .await
}

/// Waits until the block about snapshots says this.
async fn says_of_snapshots(scene: &Scene, what: &str, is: impl Fn(&SnapshotsStatus) -> bool) -> Result<()> {
    let is_said =
        |cluster: &RagCluster| cluster.status.as_ref().and_then(|status| status.snapshots.as_ref()).is_some_and(&is);
    scene.becomes(what, "handbook", is_said).await.map(drop)
}

/// Nothing is due: its time is said, and nothing written.
async fn only_says_when_the_next_is_read(scene: &Scene, operator: &Operator) -> Result<()> {
    let is_said = |cluster: &RagCluster| {
        cluster.status.iter().flat_map(|status| &status.next).any(|next| {
            next.what.starts_with("read RagSnapshot ") && next.what.ends_with(" again") && next.at.is_some()
        })
    };
    scene.becomes("the next reading is said", "handbook", is_said).await?;
    // What its servers say may still be told before.
    let (audit, user) = (&scene.shared.cluster.audit(), &scene.installation.user());
    until("passes write nothing", WITHIN, || async move {
        let mark = audit.mark()?;
        passes(operator, 6.0).await?;
        let writes = audit.writes_since(mark, user)?;
        ensure!(writes.is_empty(), "{writes:?}");
        Ok(Some(()))
    })
    .await
}

/// Waits for an event about a snapshot.
async fn is_told(scene: &Scene, name: &str, reason: &str) -> Result<()> {
    let events = &scene.api::<Event>();
    until(&format!("an event {reason} of {name}"), WITHIN, || async move {
        let all = events.list(&ListParams::default()).await?.items;
        let is_it = |event: &Event| {
            let about = event.regarding.as_ref().and_then(|about| about.name.as_deref());
            about == Some(name) && event.reason.as_deref() == Some(reason)
        };
        Ok(all.iter().any(is_it).then_some(()))
    })
    .await
}

#[tokio::test]
async fn what_is_kept_is_read_again_one_at_a_time_though_the_operator_is_killed_and_a_fault_is_said() -> Result<()> {
    let test = "what_is_kept_is_read_again_one_at_a_time_though_the_operator_is_killed_and_a_fault_is_said";
    let Some((scene, operator)) = kept(test, &["one", "two"]).await? else { return Ok(()) };
    let (audit, user) = (scene.shared.cluster.audit(), scene.installation.user());
    let mark = audit.mark()?;
    only_says_when_the_next_is_read(&scene, &operator).await?;
    ages(&scene, "one").await?;
    let pod = pod_of(&scene, "one-verify").await?;
    let args = pod.spec.as_ref().and_then(|spec| spec.containers[0].args.clone()).unwrap_or_default().join(" ");
    ensure!(args.contains("snapshot verify one --report"), "{args}");
    // The next reading waits, and what is to be taken.
    ages(&scene, "two").await?;
    waits_for(&scene, "two", "waits for RagSnapshot one, its reading").await?;
    ask(&scene, "three", json!({"cluster": "handbook"})).await?;
    let waits = says(&scene, "three", "Ready", "False", "WaitsForTurn").await?;
    ensure!(waits.contains("RagSnapshot one, its reading"), "{waits}");
    operator.kill().await?;
    ends(&scene, "one-verify", &taken("one")).await?;
    let operator = scene.operator(&LOOKS).await?;
    let is_read = |snapshot: &RagSnapshot| {
        let status = snapshot.status.as_ref();
        let read = status.and_then(|status| status.reading.as_ref()).and_then(|reading| reading.last_at.as_ref());
        read.is_some_and(|read| read.0 > jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1))
    };
    scene.becomes("the first is read", "one", is_read).await?;
    says(&scene, "one", "Verified", "True", "ReadBack").await?;
    // What is to be taken goes before what is to be read.
    ends(&scene, "three-take", &taken("three")).await?;
    says(&scene, "three", "Ready", "True", "Taken").await?;
    ends(&scene, "two-verify", &failed("damaged")).await?;
    let message = says(&scene, "two", "Verified", "False", "Damaged").await?;
    ensure!(message.contains("said the Job"), "{message}");
    let healthy = scene.says("handbook", "SnapshotsHealthy", "False", "Damaged").await?;
    ensure!(healthy.message.contains("RagSnapshot two"), "{}", healthy.message);
    scene.says("handbook", "Ready", "True", "Serving").await?;
    no_job_reads(&scene).await?;
    // Each was read once.
    passes(&operator, 6.0).await?;
    let made = audit.since(mark)?;
    let made = made.iter().filter(|r| r.user == user && r.verb == "create" && r.resource == "jobs" && r.code == 201);
    let mut made: Vec<&str> = made.map(|r| r.name.as_str()).collect();
    made.sort_unstable();
    assert_eq!(made, ["one-verify", "three-take", "two-verify"]);
    ensure!(figure(&operator, "ragops_snapshot_readings_total").await? >= 1.0, "no figure");
    is_told(&scene, "two", "Damaged").await?;
    // One that is gone from the archive says so, and the newest that is verified is another one.
    let newest = |name: &'static str| {
        move |status: &SnapshotsStatus| status.last_verified.as_ref().is_some_and(|last| last.name == name)
    };
    says_of_snapshots(&scene, "the newest is verified", newest("three")).await?;
    ages(&scene, "three").await?;
    ends(&scene, "three-verify", &failed("none")).await?;
    says(&scene, "three", "Verified", "False", "CopyGone").await?;
    says(&scene, "three", "Ready", "True", "Taken").await?;
    says_of_snapshots(&scene, "another is the newest that is verified", newest("one")).await
}

#[tokio::test]
async fn a_reading_makes_way_for_a_restore_and_ends_cleanly_when_it_is_suspended() -> Result<()> {
    let test = "a_reading_makes_way_for_a_restore_and_ends_cleanly_when_it_is_suspended";
    let Some((scene, operator)) = kept(test, &["daily"]).await? else { return Ok(()) };
    ages(&scene, "daily").await?;
    let first = pod_of(&scene, "daily-verify").await?;
    restore(&scene, "undo", in_place()).await?;
    no_job_reads(&scene).await?;
    ends(&scene, "undo-before-take", &taken("undo-before")).await?;
    ends(&scene, "undo-restore", &restored(20, 4)).await?;
    searches(&scene, 4);
    restore_says(&scene, "undo", "True", "Restored").await?;
    // What was restored needs no reading.
    says(&scene, "daily", "Verified", "True", "DrillPassed").await?;
    no_job_reads(&scene).await?;
    let is_given_up = |snapshot: &RagSnapshot| {
        let reading = snapshot.status.as_ref().and_then(|status| status.reading.as_ref());
        reading.is_some_and(|reading| reading.steps.is_empty())
    };
    scene.becomes("the reading is given up", "daily", is_given_up).await?;
    // One that is at work ends, though none is to be begun any more. What the restore found would be newer than what is put back.
    scene.api::<RagRestore>().delete("undo", &DeleteParams::default()).await?;
    ages(&scene, "daily").await?;
    let second = pod_of(&scene, "daily-verify").await?;
    ensure!(first.uid() != second.uid(), "it is another one");
    let mut snapshots = by_hand();
    snapshots["verification"] = json!({"suspend": true});
    scene.apply("handbook", json!({"snapshots": snapshots})).await?;
    scene.serving("handbook").await?;
    ends(&scene, "daily-verify", &taken("daily")).await?;
    says(&scene, "daily", "Verified", "True", "ReadBack").await?;
    no_job_reads(&scene).await?;
    ages(&scene, "daily").await?;
    let is_quiet = |cluster: &RagCluster| {
        !cluster.status.iter().flat_map(|status| &status.next).any(|next| next.what.contains("read RagSnapshot"))
    };
    scene.becomes("no reading is to come", "handbook", is_quiet).await?;
    passes(&operator, 3.0).await?;
    let jobs = scene.api::<Job>().list(&ListParams::default()).await?.items;
    ensure!(!jobs.iter().any(|job| job.name_any().contains("-verify")), "one reads it after it was suspended");
    Ok(())
}
