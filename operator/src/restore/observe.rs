//! Reads everything that a pass over a restore needs: from the caches, and of the users' Secrets whether they exist.

mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::decide::{DEFAULT_MIN_RECALL_PERCENT, MAX_ATTEMPTS, Source, created_at, source};
use super::names::{before_name, job_name};
use super::observed::{Act, Archived, Attempt, ClusterSeen, Seen, ServerSeen, SnapshotSeen, SnapshotState, Task};
use super::reported::act;
use crate::api::progress::JobProgress;
use crate::api::restore::RagRestore;
use crate::api::snapshot::RagSnapshot;
use crate::api::{ConditionReason, ConditionType, RagCluster, labels};
use crate::caches::Caches;
use crate::conditions::find;
use crate::context::Context;
use crate::job::{self, Archive};
use crate::objects::OwnKind;
use crate::procedures;
use crate::snapshot;

pub(super) use elsewhere::{elsewhere, left};

/// Everything about `restore`. While a Job is under way nobody is asked what stands in the way of one.
pub(super) async fn observe(context: &Context, caches: &Caches, restore: &RagRestore) -> Seen {
    let cluster = caches.clusters.present(&restore.namespace().unwrap_or_default(), &restore.spec.cluster);
    let mut seen = cached(context, caches, restore, cluster.as_ref());
    if restore.spec.in_namespace.is_some() {
        // Its Jobs are another one's.
        seen.elsewhere = elsewhere(context, restore, &seen).await;
        return seen;
    }
    seen.progress = progress(context, restore, &seen);
    let is_under_way = seen.active().next().is_some();
    if let (false, Some(cluster), Ok(source)) =
        (is_under_way, cluster, source(&restore.spec, created_at(restore), &seen))
    {
        let missing = missing(context, &cluster, &source).await;
        seen.cluster.iter_mut().for_each(|seen| seen.missing.clone_from(&missing));
    }
    seen
}

/// What the Job that runs was last heard to say.
fn progress(context: &Context, restore: &RagRestore, seen: &Seen) -> Option<JobProgress> {
    let (task, tried) = seen.active().find(|(_, tried)| tried.act == Act::Running)?;
    let job = job_name(&restore.name_any(), task, tried.number);
    context.memory.how_far.of(&restore.namespace().unwrap_or_default(), &job)
}

/// What the destination names and is not there.
async fn missing(context: &Context, cluster: &RagCluster, source: &Source) -> Option<(ConditionReason, String)> {
    let archive = Archive::of(&cluster.name_any(), cluster.spec.snapshots.as_ref(), Some(&source.destination)).ok()?;
    let missing = job::missing(context, cluster, &archive).await?;
    Some((missing.reason(), missing.to_string()))
}

fn cached(context: &Context, caches: &Caches, restore: &RagRestore, cluster: Option<&RagCluster>) -> Seen {
    let (name, uid) = (&restore.spec.cluster, restore.uid().unwrap_or_default());
    let status = restore.status.clone().unwrap_or_default();
    let named = restore.spec.source.as_ref().and_then(|source| source.snapshot_ref.as_ref());
    // What it takes itself is not what it restores.
    let own = before_name(&restore.name_any());
    let (before, snapshots): (Vec<_>, Vec<_>) = snapshots_of(caches, |snapshot| {
        let found = snapshot.name_any();
        snapshot.spec.cluster == *name || found == own || named.is_some_and(|named| named.name == found)
    })
    .into_iter()
    .partition(|snapshot| snapshot.name == own);
    Seen {
        before: before.into_iter().next(),
        snapshots,
        peers: procedures::peers(caches, restore),
        standings: procedures::standings(caches, name),
        attempts: attempts(caches, restore),
        progress: None,
        made: job::made_for(caches, &uid, |_| true),
        servers: cluster.map(|cluster| servers(context, caches, cluster)).unwrap_or_default(),
        cluster: cluster.map(|cluster| facts(caches, cluster)),
        steps: status.steps,
        recorded: status.result,
        elsewhere: None,
    }
}

