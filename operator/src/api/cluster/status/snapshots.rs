//! What a person reads about snapshots of a corpus and trials of a restore.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Snapshots and trials of a restore.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotsStatus {
    /// The newest snapshot that is in an archive, whoever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<KeptSnapshot>,

    /// The newest of those that were read back without a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<KeptSnapshot>,

    /// The newest that could not be taken, while nothing newer of its schedule could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed: Option<FailedSnapshot>,

    /// Snapshots of the cluster that are in an archive.
    #[serde(default)]
    pub kept: i32,

    /// Each schedule, and when it takes the next snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub schedules: Vec<ScheduleStatus>,

    /// The snapshots that are removed next: now, or when their schedule has taken its next one. The first 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub expiring: Vec<ExpiringSnapshot>,

    /// The last trial of a restore that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<DrillStatus>,

    /// The last 12 trials of a restore that have ended, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub drills: Vec<TriedRestore>,
}

/// A snapshot in an archive.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSnapshot {
    /// The RagSnapshot.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The destination.
    #[schemars(length(max = 40))]
    pub destination: String,
    /// What was acknowledged before this time is in it.
    pub taken_at: Time,
}

/// A snapshot that could not be taken.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedSnapshot {
    /// The RagSnapshot, which says more.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The class of the cause.
    #[schemars(length(max = 64))]
    pub reason: String,
}

/// A schedule. The one called drill is that of the trials of a restore.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// Its name.
    #[schemars(length(max = 20))]
    pub name: String,
    /// The line of crontab that these times are about, with its time zone.
    #[schemars(length(max = 170))]
    pub schedule: String,
    /// Since when that is the line. What was due before is not caught up.
    pub since: Time,
    /// The newest time of the line that was asked for: it is asked for once, even if somebody deletes what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due_at: Option<Time>,
    /// When it asks for the next one, a few minutes after the line says, so that not all clusters do it at once. Absent while
    /// nothing is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// A snapshot that is removed next.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpiringSnapshot {
    /// The RagSnapshot.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Whether it is removed now; otherwise when its schedule has taken its next one.
    #[serde(default)]
    pub now: bool,
}

/// A trial of a restore.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillStatus {
    /// The RagRestore.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How it ended.
    pub outcome: DrillOutcome,
    /// The same with the time that it took, for people, for example "Passed 12.3s".
    #[schemars(length(max = 64))]
    pub summary: String,
    /// When it ended.
    pub finished_at: Time,
    /// The snapshot, by its name in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub snapshot: Option<String>,
    /// How long the restore took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// How old the snapshot was, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// The share, in percent, of the recorded passages that were found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall_percent: Option<f64>,
}

/// A trial of a restore beside the others.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriedRestore {
    /// The RagRestore.
    #[schemars(length(max = 63))]
    pub name: String,
    /// When it ended.
    pub at: Time,
    /// How.
    pub outcome: DrillOutcome,
    /// It was tried in another namespace, by a cluster of its own, whose start is a part of the time that it took.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// How long the restore took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// How old the snapshot was, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
    /// The share, in percent, of the recorded passages that were found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall_percent: Option<f64>,
}

/// How a trial of a restore ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DrillOutcome {
    /// What was restored is what the snapshot holds.
    Passed,
    /// It is not, or it could not be restored.
    Failed,
    /// There was no room for it. It says nothing about the snapshot.
    Skipped,
}

impl DrillOutcome {
    /// The outcome as it stands in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
        }
    }
}
