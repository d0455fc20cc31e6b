//! A schedule asks for one snapshot at a time, whoever dies meanwhile; what it leaves over goes, and what it took outlives the
//! cluster.
//!
//! The schedules come every minute; nodes are simulated, and the test says how a Job's container ended.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use ragops_operator::api::cluster::ScheduleStatus;
use ragops_operator::api::{RagCluster, RagRestore, RagSnapshot, labels};
use ragops_tests::metrics::Cpu;
use ragops_tests::until;
use serde_json::{Value, json};

use crate::quiet::passes;
use crate::restores;
use crate::scene::{Scene, WITHIN};
use crate::snapshots::{ask, destination, ends, key, says, taken};

const OFTEN: &str = "* * * * *";

fn often(keep: i32) -> Value {
    let mut snapshots = destination();
    snapshots["schedules"] = json!([{"name": "often", "schedule": OFTEN, "keep": keep}]);
    snapshots["drill"] = json!({"suspend": true});
    json!({"snapshots": snapshots})
}

/// The snapshots of a schedule, in the order of their times.
async fn of_schedule(scene: &Scene, schedule: &str) -> Result<Vec<RagSnapshot>> {
    let labelled = ListParams::default().labels(&format!("{}={schedule}", labels::SCHEDULE));
    let mut found = scene.api::<RagSnapshot>().list(&labelled).await?.items;
    found.sort_by_key(|snapshot| snapshot.name_any());
    Ok(found)
}

