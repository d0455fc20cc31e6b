//! What the tests of restores stand on: one of each, and a cluster in which it may be done.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::observed::{
    Act, Archived, Attempt, ClusterSeen, Elsewhere, Fault, Found, Seen, ServerSeen, SnapshotSeen, SnapshotState, Task,
};
use crate::api::ConditionReason;
use crate::api::restore::{RagRestore, RestoreChanges, RestoreResult};
use crate::job::Made;

pub(crate) const ASKED_AT: &str = "2026-11-28T08:00:00Z";

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn restore(name: &str, spec: Value) -> RagRestore {
    serde_json::from_value(json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore",
        "metadata": {
            "name": name, "namespace": "team-a", "uid": format!("u-{name}"), "generation": 1, "creationTimestamp": ASKED_AT,
        },
        "spec": spec,
    }))
    .unwrap()
}

/// A drill of the newest.
pub(crate) fn drill() -> RagRestore {
    restore("weekly", json!({"cluster": "handbook", "mode": "Drill"}))
}

/// A drill in a namespace of its own.
pub(crate) fn full_drill() -> RagRestore {
    restore("quarterly", json!({"cluster": "handbook", "mode": "Drill", "inNamespace": "rag-drill"}))
}

/// A cluster that can be drilled in full, and nothing in the other namespace.
pub(crate) fn seen_elsewhere() -> Seen {
    let destinations = json!([
        {"name": "bucket", "s3": {"bucket": "archive", "secretRef": {"name": "archive-key"}}},
        {"name": "shelf", "volume": {"claimName": "shelf"}},
    ]);
    let mut seen = seen();
    if let Some(cluster) = &mut seen.cluster {
        cluster.snapshots = serde_json::from_value(json!({"destinations": destinations})).unwrap();
        cluster.spec.snapshots = cluster.snapshots.clone();
        cluster.destinations = vec!["bucket".into(), "shelf".into()];
        // No Job can be made as its servers are, which a full drill does not need.
        cluster.not_ready = Some((ConditionReason::Starting, "it has no servers yet".into()));
    }
    Seen { elsewhere: Some(Elsewhere::default()), ..seen }
}

/// Something that the full drill has made.
pub(crate) fn found<S>(state: S) -> Option<Found<S>> {
    Some(Found { uid: "u".into(), is_ours: true, is_going: false, state })
}

/// A restore in place of daily-7.
pub(crate) fn in_place() -> RagRestore {
    restore("undo", json!({"cluster": "handbook", "mode": "InPlace", "source": {"snapshotRef": {"name": "daily-7"}}}))
}

/// A snapshot that was taken of the cluster.
pub(crate) fn taken(name: &str, began_at: &str) -> SnapshotSeen {
    let archived = Archived { destination: "bucket".into(), name: name.into(), began_at: at(began_at) };
    SnapshotSeen {
        name: name.into(),
        cluster: "handbook".into(),
        state: SnapshotState::Taken(archived),
        asked_by: None,
    }
}

/// A cluster in which everything can be done, and in which nothing has been.
pub(crate) fn seen() -> Seen {
    let cluster = ClusterSeen {
        destinations: vec!["bucket".into(), "off-site".into()],
        min_recall_percent: 95,
        ..ClusterSeen::default()
    };
    Seen {
        cluster: Some(cluster),
        snapshots: vec![taken("daily-7", "2026-11-27T02:00:00Z"), taken("daily-6", "2026-11-26T02:00:00Z")],
        servers: vec![server("a", Some(3)), server("b", Some(3))],
        ..Seen::default()
    }
}

pub(crate) fn server(pod: &str, epoch: Option<i64>) -> ServerSeen {
    ServerSeen { pod: pod.into(), epoch, has_answered: true }
}

/// With this last try of a task.
pub(crate) fn tried(mut seen: Seen, task: Task, number: u32, act: Act) -> Seen {
    seen.made = vec![Made::job("weekly")];
    seen.attempts.entry(task).or_default().push(Attempt { number, act });
    seen
}

/// What a restore in place reports.
pub(crate) fn switched(recall_percent: f64) -> RestoreResult {
    RestoreResult {
        snapshot: "daily-7".into(),
        documents: Some(10),
        chunks: Some(100),
        recall_percent: Some(recall_percent),
        rto_seconds: Some(12.3),
        rto: Some("12.3s".into()),
        changes: Some(RestoreChanges { added: 1, changed: 2, removed: 3, unchanged: 4 }),
        epoch: Some(4),
        previous_epoch: Some(3),
        ..RestoreResult::default()
    }
}

/// What a drill reports.
pub(crate) fn drilled(recall_percent: f64) -> RestoreResult {
    let result = switched(recall_percent);
    RestoreResult { rpo_seconds: Some(3600.0), changes: None, epoch: None, previous_epoch: None, ..result }
}

pub(crate) fn fault(reason: ConditionReason, may_pass: bool, at_time: &str) -> Act {
    Act::Failed(Fault { reason, why: "it is so".into(), may_pass, at: Some(at(at_time)) })
}