fn facts(caches: &Caches, cluster: &RagCluster) -> ClusterSeen {
    let snapshots = cluster.spec.snapshots.clone();
    let destinations = snapshots.iter().flat_map(|snapshots| &snapshots.destinations);
    let drill = snapshots.as_ref().and_then(|snapshots| snapshots.drill.as_ref());
    let (servers, unusable) = match job::servers_of(caches, cluster) {
        Ok(servers) => (Some(servers), None),
        Err(unusable) => (None, Some(unusable)),
    };
    ClusterSeen {
        destinations: destinations.map(|destination| destination.name.clone()).collect(),
        is_paused: cluster.spec.paused,
        is_embedded: cluster.spec.embedded().is_some(),
        not_ready: unusable.map(|unusable| (unusable.reason(), unusable.to_string())),
        missing: None,
        min_recall_percent: drill.map_or(DEFAULT_MIN_RECALL_PERCENT, |drill| drill.min_recall_percent),
        servers,
        snapshots,
        spec: cluster.spec.clone(),
    }
}

fn snapshots_of(caches: &Caches, concerns: impl Fn(&RagSnapshot) -> bool) -> Vec<SnapshotSeen> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let there = readable.filter(|snapshot| snapshot.metadata.deletion_timestamp.is_none() && concerns(snapshot));
    let mut seen: Vec<SnapshotSeen> = there.map(seen_snapshot).collect();
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    seen
}

fn seen_snapshot(snapshot: &RagSnapshot) -> SnapshotSeen {
    SnapshotSeen {
        name: snapshot.name_any(),
        cluster: snapshot.spec.cluster.clone(),
        state: snapshot_state(snapshot),
        asked_by: snapshot.annotations().get(labels::RESTORE_UID).cloned(),
    }
}

fn snapshot_state(snapshot: &RagSnapshot) -> SnapshotState {
    let status = snapshot.status.as_ref();
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_true = |type_| find(conditions, type_).filter(|found| found.status == "True");
    let archive = status.and_then(|status| status.archive.as_ref());
    if let (Some(archive), Some(_)) = (archive, is_true(ConditionType::Ready)) {
        return SnapshotState::Taken(Archived {
            destination: archive.destination.clone(),
            name: archive.name.clone(),
            began_at: archive.began_at.0,
        });
    }
    // One that waits for a person is stalled, too, and goes on when that is done.
    let has_ended = snapshot::decide::has_ended(snapshot::decide::recorded(snapshot));
    match is_true(ConditionType::Stalled).filter(|_| has_ended) {
        Some(stalled) => SnapshotState::Failed { reason: stalled.reason.clone(), why: stalled.message.clone() },
        None => {
            let ready = find(conditions, ConditionType::Ready);
            SnapshotState::Taking(ready.map_or("nobody has looked at it yet", |ready| &ready.message).to_owned())
        }
    }
}

/// Its Jobs by their tasks. One that is gone is there until its pod has ended.
fn attempts(caches: &Caches, restore: &RagRestore) -> BTreeMap<Task, Vec<Attempt>> {
    let (name, uid) = (restore.name_any(), restore.uid().unwrap_or_default());
    let pods = caches.job_pods.all();
    let lingering: BTreeSet<&str> =
        pods.iter().filter(|pod| !has_ended(pod)).filter_map(|pod| job_of(pod, &name)).collect();
    let attempt = |task: Task, number: u32| {
        let job = job_name(&name, task, number);
        let found = caches.jobs.named(&job);
        let is_going = found.as_ref().is_some_and(|job| job.metadata.deletion_timestamp.is_some());
        let is_complete = found.is_some_and(|job| is_complete(&job));
        let looked = act(task, job::look_at(caches, &uid, &job), (is_going, is_complete));
        let act = looked.or_else(|| lingering.contains(job.as_str()).then_some(Act::Stopping))?;
        Some(Attempt { number, act })
    };
    let of_task = |task| (task, (1..=MAX_ATTEMPTS).filter_map(|number| attempt(task, number)).collect());
    Task::ALL.into_iter().map(of_task).collect()
}

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// The Job that a pod is of, if it was made for this restore.
fn job_of<'p>(pod: &'p Pod, restore: &str) -> Option<&'p str> {
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    let is_ours = label(labels::OWNER_KIND) == Some(RagRestore::KIND) && label(labels::OWNER) == Some(restore);
    label(labels::JOB_NAME).filter(|_| is_ours)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// What the servers that run say of themselves.