/// Waits until a snapshot of the schedule is there that is none of these.
async fn another(scene: &Scene, schedule: &str, known: &[String]) -> Result<String> {
    until("the schedule asks for a snapshot", WITHIN, || async move {
        let found = of_schedule(scene, schedule).await?.into_iter().map(|snapshot| snapshot.name_any());
        Ok(found.into_iter().find(|name| !known.contains(name)))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

/// The only Job that removes copies.
async fn removal(scene: &Scene) -> Result<String> {
    let jobs = &scene.api::<Job>();
    until("a Job removes copies", WITHIN, || async move {
        let all = jobs.list(&ListParams::default()).await?.items.into_iter().map(|job| job.name_any());
        Ok(all.into_iter().find(|name| name.contains("-expire-")))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

#[tokio::test]
async fn a_schedule_asks_for_one_at_a_time_removes_what_it_does_not_keep_and_outlives_its_cluster() -> Result<()> {
    let test = "a_schedule_asks_for_one_at_a_time_removes_what_it_does_not_keep_and_outlives_its_cluster";
    let Some(scene) = Scene::new(test, "schedules").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let flags = ["--resync-seconds", "1"];
    let operator = scene.operator(&flags).await?;
    key(&scene).await?;
    scene.apply("handbook", often(1)).await?;
    scene.serving("handbook").await?;
    let first = another(&scene, "often", &[]).await?;
    ensure!(first.starts_with("handbook-often-"), "{first}");

    // Time goes on and the operator dies, and while it is under way there is no other.
    operator.kill().await?;
    let operator = scene.operator(&flags).await?;
    let waits = format!("take a snapshot by schedule often, which is due, when {first} has ended");
    let is_said = |cluster: &RagCluster| {
        cluster.status.as_ref().is_some_and(|status| status.next.iter().any(|step| step.what == waits))
    };
    scene.becomes("the next one is due, and waits", "handbook", is_said).await?;
    passes(&operator, 2.0).await?;
    let names: Vec<String> = of_schedule(&scene, "often").await?.iter().map(RagSnapshot::name_any).collect();
    assert_eq!(names, std::slice::from_ref(&first));

    // Once it is taken the newest of those that were missed is asked for, and when that is taken the first goes.
    ends(&scene, &format!("{first}-take"), &taken(&first)).await?;
    says(&scene, &first, "Ready", "True", "Taken").await?;
    let second = another(&scene, "often", std::slice::from_ref(&first)).await?;
    scene.says("handbook", "SnapshotsHealthy", "True", "UpToDate").await?;
    ends(&scene, &format!("{second}-take"), &taken(&second)).await?;
    let job = removal(&scene).await?;
    let args = serde_json::to_string(&scene.api::<Job>().get(&job).await?)?;
    ensure!(args.contains(&first) && !args.contains(&second), "{args}");
    operator.kill().await?;
    let operator = scene.operator(&flags).await?;
    ensure!(scene.api::<RagSnapshot>().get_opt(&first).await?.is_some(), "it went before its copy");
    ends(&scene, &job, &json!({"outcome": "done", "removed": [first], "freed_bytes": 1})).await?;
    let (snapshots, jobs, gone) = (&scene.api::<RagSnapshot>(), &scene.api::<Job>(), first.as_str());
    until("the first has gone, and the Job with it", WITHIN, || async move {
        let left = (snapshots.get_opt(gone).await?.is_some(), jobs.list(&ListParams::default()).await?.items);
        let removes = left.1.iter().any(|job| job.name_any().contains("-expire-"));
        Ok((!left.0 && !removes).then_some(()))
    })
    .await?;
    let status = scene.clusters.get("handbook").await?.status.and_then(|status| status.snapshots);
    let last = status.and_then(|snapshots| snapshots.last_verified).context("no snapshot is verified")?;
    assert_eq!((last.name.as_str(), last.destination.as_str()), (second.as_str(), "offsite"));

    // What was taken is nobody's child.
    scene.clusters.delete("handbook", &DeleteParams::default()).await?;
    until("the cluster has gone", WITHIN, || async {
        Ok(scene.clusters.get_opt("handbook").await?.is_none().then_some(()))
    })
    .await?;
    passes(&operator, 2.0).await?;
    ensure!(snapshots.get_opt(&second).await?.is_some(), "the snapshot went with its cluster");
    operator.stop().await
}

/// A RagRestore or a RagSnapshot that has ended long ago, as its own pass would have left it.
fn ended((step, state): (&str, &str), conditions: &[(&str, &str, &str)], more: Value) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status, reason)| {
            json!({
                "type": type_, "status": status, "reason": reason, "message": "as the test says", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    let at = "2026-01-01T00:00:00Z";
    let taken = |(number, (name, state)): (usize, (&str, &str))| json!({"number": number + 1, "name": name, "state": state, "startedAt": at, "finishedAt": at, "message": "as the test says"});
    let steps = [("check", "Done"), (step, state), ("settle", "Done")].into_iter().enumerate().map(taken);
    let steps: Vec<Value> = steps.collect();
    let mut status = json!({"observedGeneration": 1, "steps": steps, "conditions": conditions});
    if let (Some(status), Value::Object(more)) = (status.as_object_mut(), more) {
        status.extend(more);
    }
    json!({"status": status})
}

/// More snapshots and trials that have ended than are kept. The cluster is paused, so that nobody takes them before they have their
/// end, which is written only when the operator has looked, and writes no more.
async fn more_than_is_kept(scene: &Scene, cluster: &str) -> Result<()> {
    let (snapshots, trials) = (&scene.api::<RagSnapshot>(), &scene.api::<RagRestore>());
    let patch = PatchParams::default();
    let archive = json!({
        "destination": "offsite", "place": "s3://archive/somewhere", "name": "kept", "sha256": "ab", "documents": 1, "chunks": 1,
        "bytes": 1, "beganAt": "2026-01-01T00:00:00Z", "endedAt": "2026-01-01T00:00:01Z",
    });
    let ready = ended(
        ("take", "Done"),
        &[("Ready", "True", "Taken"), ("Verified", "True", "ReadBack")],
        json!({"archive": archive}),
    );
    let failed =
        ended(("take", "Failed"), &[("Ready", "False", "TakeFailed"), ("Stalled", "True", "TakeFailed")], json!({}));
    ask(scene, "kept", json!({"cluster": cluster})).await?;
    says(scene, "kept", "Ready", "False", "Paused").await?;
    snapshots.patch_status("kept", &patch, &Patch::Merge(&ready)).await?;
    for number in 1..=4 {
        let name = format!("failed-{number}");
        ask(scene, &name, json!({"cluster": cluster, "schedule": "often"})).await?;
        says(scene, &name, "Ready", "False", "Paused").await?;
        snapshots.patch_status(&name, &patch, &Patch::Merge(&failed)).await?;
    }
    for number in 1..=13 {
        let name = format!("drill-{number:02}");
        let due = format!("2026-01-{number:02}T00:00:00Z");
        let metadata =
            json!({"name": name, "labels": {labels::SCHEDULE: labels::DRILL}, "annotations": {labels::DUE_AT: due}});
        let drill = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore", "metadata": metadata,
            "spec": {"cluster": cluster, "mode": "Drill"},
        });
        trials.create(&PostParams::default(), &serde_json::from_value(drill)?).await?;
        restores::says(scene, &name, "False", "Paused").await?;
        let passed = ended(
            ("drill", "Done"),
            &[("Ready", "True", "Passed")],
            json!({"result": {"snapshot": "kept", "rto": "1.0s"}}),
        );
        trials.patch_status(&name, &patch, &Patch::Merge(&passed)).await?;
    }
    Ok(())
}

/// Everything that schedules write: a snapshot and a trial are asked for, and what is in surplus of both goes. The cluster has a
/// destination.
pub(crate) async fn come_and_leave_nothing_over(scene: &Scene, cluster: &str) -> Result<()> {
    let (snapshots, trials) = (&scene.api::<RagSnapshot>(), &scene.api::<RagRestore>());
    let patch = PatchParams::default();
    let paused = |paused: bool| json!({"spec": {"paused": paused}});
    scene.clusters.patch(cluster, &patch, &Patch::Merge(&paused(true))).await?;
    more_than_is_kept(scene, cluster).await?;
    let mut spec = often(3);
    spec["snapshots"]["drill"] = json!({"schedule": OFTEN});
    scene.clusters.patch(cluster, &patch, &Patch::Merge(&json!({"spec": spec}))).await?;
    scene.clusters.patch(cluster, &patch, &Patch::Merge(&paused(false))).await?;
    another(scene, "often", &[]).await?;
    until("a trial is asked for, and the oldest of both has gone", WITHIN, || async move {
        let drills = ListParams::default().labels(&format!("{}={}", labels::SCHEDULE, labels::DRILL));
        let drills: Vec<String> = trials.list(&drills).await?.items.iter().map(RagRestore::name_any).collect();
        let is_asked = drills.iter().any(|name| !name.starts_with("drill-"));
        let failed = snapshots.list(&ListParams::default()).await?.items;
        let failed = failed.iter().filter(|snapshot| snapshot.name_any().starts_with("failed-")).count();
        Ok((is_asked && failed < 4 && !drills.contains(&"drill-01".to_owned())).then_some(()))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))?;
    // Nothing more is asked for by what follows.
    let suspended = json!({"spec": {"snapshots": {"suspend": true}}});
    scene.clusters.patch(cluster, &patch, &Patch::Merge(&suspended)).await?;
    Ok(())
}

#[tokio::test]
async fn a_schedule_without_a_destination_does_nothing_and_says_so_and_paused_means_that_nothing_is_written()
-> Result<()> {
    let test = "a_schedule_without_a_destination_does_nothing_and_says_so_and_paused_means_that_nothing_is_written";
    let Some(scene) = Scene::new(test, "schedules").await? else { return Ok(()) };
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    let operator = scene.operator(&["--resync-seconds", "1"]).await?;
    scene.apply("handbook", json!({"snapshots": {}})).await?;
    scene.says("handbook", "SnapshotsHealthy", "False", "NoDestination").await?;
    scene.serving("handbook").await?;
    // The Secret is not there: said, and no server waits for it.
    scene.apply("handbook", often(1)).await?;
    let missing = scene.says("handbook", "SnapshotsHealthy", "False", "SecretMissing").await?;
    ensure!(missing.message.contains("spec.snapshots.destinations[0].s3.secretRef.name"), "{}", missing.message);
    scene.serving("handbook").await?;
    let mut paused = often(1);
    paused["paused"] = json!(true);
    scene.apply("handbook", paused).await?;
    key(&scene).await?;
    scene.says("handbook", "SnapshotsHealthy", "False", "Paused").await?;
    // As an operator says it that has known the schedule for long: a time of it has come.
    let since = scene.clusters.get("handbook").await?.status.and_then(|status| status.snapshots).context("no block")?;
    ensure!(since.schedules.len() == 1, "{since:?}");
    let long_ago: jiff::Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let known = ScheduleStatus { since: Time(long_ago), ..since.schedules[0].clone() };
    let known = json!({"status": {"snapshots": {"schedules": [known]}}});
    scene.clusters.patch_status("handbook", &PatchParams::default(), &Patch::Merge(&known)).await?;
    passes(&operator, 3.0).await?;
    let since = scene.clusters.get("handbook").await?.status.and_then(|status| status.snapshots).context("no block")?;
    assert_eq!(since.schedules[0].since, Time(long_ago));
    ensure!(of_schedule(&scene, "often").await?.is_empty(), "something was asked for while all was paused");
    scene.apply("handbook", often(1)).await?;
    another(&scene, "often", &[]).await?;
    let cluster: RagCluster = scene.clusters.get("handbook").await?;
    ensure!(cluster.status.is_some_and(|status| status.snapshots.is_some()), "no block");
    operator.stop().await
}
