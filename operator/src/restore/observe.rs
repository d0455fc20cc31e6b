//! Reads everything that a pass over a restore needs: from the caches, and of the users' Secrets whether they exist.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::decide::{DEFAULT_MIN_RECALL_PERCENT, MAX_ATTEMPTS, Source, created_at, source};
use super::names::{before_name, job_name};
use super::observed::{Act, Archived, Attempt, ClusterSeen, Seen, ServerSeen, SnapshotSeen, SnapshotState, Task};
use super::reported::act;
use crate::api::cluster::Snapshots;
use crate::api::restore::RagRestore;
use crate::api::snapshot::RagSnapshot;
use crate::api::{ConditionReason, ConditionType, RagCluster, labels};
use crate::caches::Caches;
use crate::conditions::find;
use crate::context::Context;
use crate::job::{self, Archive, Unusable};
use crate::objects::OwnKind;
use crate::procedures;
use crate::snapshot;

/// Everything about `restore`. While a Job is under way nobody is asked what stands in the way of one.
pub(super) async fn observe(context: &Context, caches: &Caches, restore: &RagRestore) -> Seen {
    let mut seen = cached(context, caches, restore);
    let is_under_way = seen.active().next().is_some();
    if let (false, Ok(source)) = (is_under_way, source(&restore.spec, created_at(restore), &seen)) {
        let missing = missing(context, caches, restore, &source).await;
        seen.cluster.iter_mut().for_each(|cluster| cluster.missing.clone_from(&missing));
    }
    seen
}

/// What the destination names and is not there. What the API server cannot say is no finding.
async fn missing(
    context: &Context,
    caches: &Caches,
    restore: &RagRestore,
    source: &Source,
) -> Option<(ConditionReason, String)> {
    let namespace = restore.namespace().unwrap_or_default();
    let cluster = cluster_of(caches, &namespace, &restore.spec.cluster)?;
    let archive = Archive::of(&cluster.name_any(), cluster.spec.snapshots.as_ref(), Some(&source.destination)).ok()?;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    for (field, name) in archive.secrets() {
        if let Ok(None) = secrets.get_metadata_opt(name).await {
            let cluster = &restore.spec.cluster;
            let why =
                format!("{field} of RagCluster {cluster}: there is no Secret {name} in this namespace; create it");
            return Some((ConditionReason::SecretMissing, why));
        }
    }
    let claim = archive.claim()?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    matches!(claims.get_metadata_opt(claim).await, Ok(None)).then(|| {
        let destination = &source.destination;
        let why = format!(
            "there is no PersistentVolumeClaim {claim} in this namespace, which destination {destination} names; create it"
        );
        (ConditionReason::ClaimMissing, why)
    })
}

fn cached(context: &Context, caches: &Caches, restore: &RagRestore) -> Seen {
    let namespace = restore.namespace().unwrap_or_default();
    let status = restore.status.clone().unwrap_or_default();
    let cluster = cluster_of(caches, &namespace, &restore.spec.cluster);
    let snapshots = snapshots_of(caches);
    let before = before_name(&restore.name_any());
    let named = restore.spec.source.as_ref().and_then(|source| source.snapshot_ref.as_ref());
    let is_of_it = |snapshot: &&SnapshotSeen| {
        snapshot.cluster == restore.spec.cluster || named.is_some_and(|named| named.name == snapshot.name)
    };
    Seen {
        before: snapshots.iter().find(|snapshot| snapshot.name == before).cloned(),
        // What it takes itself is not what it restores.
        snapshots: snapshots.iter().filter(is_of_it).filter(|snapshot| snapshot.name != before).cloned().collect(),
        peers: procedures::peers(caches, restore),
        attempts: Task::ALL.into_iter().map(|task| (task, attempts(caches, restore, task))).collect(),
        has_leftovers: !job::made_for(caches, &restore.uid().unwrap_or_default(), |_| true).is_empty(),
        servers: cluster.as_ref().map(|cluster| servers(context, caches, cluster)).unwrap_or_default(),
        cluster: cluster.as_ref().map(|cluster| facts(caches, cluster)),
        steps: status.steps,
        recorded: status.result,
    }
}