fn servers(context: &Context, caches: &Caches, cluster: &RagCluster) -> Vec<ServerSeen> {
    let (uid, now) = (cluster.uid().unwrap_or_default(), (context.now)());
    let pods = caches.pods.of(&uid);
    let servers = pods.iter().filter(|pod| is_server(pod));
    servers.map(|pod| server(context, pod, now)).collect()
}

fn is_server(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_named = pod.labels().get(labels::NAME).is_some_and(|name| name == labels::name::SERVER);
    is_named && phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

fn server(context: &Context, pod: &Pod, now: Timestamp) -> ServerSeen {
    let answer = pod.uid().and_then(|uid| context.samples.of(&uid, now)).and_then(|sample| sample.answer.ok());
    ServerSeen {
        pod: pod.name_any(),
        epoch: answer.as_ref().and_then(|status| status.epoch).map(i64::from),
        has_answered: answer.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::tests::{empty, watched};
    use crate::restore::fixtures::{drill, restore};
    use serde_json::{Value, json};

    fn snapshot(name: &str, cluster: &str, status: Value) -> RagSnapshot {
        serde_json::from_value(json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
            "metadata": {"name": name, "namespace": "team-a", "uid": name}, "spec": {"cluster": cluster}, "status": status,
        }))
        .unwrap()
    }

    fn status(type_: &str, step: &str) -> Value {
        let archive = json!({
            "destination": "bucket", "place": "s3://b/p", "name": "daily-7", "sha256": "0", "beganAt": "2026-11-27T02:00:00Z",
            "endedAt": "2026-11-27T02:01:00Z", "documents": 1, "chunks": 1, "bytes": 1,
        });
        let condition = json!({
            "type": type_, "status": "True", "reason": "AuthFailed", "message": "no key", "lastTransitionTime": "2026-11-27T02:02:00Z",
        });
        let archive = if type_ == "Ready" { archive } else { Value::Null };
        json!({"archive": archive, "conditions": [condition], "steps": [{"number": 1, "name": "take", "state": step}]})
    }

    #[test]
    fn a_snapshot_has_failed_only_when_nothing_more_is_done_for_it() {
        let state = |status: Value| snapshot_state(&snapshot("daily-7", "handbook", status));
        assert_eq!(state(Value::Null), SnapshotState::Taking("nobody has looked at it yet".into()));
        // Somebody may still put the key there.
        assert!(matches!(state(status("Stalled", "Waiting")), SnapshotState::Taking(_)));
        let failed = SnapshotState::Failed { reason: "AuthFailed".into(), why: "no key".into() };
        assert_eq!(state(status("Stalled", "Failed")), failed);
        assert!(matches!(state(status("Ready", "Done")), SnapshotState::Taken(found) if found.name == "daily-7"));
    }

    #[tokio::test]
    async fn the_snapshots_of_a_restore_are_those_of_its_cluster_and_the_named_one_and_its_own_stands_apart() {
        let mut caches = empty();
        let all = [("daily-7", "handbook"), ("undo-before", "handbook"), ("named", "guides"), ("other", "guides")];
        caches.snapshots = watched(all.map(|(name, cluster)| snapshot(name, cluster, Value::Null)));
        let spec = json!({"cluster": "handbook", "mode": "InPlace", "source": {"snapshotRef": {"name": "named"}}});
        let play = crate::apply::stories::Play::of([]);
        let seen = cached(&play.context, &caches, &restore("undo", spec), None);
        let names: Vec<&str> = seen.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
        assert_eq!(names, ["daily-7", "named"]);
        assert_eq!(seen.before.map(|before| before.name).as_deref(), Some("undo-before"));
        play.end();
    }

    #[test]
    fn a_pod_is_known_by_the_restore_that_its_job_was_made_for() {
        let pod = |kind: &str, owner: &str| -> Pod {
            let labels =
                json!({labels::OWNER_KIND: kind, labels::OWNER: owner, labels::JOB_NAME: format!("{owner}-drill")});
            serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}})).unwrap()
        };
        let name = drill().name_any();
        assert_eq!(job_of(&pod("RagRestore", &name), &name), Some("weekly-drill"));
        assert_eq!(job_of(&pod("RagSnapshot", &name), &name), None);
        assert_eq!(job_of(&pod("RagRestore", "another"), &name), None);
    }
}
