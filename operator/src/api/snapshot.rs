//! RagSnapshot: one snapshot of a corpus, by a schedule or by hand. It outlives its cluster, and its archive outlives it.

#![allow(unreachable_pub, reason = "the derive of KubeSchema repeats each struct inside a function")]
#![allow(clippy::duplicated_attributes, reason = "every column says its type, as the derive wants it")]

mod reading;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use reading::{ReadingFailure, ReadingStatus};

use super::progress::JobProgress;
use super::steps::StepStatus;

/// The longest name of a RagSnapshot: leaves room for the suffixes of its Jobs in a DNS label of 63.
pub const SNAPSHOT_NAME_MAX: usize = 52;

/// One snapshot of the corpus of a RagCluster. It cannot be changed: create another one.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "ragops.dev",
    version = "v1alpha1",
    kind = "RagSnapshot",
    plural = "ragsnapshots",
    singular = "ragsnapshot",
    shortname = "ragsnap",
    category = "ragops",
    namespaced,
    status = "RagSnapshotStatus",
    derive = "PartialEq",
    doc = "One snapshot of the corpus of a RagCluster, taken by a schedule or by hand.",
    printcolumn(
        name = "CLUSTER",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "The RagCluster whose corpus it is of."
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it is in the archive, whole."
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "What is the matter with it, in a word."
    ),
    printcolumn(
        name = "VERIFIED",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Verified")].status"#,
        description = "Whether it was read back and is what was taken."
    ),
    printcolumn(
        name = "DOCUMENTS",
        type_ = "integer",
        json_path = ".status.archive.documents",
        description = "How many documents are in it."
    ),
    printcolumn(
        name = "TAKEN",
        type_ = "date",
        json_path = ".status.archive.beganAt",
        description = "What was acknowledged before this time is in it."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the object exists."
    ),
    printcolumn(
        name = "PLACE",
        type_ = "string",
        json_path = ".status.archive.place",
        description = "Where it is.",
        priority = 1
    ),
    validation = Rule::new(
        "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message(
        "metadata.name: the name of a snapshot has at most 52 lower-case letters, digits and dashes, and neither begins nor ends \
         with a dash"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a snapshot cannot be changed: create another RagSnapshot"))]
pub struct RagSnapshotSpec {
    /// The RagCluster of this namespace whose corpus is taken.
    #[schemars(length(min = 1, max = 40))]
    pub cluster: String,

    /// The destination, one of those of the RagCluster. Absent: its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub destination: Option<String>,

    /// The schedule that asked for it. Absent: somebody did, by hand; then no schedule counts or removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub schedule: Option<String>,

    /// What becomes of the archive's copy when this object is deleted.
    #[serde(default)]
    pub deletion_policy: ArchivePolicy,
}

/// What becomes of the archive's copy of a snapshot when its object is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ArchivePolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is removed from the archive, with the parts that no other snapshot has.
    Delete,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RagSnapshotStatus {
    /// The generation of the spec that this status is about; -1 before any operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What is in the archive. Absent: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,

    /// How far the Job is that takes it. Absent: none runs, or it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,

    /// What was done, and what is done now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub steps: Vec<StepStatus>,

    /// How it stands with reading it again. Absent: it was not read since it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingStatus>,

    /// Whether it is whole, and whether it was read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// A snapshot in an archive.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// The destination, as the RagCluster calls it.
    #[schemars(length(max = 40))]
    pub destination: String,

    /// Where that is, for people: a bucket with its prefix, or a folder of a volume.
    #[schemars(length(max = 512))]
    pub place: String,

    /// Its name there.
    #[schemars(length(max = 63))]
    pub name: String,

    /// The SHA-256 of its manifest, in hex: two that are alike are the same snapshot.
    #[schemars(length(max = 64))]
    pub sha256: String,

    /// What was acknowledged before this time is in it.
    pub began_at: Time,

    /// When its last part was written.
    pub ended_at: Time,

    /// When the latest of its documents was committed. Absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write_at: Option<Time>,

    /// Documents in it.
    pub documents: i64,

    /// Their passages.
    pub chunks: i64,

    /// Documents that are not in it, because the store had lost some of their passages.
    #[serde(default)]
    pub left_out: i64,

    /// Bytes of all its parts, those that it shares with others among them.
    pub bytes: i64,

    /// Bytes that were written for it.
    #[serde(default)]
    pub written_bytes: i64,

    /// Whether it is encrypted by its taker.
    #[serde(default)]
    pub encrypted: bool,

    /// When it was last read back whole, or restored in a drill, without a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
}