/// The cluster of this name; one that is on its way out is none.
pub(super) fn cluster_of(caches: &Caches, namespace: &str, name: &str) -> Option<RagCluster> {
    let found = caches.clusters.cache.get(&ObjectRef::new(name).within(namespace))?;
    let cluster = found.0.as_ref().ok()?;
    cluster.metadata.deletion_timestamp.is_none().then(|| cluster.clone())
}

fn facts(caches: &Caches, cluster: &RagCluster) -> ClusterSeen {
    let snapshots: Option<&Snapshots> = cluster.spec.snapshots.as_ref();
    let destinations = snapshots.iter().flat_map(|snapshots| &snapshots.destinations);
    let drill = snapshots.and_then(|snapshots| snapshots.drill.as_ref());
    let servers = job::servers_of(caches, cluster);
    ClusterSeen {
        destinations: destinations.map(|destination| destination.name.clone()).collect(),
        is_paused: cluster.spec.paused,
        is_embedded: matches!(servers, Err(Unusable::Embedded { .. })),
        not_ready: servers.err().map(|unusable| unusable.to_string()),
        missing: None,
        min_recall_percent: drill.map_or(DEFAULT_MIN_RECALL_PERCENT, |drill| drill.min_recall_percent),
    }
}

fn snapshots_of(caches: &Caches) -> Vec<SnapshotSeen> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let mut seen: Vec<SnapshotSeen> =
        readable.filter(|snapshot| snapshot.metadata.deletion_timestamp.is_none()).map(seen_snapshot).collect();
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
    let status = snapshot.status.clone().unwrap_or_default();
    let condition = |type_| find(&status.conditions, type_).cloned();
    let is_true = |type_| condition(type_).filter(|found| found.status == "True");
    if let (Some(archive), Some(_)) = (&status.archive, is_true(ConditionType::Ready)) {
        return SnapshotState::Taken(Archived {
            destination: archive.destination.clone(),
            name: archive.name.clone(),
            began_at: archive.began_at.0,
        });
    }
    // One that waits for a person is stalled, too, and goes on when that is done.
    match is_true(ConditionType::Stalled).filter(|_| snapshot::decide::has_ended(&status.steps)) {
        Some(stalled) => SnapshotState::Failed { reason: stalled.reason, why: stalled.message },
        None => {
            let ready = condition(ConditionType::Ready);
            SnapshotState::Taking(ready.map_or_else(|| "nobody has looked at it yet".to_owned(), |ready| ready.message))
        }
    }
}

/// The Jobs of a task. One that is gone is there until its pod has ended.
fn attempts(caches: &Caches, restore: &RagRestore, task: Task) -> Vec<Attempt> {
    let (name, uid) = (restore.name_any(), restore.uid().unwrap_or_default());
    let pods = caches.job_pods.all();
    let one = |number: u32| {
        let job = job_name(&name, task, number);
        let found = caches.jobs.named(&job);
        let is_going = found.as_ref().is_some_and(|job| job.metadata.deletion_timestamp.is_some());
        let is_complete = found.is_some_and(|job| is_complete(&job));
        let looked = act(task, job::look_at(caches, &uid, &job), (is_going, is_complete));
        let lingers = || pods.iter().any(|pod| is_pod_of(pod, &name, &job) && !has_ended(pod));
        let act = looked.or_else(|| lingers().then_some(Act::Stopping))?;
        Some(Attempt { number, act })
    };
    (1..=MAX_ATTEMPTS).filter_map(one).collect()
}

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// The label by which Kubernetes says of which Job a pod is.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

fn is_pod_of(pod: &Pod, restore: &str, job: &str) -> bool {
    let has = |key: &str, value: &str| pod.labels().get(key).is_some_and(|found| found == value);
    has(labels::OWNER_KIND, RagRestore::KIND) && has(labels::OWNER, restore) && has(JOB_NAME, job)
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
