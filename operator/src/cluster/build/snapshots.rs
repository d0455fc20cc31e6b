//! What schedules ask for, as objects: a RagSnapshot, and a RagRestore that tries a restore.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::metadata::owned;
use crate::api::labels;
use crate::api::restore::{RagRestore, RagRestoreSpec, RestoreMode};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot, RagSnapshotSpec};
use crate::cluster::decide::snapshots::{DueDrill, DueSnapshot};
use crate::cluster::validate::ValidatedCluster;

/// The snapshot that is due. Its copy in the archive goes when retention removes it there, never with the object.
pub fn snapshot(cluster: &ValidatedCluster, due: &DueSnapshot) -> RagSnapshot {
    RagSnapshot {
        metadata: metadata(cluster, &due.name, &due.schedule, due.due),
        spec: RagSnapshotSpec {
            cluster: cluster.name.to_string(),
            destination: Some(due.destination.clone()),
            schedule: Some(due.schedule.clone()),
            deletion_policy: ArchivePolicy::Retain,
        },
        status: None,
    }
}

/// The trial that is due: of the newest snapshot of the first destination.
pub fn drill(cluster: &ValidatedCluster, due: &DueDrill) -> RagRestore {
    let schedule = if due.namespace.is_some() { labels::FULL_DRILL } else { labels::DRILL };
    RagRestore {
        metadata: metadata(cluster, &due.name, schedule, due.due),
        spec: RagRestoreSpec {
            cluster: cluster.name.to_string(),
            mode: RestoreMode::Drill,
            source: None,
            with_deleted: false,
            dry_run: false,
            min_recall_percent: Some(due.min_recall_percent),
            in_namespace: due.namespace.clone(),
        },
        status: None,
    }
}

/// Without an owner: what was taken outlives its cluster, and a new one of its name finds it.
fn metadata(cluster: &ValidatedCluster, name: &str, schedule: &str, due: Timestamp) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(owned([
            (labels::INSTANCE, cluster.name.as_str()),
            (labels::MANAGED_BY, labels::MANAGED_BY_VALUE),
            (labels::SCHEDULE, schedule),
        ])),
        annotations: Some(BTreeMap::from([(labels::DUE_AT.to_owned(), due.to_string())])),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{cluster, nothing};
    use crate::cluster::observed::{Restore, Snapshot};
    use crate::cluster::validate::validate;
    use serde_json::json;

    fn valid() -> ValidatedCluster {
        validate(&cluster("{}"), &nothing()).unwrap()
    }

    /// As it comes back from the API server.
    fn stored<K: serde::Serialize + serde::de::DeserializeOwned>(object: &K) -> K {
        let mut stored = serde_json::to_value(object).unwrap();
        stored["metadata"]["uid"] = json!("u");
        stored["metadata"]["creationTimestamp"] = json!("2026-11-28T02:07:00Z");
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn a_snapshot_of_a_schedule_belongs_to_nobody_and_says_for_which_time_it_is() {
        let due: Timestamp = "2026-11-28T02:00:00Z".parse().unwrap();
        let name = "handbook-daily-1".to_owned();
        let wanted = DueSnapshot { name, schedule: "daily".to_owned(), destination: "off-site".to_owned(), due };
        let built = snapshot(&valid(), &wanted);
        assert_eq!(built.metadata.owner_references, None);
        assert_eq!(built.spec.deletion_policy, ArchivePolicy::Retain);
        let seen = Snapshot::of(&stored(&built)).unwrap();
        assert_eq!((seen.due_at, seen.schedule.as_deref()), (due, Some("daily")));
        let labels = built.metadata.labels.unwrap();
        assert_eq!((labels[labels::INSTANCE].as_str(), labels[labels::SCHEDULE].as_str()), ("handbook", "daily"));
    }

    #[test]
    fn a_drill_of_the_schedule_is_known_as_one() {
        let due: Timestamp = "2026-11-29T05:00:00Z".parse().unwrap();
        for namespace in [None, Some("rag-drill".to_owned())] {
            let is_full = namespace.is_some();
            let wanted = DueDrill { name: "d".to_owned(), due, min_recall_percent: 90, namespace: namespace.clone() };
            let built = drill(&valid(), &wanted);
            assert_eq!(built.metadata.owner_references, None);
            assert_eq!((built.spec.min_recall_percent, &built.spec.in_namespace), (Some(90), &namespace));
            let seen = Restore::of(&stored(&built)).unwrap();
            assert!(seen.is_scheduled_drill(is_full) && !seen.is_scheduled_drill(!is_full) && seen.due_at == due);
        }
    }
}
