//! What a restore makes: the snapshot that is taken before, and what the command of its Jobs is told. Pure.

pub mod elsewhere;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::decide::Source;
use super::names::before_name;
use super::observed::Task;
use crate::api::labels;
use crate::api::restore::RagRestore;
use crate::api::snapshot::{ArchivePolicy, RagSnapshot, RagSnapshotSpec};

/// After so long a Job is ended by Kubernetes: what takes longer than this at the figures of the bench is not a corpus that one
/// command can restore.
pub const JOB_WITHIN: SignedDuration = SignedDuration::from_hours(6);

/// The snapshot that is taken before, in the destination that is restored from. It outlives the restore, but for that of a full
/// drill, of which nothing is to be left.
pub fn before(restore: &RagRestore, destination: &str) -> RagSnapshot {
    let name = before_name(&restore.name_any());
    let spec = RagSnapshotSpec {
        cluster: restore.spec.cluster.clone(),
        destination: Some(destination.to_owned()),
        schedule: None,
        deletion_policy: ArchivePolicy::Retain,
    };
    let is_of_full_drill = restore.annotations().contains_key(labels::DRILL_OF);
    let annotations = [(labels::RESTORE_UID.to_owned(), restore.uid().unwrap_or_default())];
    let metadata = ObjectMeta {
        namespace: restore.namespace(),
        annotations: Some(annotations.into()),
        owner_references: is_of_full_drill.then(|| restore.owner_ref(&()).into_iter().collect()),
        ..RagSnapshot::new(&name, spec.clone()).metadata
    };
    RagSnapshot { metadata, spec, status: None }
}

/// What follows `rag-server --config FILE` for a task.
pub fn arguments(restore: &RagRestore, task: Task, source: &Source, min_recall_percent: i32) -> Vec<String> {
    let mut arguments = vec!["snapshot".to_owned(), command(task).to_owned()];
    match task {
        Task::Drill => {
            arguments.extend(source.name.clone());
            arguments.extend(["--min-recall".to_owned(), share(min_recall_percent)]);
        }
        Task::Restore => {
            arguments.extend(source.name.clone());
            if let Some(before) = source.before {
                arguments.extend(["--before".to_owned(), before.to_string()]);
            }
            arguments.push("--replace".to_owned());
            if restore.spec.with_deleted {
                arguments.push("--with-deleted".to_owned());
            }
            match restore.spec.dry_run {
                true => arguments.push("--dry-run".to_owned()),
                // A Job that dies before it could say that it was done is followed by another one.
                false => arguments.extend(["--restored-for".to_owned(), restore.uid().unwrap_or_default()]),
            }
        }
        Task::Revert => {}
    }
    arguments
}

const fn command(task: Task) -> &'static str {
    match task {
        Task::Drill => "drill",
        Task::Restore => "restore",
        Task::Revert => "revert",
    }
}

/// A share as the command takes it: 95 percent is 0.95.
fn share(percent: i32) -> String {
    (f64::from(percent) / 100.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::fixtures::{at, drill, in_place};

    fn source(name: Option<&str>, before: Option<&str>) -> Source {
        Source { destination: "bucket".into(), name: name.map(Into::into), before: before.map(at) }
    }

    fn told(restore: &RagRestore, task: Task, source: &Source) -> String {
        arguments(restore, task, source, 95).join(" ")
    }

    #[test]
    fn the_command_is_told_the_snapshot_by_name_or_by_time_and_what_must_be_found() {
        let named = source(Some("daily-7"), None);
        assert_eq!(told(&drill(), Task::Drill, &named), "snapshot drill daily-7 --min-recall 0.95");
        assert_eq!(told(&drill(), Task::Drill, &source(None, None)), "snapshot drill --min-recall 0.95");
        assert_eq!(
            told(&in_place(), Task::Restore, &named),
            "snapshot restore daily-7 --replace --restored-for u-undo"
        );
        let before = source(None, Some("2026-11-01T00:00:00Z"));
        assert_eq!(
            told(&in_place(), Task::Restore, &before),
            "snapshot restore --before 2026-11-01T00:00:00Z --replace --restored-for u-undo"
        );
        assert_eq!(told(&in_place(), Task::Revert, &named), "snapshot revert");
        let mut dry = in_place();
        (dry.spec.dry_run, dry.spec.with_deleted) = (true, true);
        assert_eq!(told(&dry, Task::Restore, &named), "snapshot restore daily-7 --replace --with-deleted --dry-run");
    }

    #[test]
    fn a_share_is_told_to_the_percent() {
        for percent in 1..=100 {
            let told: f64 = share(percent).parse().unwrap();
            assert_eq!((told * 100.0).round() as i32, percent);
            assert!(share(percent).len() <= 4, "{}", share(percent));
        }
    }

    #[test]
    fn the_snapshot_before_is_of_the_same_cluster_says_who_asked_and_outlives_the_restore() {
        let snapshot = before(&in_place(), "bucket");
        assert_eq!(snapshot.spec.cluster, "handbook");
        assert_eq!(snapshot.spec.deletion_policy, ArchivePolicy::Retain);
        assert_eq!(snapshot.annotations()[labels::RESTORE_UID], "u-undo");
        assert_eq!(snapshot.metadata.owner_references, None);
        let mut of_drill = in_place();
        of_drill.annotations_mut().insert(labels::DRILL_OF.to_owned(), "team-a/quarterly".to_owned());
        let owners = before(&of_drill, "bucket").metadata.owner_references.unwrap();
        assert_eq!((owners.len(), owners[0].uid.as_str()), (1, "u-undo"), "nothing of a full drill outlives it");
    }
}
