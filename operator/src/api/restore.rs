//! RagRestore: one restore of a corpus, or one drill of it.

#![allow(unreachable_pub, reason = "the derive of KubeSchema repeats each struct inside a function")]
#![allow(clippy::duplicated_attributes, reason = "every column says its type, as the derive wants it")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::progress::JobProgress;
use super::steps::StepStatus;

/// One restore into a RagCluster, or one drill. It runs once and cannot be changed: create another one.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "ragops.dev",
    version = "v1alpha1",
    kind = "RagRestore",
    plural = "ragrestores",
    singular = "ragrestore",
    shortname = "ragrestore",
    category = "ragops",
    namespaced,
    status = "RagRestoreStatus",
    derive = "PartialEq",
    doc = "One restore of a snapshot into a RagCluster, or one drill that tries and measures it.",
    printcolumn(
        name = "CLUSTER",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "The RagCluster that is restored."
    ),
    printcolumn(name = "MODE", type_ = "string", json_path = ".spec.mode", description = "In place, or a drill."),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it is done, and what it found is right."
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "What is the matter with it, in a word."
    ),
    printcolumn(
        name = "SNAPSHOT",
        type_ = "string",
        json_path = ".status.result.snapshot",
        description = "What was restored."
    ),
    printcolumn(
        name = "RTO",
        type_ = "string",
        json_path = ".status.result.rto",
        description = "How long it took."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the object exists."
    ),
    validation = Rule::new(
        "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message(
        "metadata.name: the name of a restore has at most 52 lower-case letters, digits and dashes, and neither begins nor ends \
         with a dash"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("a restore cannot be changed: create another RagRestore"),
    validation = Rule::new("self.mode == 'Drill' || has(self.source)")
        .message("found none: a restore in place names its source; only a drill takes the newest snapshot by itself"),
    validation = Rule::new("self.mode == 'InPlace' || !self.withDeleted")
        .message("withDeleted is for a restore in place; a drill compares with all that the snapshot holds"),
    validation = Rule::new("self.mode == 'Drill' || !has(self.inNamespace)")
        .message("inNamespace is for a drill; a restore in place restores what the RagCluster serves, where it is")
)]
pub struct RagRestoreSpec {
    /// The RagCluster of this namespace.
    #[schemars(length(min = 1, max = 40))]
    pub cluster: String,

    /// InPlace restores what is served; Drill restores beside it, measures, and removes it again.
    pub mode: RestoreMode,

    /// What is restored. Absent, of a drill: the newest snapshot of the first destination. A restore in place names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RestoreSource>,

    /// Of a restore in place: brings documents back, too, that were deleted since the snapshot. Otherwise they stay deleted, as
    /// whoever asked for their deletion may rely on.
    #[serde(default)]
    pub with_deleted: bool,

    /// Says what would be done, and does nothing.
    #[serde(default)]
    pub dry_run: bool,

    /// Of a drill: the share, in percent, of the passages recorded with the snapshot that must be found again. Absent: what the
    /// RagCluster says, or 95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub min_recall_percent: Option<i32>,

    /// Makes a drill a full one: another namespace, in which a cluster with a store, keys and servers of its own is made from the
    /// archive alone, proven, and removed again without a trace. It is not the RagCluster's own, the operator watches it, and the
    /// Secrets that the RagCluster names are in it, too: none is copied. Absent: the restore is tried beside what is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub in_namespace: Option<String>,
}

/// What a restore does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RestoreMode {
    /// What is served becomes what the snapshot holds.
    InPlace,
    /// The restore is tried and measured, and nothing that is served changes.
    Drill,
}

/// Exactly one source.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.snapshotRef) != has(self.archive)")
    .message(Message::Expression(
        "has(self.archive) \
         ? 'found both: name exactly one of snapshotRef and archive' \
         : 'found none: name exactly one of snapshotRef and archive'"
            .to_owned()
    )))]
pub struct RestoreSource {
    /// A RagSnapshot of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_ref: Option<SnapshotRef>,

    /// A snapshot in an archive, with or without a RagSnapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSource>,
}

/// A RagSnapshot.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRef {
    /// Its name.
    #[schemars(length(min = 1, max = 52))]
    pub name: String,
}

/// A snapshot in an archive: by its name, or the newest.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.name) && has(self.newestBefore))")
    .message("found both: name at most one of name and newestBefore; without either, the newest is restored"))]
pub struct ArchiveSource {
    /// The destination, one of those of the RagCluster. Absent: its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub destination: Option<String>,

    /// The snapshot's name there. Absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9][-a-z0-9]*$"))]
    pub name: Option<String>,

    /// The newest that began before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_before: Option<Time>,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RagRestoreStatus {
    /// The generation of the spec that this status is about; -1 before any operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What came of it. Absent: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RestoreResult>,

    /// How far the Job is that is at it. Absent: none runs, or it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,

    /// What was done, and what is done now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub steps: Vec<StepStatus>,

    /// Whether it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// What a restore or a drill came to. Figures are measured, and absent where they were not.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResult {
    /// The snapshot, by its name in the archive.
    #[schemars(length(max = 63))]
    pub snapshot: String,

    /// The destination, as the RagCluster calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 40))]
    pub destination: String,

    /// Documents that were restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<i64>,

    /// Their passages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<i64>,

    /// The share, in percent, of the passages recorded with the snapshot that were found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall_percent: Option<f64>,

    /// How long it took, in seconds, from reading the manifest to the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,

    /// The same, for people, for example 12.3s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rto: Option<String>,

    /// How old the snapshot was, in seconds: what was written after it would have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,

    /// What became of the documents that were served, or would become of them. Absent: a drill, which changes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<RestoreChanges>,

    /// The epoch of the corpus that was built and is searched since. Absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,

    /// The epoch that was searched before, and is kept until the next restore or until it is removed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_epoch: Option<i64>,
}

/// How the documents of a snapshot differ from those that were served.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreChanges {
    /// Documents that were not there.
    pub added: i64,
    /// Documents that were there with another content.
    pub changed: i64,
    /// Documents that are not in the snapshot.
    pub removed: i64,
    /// Documents that were there as they are in the snapshot.
    pub unchanged: i64,
}
